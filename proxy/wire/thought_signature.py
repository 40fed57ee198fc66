"""
Signatures of other vendors' thoughts, as clients of `/v1/messages` keep them for us.

Such a client sends thoughts back as it got them. A mark in the signature says that it is not
Anthropic's, and whose it is: the thought goes back to its own maker and to nobody else.
"""

from typing import cast

from proxy.domain.chat import Maker

MARK = "lp1."
"""No signature of Anthropic's begins like this: theirs are Base64, which has no full stop."""

_CALL = "call."
_MAKERS = frozenset(("anthropic", "gemini", "openai"))


def wrap_signature(maker: Maker, signature: str | None) -> str:
    """
    Return the signature that an Anthropic client is shown.

    Args:
        maker: who has thought.
        signature: the maker's own, None where it has none.

    Returns:
        `lp1.<maker>.<signature>`, and a signature of Anthropic's as it is.

    Source: wire-formats §2.8; tests/wire/test_thought_signature.py.
    """
    if maker == "anthropic" and signature:
        return signature
    return f"{MARK}{maker}.{signature or ''}"


def unwrap_signature(shown: str) -> tuple[Maker, str | None]:
    """
    Return whose a thought is and its maker's own signature; the inverse of `wrap_signature`.

    Args:
        shown: what a client has sent back. Without our mark it is Anthropic's, "" is none.
    """
    if shown.startswith(MARK):
        maker, dot, signature = shown.removeprefix(MARK).partition(".")
        if dot and maker in _MAKERS:
            return cast(Maker, maker), signature or None
    return "anthropic", shown or None


def wrap_call_signature(signature: str) -> str:
    """
    Return what an Anthropic client is shown of the signature that Gemini gives to a call.

    Calls have no signature in its dialect: it stands in the thought before the call.
    """
    return wrap_signature("gemini", _CALL + signature)


def split_call_signature(maker: Maker, signature: str | None) -> tuple[str | None, str | None]:
    """
    Return the signature of a thought, and that of the call behind it; None where there is none.

    Args:
        maker: as `unwrap_signature` has found it.
        signature: that, too.
    """
    # Gemini's signatures are Base64, which has no full stop.
    if maker == "gemini" and signature is not None and signature.startswith(_CALL):
        return None, signature.removeprefix(_CALL) or None
    return signature, None
