"""The events of an answer as Anthropic's clients get it: a stream, or one message."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from proxy.domain.chat import NO_ARGUMENTS
from proxy.domain.events import Counted, Event
from proxy.wire.answer_blocks import BlockBuilder, Member
from proxy.wire.anthropic_count import build_token_count
from proxy.wire.anthropic_message import MessageBuilder, find_display
from proxy.wire.base import Ask
from proxy.wire.json_text import encode

_DELTAS: dict[Member, bytes] = {
    "text": b'"text_delta","text":',
    "thinking": b'"thinking_delta","thinking":',
    "signature": b'"signature_delta","signature":',
    "partial_json": b'"input_json_delta","partial_json":',
}
_CITED = b'"citations_delta","citation":'
_INVALID = "INVALID_JSON"
"""Anthropic's own name for arguments that are no JSON object, where an object must stand."""
_MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


class AnthropicWriter:
    """
    An EventWriter (see `wire/dialect.py`) of Anthropic's streams.

    The stream begins with what is known of the prompt's tokens by then, 0 if nothing; its end
    has all counts.
    """

    def __init__(self, ask: Ask) -> None:
        self._sink = _EventSink()
        self._answer = MessageBuilder(ask, BlockBuilder(self._sink, find_display(ask)))
        self._has_begun = False

    def write(self, events: Sequence[Event]) -> bytes:
        """Return what the client is sent for them (see `wire/dialect.py`)."""
        if not self._has_begun:
            # Counts may stand behind the beginning that has a place for them.
            self._answer.note(events)
            if all(isinstance(event, Counted) for event in events):
                return b""
            self._begin()
        for event in events:
            self._answer.take(event)
        return self._sink.drain()

    def finish(self) -> bytes:
        """Return what completes the stream (see `wire/dialect.py`)."""
        if not self._has_begun:
            self._begin()
        self._answer.end()
        delta = {
            "type": "message_delta",
            "delta": self._answer.build_stop(),
            "usage": self._answer.build_usage(),
        }
        self._sink.write("message_delta", encode(delta))
        return self._sink.drain() + _MESSAGE_STOP

    def _begin(self) -> None:
        self._has_begun = True
        message = self._answer.build_message([], {"stop_reason": None, "stop_sequence": None})
        self._sink.write("message_start", encode({"type": "message_start", "message": message}))


def write_anthropic_answer(ask: Ask, events: Sequence[Event]) -> bytes:
    """
    Return a complete answer as one message.

    Args:
        ask: what was asked; to `count_tokens` the answer is the count alone.
        events: all of them, in the order of `domain/events.py`.

    Source: wire-formats §2.8 and §3.1; tests/wire/test_anthropic_writer.py.
    """
    sink = _ContentSink()
    answer = MessageBuilder(ask, BlockBuilder(sink, find_display(ask)))
    answer.note(events)
    if ask.operation == "count_tokens":
        return build_token_count(answer.usage.input_tokens)
    for event in events:
        answer.take(event)
    answer.end()
    return encode(answer.build_message(sink.content, answer.build_stop()))


class _EventSink:
    """A BlockSink that writes each call as an event; blocks are numbered from 0."""

    def __init__(self) -> None:
        self._events: list[bytes] = []
        self._index = -1

    def open(self, block: dict[str, object]) -> None:
        self._index += 1
        self.write(
            "content_block_start",
            b'{"type":"content_block_start","index":%d,"content_block":%b}'
            % (self._index, encode(block)),
        )

    def add(self, member: Member, text: str) -> None:
        self._add(_DELTAS[member], encode(text))

    def cite(self, citation: Raw) -> None:
        self._add(_CITED, encode(citation))

    def close(self) -> None:
        data = b'{"type":"content_block_stop","index":%d}' % self._index
        self.write("content_block_stop", data)

    def write(self, name: str, data: bytes) -> None:
        self._events.append(b"event: %b\ndata: %b\n\n" % (name.encode(), data))

    def drain(self) -> bytes:
        events = b"".join(self._events)
        self._events.clear()
        return events

    def _add(self, kind: bytes, value: bytes) -> None:
        self._events.append(
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
            b'"delta":{"type":%b%b}}\n\n' % (self._index, kind, value)
        )


class _ContentSink:
    """A BlockSink that gathers the blocks of a whole message."""

    def __init__(self) -> None:
        self.content: list[dict[str, object]] = []
        self._pieces: dict[Member, list[str]] = {}
        self._citations: list[Raw] = []

    def open(self, block: dict[str, object]) -> None:
        self.content.append(block)

    def add(self, member: Member, text: str) -> None:
        self._pieces.setdefault(member, []).append(text)

    def cite(self, citation: Raw) -> None:
        self._citations.append(citation)

    def close(self) -> None:
        block = self.content[-1]
        for member, pieces in self._pieces.items():
            text = "".join(pieces)
            if member == "partial_json":
                block["input"] = _read_arguments(text)
            else:
                block[member] = text
        if self._citations:
            block["citations"] = list(self._citations)
        self._pieces.clear()
        self._citations.clear()


def _read_arguments(text: str) -> Raw | dict[str, str]:
    """Return the arguments of a call as the object that must stand here, whatever came."""
    arguments = text.strip() or NO_ARGUMENTS
    try:
        _decode_object(arguments)
    except (ValueError, RecursionError):
        # Cut off by a limit of tokens, or wrong: the client is to see it, not to lose it.
        return {_INVALID: text}
    return Raw(arguments.encode())
