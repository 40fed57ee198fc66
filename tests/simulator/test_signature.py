"""Signatures of thoughts."""

from proxy.simulator.signature import is_ours, is_signed, sign_thought


def test_only_what_was_thought_is_signed() -> None:
    """A signature fits its own thought and no other."""
    signature = sign_thought("as I see it")
    assert is_signed("as I see it", signature)
    assert not is_signed("as I saw it", signature)
    assert not is_signed("as I see it", "")


def test_a_signature_is_known_without_its_thought() -> None:
    """Whoever has signed can be seen from the signature alone."""
    assert is_ours(sign_thought("anything"))
    for other in ("", "EqQBCkYIBxgC", "not base64!"):
        assert not is_ours(other)
