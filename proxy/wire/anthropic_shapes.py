"""
The shapes of what Anthropic sends, and how a member of each is read.

Only what this proxy looks at is named; whatever else there is, is passed over.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import Citation
from proxy.wire.openai_error import NO_VALUE

SHOWN = frozenset(("text", "thinking", "redacted_thinking", "tool_use"))
"""The types of blocks that other dialects have a place for."""
DELTAS = frozenset(
    ("text_delta", "input_json_delta", "thinking_delta", "signature_delta", "citations_delta")
)
TYPES = frozenset(
    (
        *("message_start", "message_delta", "message_stop", "ping", "error"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
    )
)
EMPTY = (b"", b"null", b"{}", b'""', b"[]", b"false", b"0")
"""What a raw member is that says nothing."""


class _Details(Struct, gc=False):
    explanation: str | None = None


class Delta(Struct, gc=False):
    """What an event adds to a block, or says of the whole message at its end."""

    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: Raw = NO_VALUE
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Raw = NO_VALUE


class Block(Struct, gc=False):
    """A block of an answer: whole in a message, as good as empty where a stream begins it."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = NO_VALUE
    citations: Raw = NO_VALUE


class Message(Struct, gc=False):
    """What a stream says of its message when it begins."""

    id: str | None = None
    model: str | None = None
    usage: Raw = NO_VALUE


class StreamEvent(Struct, gc=False):
    """The data of one event of a stream."""

    type: str = ""
    index: int = 0
    delta: Delta | None = None
    content_block: Block | None = None
    message: Message | None = None
    usage: Raw = NO_VALUE
    error: Raw = NO_VALUE


class _Typed(Struct, gc=False):
    type: str = ""


class LooseEvent(Struct, gc=False):
    """An event whose members have other shapes than those we know: which kind it is."""

    type: str = ""
    index: Any = 0
    delta: Raw = NO_VALUE
    content_block: Raw = NO_VALUE
    error: Raw = NO_VALUE


class Answer(Struct, gc=False):
    """A whole message, or an error in its place."""

    type: str = ""
    id: str | None = None
    model: str | None = None
    content: list[Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Raw = NO_VALUE
    usage: Raw = NO_VALUE
    error: Raw = NO_VALUE


class _Source(Struct, gc=False):
    """Where words come from: a page, a search result, or a document of the request."""

    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None
    cited_text: str | None = None


decode_event = msgspec.json.Decoder(StreamEvent).decode
decode_loose = msgspec.json.Decoder(LooseEvent).decode
_decode_type = msgspec.json.Decoder(_Typed).decode
_decode_block = msgspec.json.Decoder(Block).decode
decode_answer = msgspec.json.Decoder(Answer).decode
_decode_source = msgspec.json.Decoder(_Source).decode
_decode_details = msgspec.json.Decoder(_Details).decode
decode_items = msgspec.json.Decoder(list[Raw]).decode
decode_any = msgspec.json.Decoder().decode


def read_block(raw: Raw) -> Block:
    """
    Return a block of a whole message; an empty one of no type where its type is unknown.

    Raises:
        ValidationError: it is of a type we know, and not of its shape.
    """
    try:
        return _decode_block(raw)
    except msgspec.ValidationError:
        if find_type(raw) in SHOWN:
            raise
        return Block()


def find_type(raw: Raw) -> str:
    """Return what an object says is its type, "" if it says nothing."""
    try:
        return _decode_type(raw).type
    except msgspec.DecodeError:
        return ""


def read_explanation(raw: Raw) -> str | None:
    """Return the words of `stop_details` for a refusal; None: it has none."""
    try:
        return _decode_details(raw).explanation
    except msgspec.DecodeError:
        return None


def build_citation(raw: Raw, start: int, end: int) -> Citation:
    """Return where the text between two positions comes from; `raw` is kept for who knows it."""
    try:
        found = _decode_source(raw)
    except msgspec.DecodeError:
        found = _Source()
    source = found.source if found.source and "://" in found.source else None
    return Citation(
        url=found.url or source,
        title=found.title or found.document_title,
        quoted=found.cited_text,
        start=start,
        end=end,
        raw=raw,
        maker="anthropic",
    )
