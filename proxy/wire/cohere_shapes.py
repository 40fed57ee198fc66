"""
The shapes of what Cohere's chat sends, as far as they are read, and what its ends mean.

Whatever else there is, is passed over.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.events import FinishReason
from proxy.wire.openai_error import NO_VALUE

EMPTY = (b"", b"null", b"false", b"0", b'""', b"{}", b"[]")
"""What a raw member is that says nothing."""
TYPES = frozenset(
    (
        *("message-start", "message-end", "tool-plan-delta", "citation-start", "citation-end"),
        *("content-start", "content-delta", "content-end"),
        *("tool-call-start", "tool-call-delta", "tool-call-end"),
    )
)
FAILED = frozenset(("ERROR", "TIMEOUT", "USER_CANCEL"))
"""Ends of answers that have come to nothing."""
_REASONS: dict[str, FinishReason] = {
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "ERROR_TOXIC": "content_filter",
}


class Content(Struct, gc=False):
    """A block of an answer, or a piece of one: text, or what was thought."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class Function(Struct, gc=False):
    """What is called; of a piece only more of the arguments."""

    name: str | None = None
    arguments: str | None = None


class CohereCall(Struct, gc=False):
    """A call, or a piece of one."""

    id: str | None = None
    function: Function | None = None


class DeltaMessage(Struct, gc=False):
    """What an event adds to the message; `content` and `tool_calls` are one object each."""

    content: Raw = NO_VALUE
    tool_plan: str | None = None
    tool_calls: Raw = NO_VALUE
    citations: Raw = NO_VALUE


class Delta(Struct, gc=False):
    """What an event adds, or says at the end."""

    message: DeltaMessage | None = None
    finish_reason: str | None = None
    usage: Raw = NO_VALUE
    error: Raw = NO_VALUE


class StreamEvent(Struct, gc=False):
    """The data of one event of a stream; an error in its place has a `message` and no type."""

    type: str = ""
    id: str | None = None
    index: int | None = None
    delta: Delta | None = None
    logprobs: Raw = NO_VALUE
    message: Raw = NO_VALUE
    error: Raw = NO_VALUE


class Said(Struct, gc=False):
    """The message of a whole answer."""

    tool_plan: str | None = None
    content: list[Content] | str | None = None
    tool_calls: list[CohereCall] | None = None
    citations: Raw = NO_VALUE


class Answer(Struct, gc=False):
    """A whole answer, or an error in its place, whose `message` is words."""

    id: str | None = None
    finish_reason: str | None = None
    message: Raw = NO_VALUE
    usage: Raw = NO_VALUE
    logprobs: Raw = NO_VALUE
    error: Raw = NO_VALUE


class _Typed(Struct, gc=False):
    type: Any = ""


decode_event = msgspec.json.Decoder(StreamEvent).decode
decode_answer = msgspec.json.Decoder(Answer).decode
decode_said = msgspec.json.Decoder(Said).decode
decode_content = msgspec.json.Decoder(Content).decode
decode_call = msgspec.json.Decoder(CohereCall).decode
decode_any = msgspec.json.Decoder().decode
_decode_type = msgspec.json.Decoder(_Typed).decode


def is_new(data: bytes) -> bool:
    """Return whether an event, which is JSON of no shape that we know, is of a new type."""
    kind = _decode_type(data).type
    return isinstance(kind, str) and bool(kind) and kind not in TYPES


def read_finish_reason(word: str, *, has_calls: bool) -> FinishReason:
    """
    Return what a `finish_reason` means; one that is not known is a stop.

    Source: wire-formats §6.1.
    """
    reason = _REASONS.get(word)
    if reason is not None:
        return reason
    return "tool_calls" if has_calls else "stop"
