"""
A complete answer of OpenAI's format as the event stream that was asked for.

For providers that answer `stream: true` with one JSON object. What a client's accumulator
makes of the events is the answer again. `pipeline/incoming.py` calls it.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from proxy.domain.errors import UpstreamProtocolError
from proxy.wire.base import Ask
from proxy.wire.json_text import build_object
from proxy.wire.openai_stream import DONE_EVENT
from proxy.wire.sse import build_event

Fields = dict[str, Raw | bytes]

_CHUNK = b'"chat.completion.chunk"'
_NULL = b"null"
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
_EMPTY = (b"", b"null", b"[]", b"{}")

_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_items = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_decode_index = msgspec.json.Decoder(int).decode


def build_answer_events(ask: Ask, body: bytes) -> bytes:
    """
    Return an answer as a stream, complete with its `[DONE]`.

    Args:
        ask: what was asked; usage gets a chunk of its own only where it was asked for.
        body: an answer that `read_openai_answer` has found good.

    Returns:
        For each choice one event with all that it says and one with its finish reason, which
        is `stop`, or `tool_calls`, where the answer named none. Calls are numbered by
        their order, choices only where their own numbers are not 0 to n - 1. All other values
        stay as they came; only line ends between them become blanks.

    Raises:
        UpstreamProtocolError: members that must be objects are none.

    Source: OpenAI's API reference, "The chat completion chunk object";
    tests/wire/test_answer_events.py.
    """
    try:
        # A line end inside a string is written as an escape: a raw one is only ever a blank.
        fields = _decode_fields(body.translate(_ONE_LINE))
        choices = _decode_items(fields.pop("choices"))
        build = _build_delta if ask.operation == "chat" else _build_text
        said, ends = [], []
        for index, choice in zip(_read_indices(choices), choices, strict=True):
            first, last = build(choice, b"%d" % index)
            said.append(first)
            ends.append(last)
    except (ValueError, RecursionError):
        raise UpstreamProtocolError() from None
    usage = fields.pop("usage", None)
    head: Fields = dict(fields)
    if ask.operation == "chat":
        head["object"] = _CHUNK
    events = [_build_chunk(head, b"[" + choice + b"]") for choice in (*said, *ends)]
    if usage is not None and bytes(usage) != _NULL and (ask.wants_usage or ask.keeps_chunk_usage):
        events.append(_build_chunk({**head, "usage": usage}, b"[]"))
    return b"".join((*events, DONE_EVENT))


def _build_chunk(head: Fields, choices: bytes) -> bytes:
    return build_event(build_object({**head, "choices": choices}))


def _read_indices(choices: Sequence[Mapping[str, Raw]]) -> Sequence[int]:
    """Return the index of each choice: its own, or its place where theirs are not 0 to n - 1."""
    places = range(len(choices))
    try:
        own = [_decode_index(choice.get("index", b"")) for choice in choices]
    except ValueError:
        return places
    return own if sorted(own) == list(places) else places


def _build_delta(choice: Mapping[str, Raw], index: bytes) -> tuple[bytes, bytes]:
    """Return a choice of a chat as the one that holds its message and the one that ends it."""
    fields: Fields = dict(choice)
    # An explicit null would end up as text in some accumulators.
    delta: Fields = {
        name: value
        for name, value in _decode_fields(fields.pop("message", b"{}")).items()
        if bytes(value) not in _EMPTY
    }
    calls = delta.get("tool_calls")
    if calls is not None:
        delta["tool_calls"] = _number_calls(calls)
    reason = _take_reason(fields, "stop" if calls is None else "tool_calls")
    fields["index"] = index
    said = build_object({**fields, "delta": build_object(delta), "finish_reason": _NULL})
    return said, build_object({"index": index, "delta": b"{}", "finish_reason": reason})


def _build_text(choice: Mapping[str, Raw], index: bytes) -> tuple[bytes, bytes]:
    """Return a choice of a completion as the one that holds its text and the one that ends it."""
    fields: Fields = dict(choice)
    reason = _take_reason(fields, "stop")
    fields["index"] = index
    said = build_object({**fields, "finish_reason": _NULL})
    end = {"index": index, "text": b'""', "logprobs": _NULL, "finish_reason": reason}
    return said, build_object(end)


def _take_reason(fields: Fields, default: str) -> Raw | bytes:
    reason = fields.pop("finish_reason", _NULL)
    return reason if bytes(reason) not in (_NULL, b'""') else b'"%b"' % default.encode()


def _number_calls(calls: Raw | bytes) -> bytes:
    items = [
        build_object({**call, "index": b"%d" % position})
        for position, call in enumerate(_decode_items(calls))
    ]
    return b"[" + b",".join(items) + b"]"
