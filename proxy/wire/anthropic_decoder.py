"""
What Anthropic's answers say, as events: one event of its streams at a time, or a whole message.

Where one event ends and the next begins is the business of `anthropic_events.py`.
"""

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from proxy.domain.chat import NO_ARGUMENTS
from proxy.domain.errors import (
    UpstreamProtocolError,
    UpstreamServerError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Cited,
    Counted,
    Event,
    Finished,
    FinishReason,
    Refused,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.domain.exchange import Anomaly
from proxy.wire.anthropic_shapes import (
    DELTAS,
    EMPTY,
    SHOWN,
    TYPES,
    Block,
    Delta,
    Message,
    StreamEvent,
    build_citation,
    decode_answer,
    decode_any,
    decode_event,
    decode_items,
    decode_loose,
    find_type,
    read_block,
    read_explanation,
)
from proxy.wire.anthropic_usage import AnthropicUsage
from proxy.wire.json_text import MAX_VALUES, holds_too_many_values
from proxy.wire.new_id import build_id, keep_short
from proxy.wire.openai_calls import MAX_CALLS
from proxy.wire.openai_error import NO_VALUE, read_error_object
from proxy.wire.usage_estimate import BYTES_PER_TOKEN

_REASONS: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "compaction": "length",
    "refusal": "content_filter",
}
"""All others are `tool_calls` where there have been calls, else `stop`."""


_MOST_OPEN = 16
"""Blocks come one after the other; what has begun is kept, so that there is an end to it."""
_MOST_CITED_BYTES = 4 * 1024 * 1024
"""So much is kept of where words come from; what is more of it is passed over."""
_CITATION_BYTES = 200
"""What keeping one takes, beside its text."""


class _Open(Struct):
    """A block that has begun and has not ended."""

    type: str
    """"" for one that no other dialect has a place for."""
    call: int = -1
    """Its index among the calls; -1: it is none, or its arguments are the answer's text."""
    has_arguments: bool = False
    arguments: str = NO_ARGUMENTS
    """What the call has if no more of them come."""
    signature: str | None = None
    start: int = 0
    citations: list[Raw] = []


class AnthropicDecoder:
    """
    The state of one answer of Anthropic's.

    Args:
        unwraps: the name of a tool that nobody has but we, for models that give JSON of a
            schema only as a call's arguments: such a call is the answer's text.
    """

    def __init__(self, unwraps: str | None = None) -> None:
        self.kind = ""
        """The type of the last event."""
        self.is_over = False
        """`message_stop` has arrived."""
        self.is_finished = False
        """The reason why it stopped has arrived, and no block is open: nothing is missing."""
        self.anomalies: set[Anomaly] = set()
        self.said_bytes = 0
        self.counted_bytes = 0
        """What had been said when usage was last reported."""
        self.usage = AnthropicUsage()
        self._unwraps = unwraps
        self._has_unwrapped = False
        self._has_started = False
        self._open: dict[int, _Open] = {}
        self._calls = 0
        self._characters = 0
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None
        self._explanation: str | None = None
        self._has_total = False
        self._cited_room = _MOST_CITED_BYTES

    def decode(self, data: bytes) -> list[Event]:
        """
        Return what one event of a stream says; unknown events say nothing.

        Args:
            data: the event's data, JSON.

        Raises:
            ValueError, RecursionError: it cannot be read; then nothing of it was taken.
            UpstreamProtocolError: it does not fit to those before it.
            UpstreamTooLarge: it has more values than MAX_VALUES in `json_text.py`.
            UpstreamTruncated: it ends an answer that is not complete.
            UpstreamError: it is or has an error, classified as the status that it stands for.

        Source: wire-formats §3.1; tests/wire/test_anthropic_decoder.py.
        """
        check_values(data)
        if not data.isascii():
            data.decode()
        try:
            event = decode_event(data)
        except msgspec.ValidationError:
            return self._pass_over(data)
        kind = self.kind = event.type
        if kind == "error" or event.error is not NO_VALUE:
            _check_error(kind, event.error, data)
        if kind == "content_block_delta":
            if event.delta is None:
                raise build_malformed()
            return self._take_delta(event.index, event.delta)
        if kind == "content_block_start":
            if event.content_block is None:
                raise build_malformed()
            return self._start_block(event.index, event.content_block)
        if kind == "content_block_stop":
            return self._stop_block(event.index)
        if kind == "message_delta":
            return self._take_end(event)
        if kind == "message_start":
            return self._start(event.message or Message())
        if kind == "message_stop":
            events = self.end()
            self.is_over = True
            return events
        return []

    def decode_answer(self, body: bytes) -> list[Event]:
        """
        Return what a whole message says.

        Raises:
            As `decode` does.
        """
        if holds_too_many_values(body):
            raise UpstreamTooLarge(
                "The provider's answer has more parts than this proxy accepts.",
                code="answer_too_large",
            )
        if not body.isascii():
            body.decode()
        answer = decode_answer(body)
        if answer.type == "error" or bytes(answer.error) not in EMPTY:
            raise read_error_object(decode_any(body))
        if answer.content is None:
            raise UpstreamProtocolError()
        blocks = [read_block(raw) for raw in answer.content]
        events = self._start(Message(answer.id, answer.model))
        for index, block in enumerate(blocks):
            events += self._start_block(index, block)
            events += self._stop_block(index)
        delta = Delta(
            stop_reason=answer.stop_reason,
            stop_sequence=answer.stop_sequence,
            stop_details=answer.stop_details,
        )
        events += self._take_end(StreamEvent(delta=delta, usage=answer.usage))
        return events + self.end()

    def end(self) -> list[Event]:
        """
        Return what completes the answer, once; no more of it comes.

        Raises:
            UpstreamTruncated: a block is open, or nothing has said why it stopped.
        """
        if not self.is_finished:
            raise UpstreamTruncated()
        events: list[Event] = []
        if self._explanation:
            events.append(Refused(self._explanation))
        usage = self.usage.usage
        if usage is not None and not self._has_total:
            # Only the start was counted: what was said since is not in it.
            outputs = max(usage.output_tokens, -(-self.said_bytes // BYTES_PER_TOKEN))
            events.append(Counted(replace(usage, output_tokens=outputs, source="estimated")))
        raw = self._stop_reason or ""
        reason = _REASONS.get(raw, "tool_calls" if self._calls else "stop")
        events.append(Finished(reason, stop_sequence=self._stop_sequence, raw=raw))
        return events

    def _start(self, message: Message) -> list[Event]:
        if self._has_started:
            raise build_malformed()
        self._has_started = True
        started = Started(keep_short(message.id), keep_short(message.model))
        return [started, *self._count(message.usage)]

    def _take_delta(self, index: int, delta: Delta) -> list[Event]:
        block = self._open.get(index)
        if block is None:
            raise build_malformed()
        kind = delta.type
        if kind == "text_delta":
            return self._say(delta.text) if block.type == "text" else []
        if kind == "input_json_delta":
            if block.type != "tool_use" or not delta.partial_json:
                return []
            block.has_arguments = True
            return self._say_arguments(block, delta.partial_json)
        if kind == "thinking_delta":
            return self._think(delta.thinking) if block.type == "thinking" else []
        if kind == "signature_delta":
            # Each is all of it.
            block.signature = delta.signature or block.signature
        elif kind == "citations_delta" and bytes(delta.citation) not in EMPTY:
            self._cite(block, delta.citation)
        return []

    def _cite(self, block: _Open, citation: Raw) -> None:
        self._cited_room -= len(memoryview(citation)) + _CITATION_BYTES
        if self._cited_room >= 0:
            # A copy: it would keep all of its event.
            block.citations.append(Raw(bytes(citation)))

    def _start_block(self, index: int, block: Block) -> list[Event]:
        if index in self._open or not self._has_started:
            raise build_malformed()
        if len(self._open) >= _MOST_OPEN:
            raise UpstreamTooLarge("The provider sent more at once than is accepted.")
        kind = block.type
        opened = self._open[index] = _Open(
            kind if kind in SHOWN else "", signature=block.signature, start=self._characters
        )
        self.is_finished = False
        if kind == "text":
            if bytes(block.citations).startswith(b"["):
                for citation in decode_items(block.citations):
                    self._cite(opened, citation)
            return self._say(block.text)
        if kind == "thinking":
            return self._think(block.thinking)
        if kind == "redacted_thinking":
            opened.signature = block.data
        elif kind == "tool_use":
            return self._start_call(opened, block)
        return []

    def _start_call(self, opened: _Open, block: Block) -> list[Event]:
        if bytes(block.input) not in EMPTY:
            opened.arguments = bytes(block.input).decode()
        if self._unwraps is not None and block.name == self._unwraps:
            if self._has_unwrapped:
                opened.type = ""  # A second JSON text behind the first would spoil both.
            self._has_unwrapped = True
            return []
        if self._calls >= MAX_CALLS:
            raise UpstreamTooLarge("The provider sent more calls than are accepted.")
        opened.call = self._calls
        self._calls += 1
        return [CallStarted(opened.call, block.id or build_id("call_"), block.name or "")]

    def _stop_block(self, index: int) -> list[Event]:
        block = self._open.pop(index, None)
        if block is None:
            raise build_malformed()
        self.is_finished = self._stop_reason is not None and not self._open
        kind = block.type
        if kind == "text":
            return [
                Cited(build_citation(raw, block.start, self._characters)) for raw in block.citations
            ]
        if kind == "thinking":
            return [ThoughtEnded("anthropic", block.signature)]
        if kind == "redacted_thinking":
            return [ThoughtEnded("anthropic", block.signature, is_redacted=True)]
        if kind != "tool_use":
            return []
        events = [] if block.has_arguments else self._say_arguments(block, block.arguments)
        return events if block.call < 0 else [*events, CallEnded(block.call)]

    def _take_end(self, event: StreamEvent) -> list[Event]:
        if not self._has_started:
            raise build_malformed()
        delta = event.delta
        if delta is not None and delta.stop_reason:
            if delta.stop_reason == "error":
                raise UpstreamServerError()
            self._stop_reason = delta.stop_reason
            self._stop_sequence = delta.stop_sequence
            self.is_finished = not self._open
            if delta.stop_reason == "refusal":
                self._explanation = read_explanation(delta.stop_details)
        events = self._count(event.usage)
        self._has_total = self._has_total or bool(events)
        return events

    def _count(self, raw: Raw) -> list[Event]:
        if bytes(raw) in EMPTY:
            return []
        if not self.usage.take(raw):
            self.anomalies.add("usage_anomaly")
            return []
        self.counted_bytes = self.said_bytes
        usage = self.usage.usage
        return [] if usage is None else [Counted(usage)]

    def _say(self, text: str | None) -> list[Event]:
        if not text:
            return []
        self._characters += len(text)
        self._note(text)
        return [Said(text)]

    def _think(self, text: str | None) -> list[Event]:
        if not text:
            return []
        self._note(text)
        return [Thinking(text, "anthropic")]

    def _say_arguments(self, block: _Open, text: str) -> list[Event]:
        if block.call < 0:
            return self._say(text)
        self._note(text)
        return [CallArguments(block.call, text)]

    def _note(self, text: str) -> None:
        self.said_bytes += len(text) if text.isascii() else len(text.encode())

    def _pass_over(self, data: bytes) -> list[Event]:
        """Take an event whose fields are not what we know: no fault if its type is new."""
        event = decode_loose(data)
        self.kind = event.type
        _check_error(event.type, event.error, data)
        if event.type == "content_block_start" and find_type(event.content_block) not in SHOWN:
            if not isinstance(event.index, int):
                raise build_malformed()
            return self._start_block(event.index, Block())
        is_new = event.type not in TYPES or (
            event.type == "content_block_delta" and find_type(event.delta) not in DELTAS
        )
        if not is_new:
            raise build_malformed()
        return []


def _check_error(kind: str, error: Raw, data: bytes) -> None:
    if kind == "error" or bytes(error) not in EMPTY:
        raise read_error_object(decode_any(data))


def check_values(data: bytes) -> None:
    """Raise UpstreamTooLarge if an event has more values than MAX_VALUES in `json_text.py`."""
    if len(data) > MAX_VALUES and holds_too_many_values(data):
        raise UpstreamTooLarge("The provider sent an event of more parts than are accepted.")


def build_malformed() -> UpstreamProtocolError:
    """Return the error for an event that cannot be, or cannot be where it came."""
    return UpstreamProtocolError("The provider sent an event that is not valid.")
