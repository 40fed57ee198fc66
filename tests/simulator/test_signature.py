"""Signatures of thoughts."""

from proxy.simulator.signature import is_signed, sign_thought


def test_only_what_was_thought_is_signed() -> None:
    """A signature fits its own thought and no other."""
    signature = sign_thought("as I see it")
    assert is_signed("as I see it", signature)
    assert not is_signed("as I saw it", signature)
    assert not is_signed("as I see it", "")
