"""
Thoughts of any vendor's model as clients of the Responses API keep them for us.

OpenAI gives such a client `encrypted_content` with each reasoning item, which only OpenAI can
read, and gets it back. Ours says whose thought it is and holds what its maker wants back of it;
it is not secret to the client, which it is told to. A mark tells the two apart.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import Maker, Thought
from proxy.wire.openai_error import NO_VALUE
from proxy.wire.thought_signature import MARK


class CallSignature(Struct, frozen=True):
    """What Gemini wants back with the call behind it, which has no place for it here."""

    signature: str


class _Kept(Struct, frozen=True, omit_defaults=True, rename="camel"):
    maker: Maker
    text: str = ""
    """Empty where the summary has it, or where the thought has none."""
    signature: str | None = None
    is_redacted: bool = False
    is_of_call: bool = False
    extra: Raw = NO_VALUE


_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(_Kept).decode


def wrap_thought(thought: Thought, *, is_shown: bool) -> str:
    """
    Return the `encrypted_content` of a thought.

    Args:
        thought: with all that its maker has said beside it.
        is_shown: its text stands in the summary, and so not here.

    Returns:
        The mark of `thought_signature.py` and Base64.

    Source: wire-formats §2.7 and §6.3; tests/wire/test_responses_thought.py.
    """
    return _wrap(
        _Kept(
            thought.maker,
            "" if is_shown else thought.text,
            thought.signature,
            thought.is_redacted,
            extra=NO_VALUE if thought.extra is None else thought.extra,
        )
    )


def wrap_call_signature(signature: str) -> str:
    """Return the `encrypted_content` of what stands before a call for its sake alone."""
    return _wrap(_Kept("gemini", signature=signature, is_of_call=True))


def unwrap_thought(encrypted: str | None, summary: str) -> Thought | CallSignature | None:
    """
    Return what a client has sent back; the inverse of the two above.

    Args:
        encrypted: as it came, None where it did not.
        summary: the text of the item's summary.

    Returns:
        None for what is not ours: OpenAI alone can read its own, and text that nothing vouches
        for is taken back by nobody.
    """
    if encrypted is None or not encrypted.startswith(MARK):
        return None
    try:
        kept = _decode(urlsafe_b64decode(encrypted.removeprefix(MARK)))
    except (ValueError, RecursionError):
        return None
    if kept.is_of_call:
        return CallSignature(kept.signature) if kept.signature else None
    text = "" if kept.is_redacted else kept.text or summary
    extra = kept.extra if bytes(kept.extra) else None
    return Thought(text, kept.maker, kept.signature, kept.is_redacted, extra)


def _wrap(kept: _Kept) -> str:
    return MARK + urlsafe_b64encode(_encode(kept)).decode()
