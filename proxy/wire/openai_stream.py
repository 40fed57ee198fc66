"""
OpenAI's event streams (chat completions and completions), read and passed on.

Whole events go through as they came. Each is parsed once, into the few typed fields that
decide whether it is content, an end, usage or an error; only an event that the client must
not get as it is (usage that it did not ask for) is written anew.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import (
    ProxyError,
    UpstreamProtocolError,
    UpstreamServerError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.json_text import build_object, parse_object
from proxy.wire.openai_error import NO_VALUE, check_no_error, read_error_object
from proxy.wire.openai_usage import parse_usage
from proxy.wire.sse import EventSplitter, EventTooLarge, ServerSentEvent, build_event

DONE = b"[DONE]"
DONE_EVENT = build_event(DONE)

Repair = Callable[[dict[str, Any]], dict[str, Any]]
"""Makes one decoded event regular; may change it in place. Lives as long as its stream."""



class _Delta(Struct):
    content: object = None
    tool_calls: object = None
    reasoning_content: object = None
    reasoning: object = None
    reasoning_details: object = None
    refusal: object = None
    audio: object = None
    function_call: object = None


class _FirstChoice(Struct):
    index: int = 0
    finish_reason: str | None = None
    delta: _Delta | None = None
    text: str | None = None


class _Choice(Struct):
    index: int = 0
    finish_reason: str | None = None


class _FirstChunk(Struct):
    """What is read of an event until content has been seen."""

    choices: list[_FirstChoice] | None = None
    usage: Raw = NO_VALUE
    error: Raw = NO_VALUE
    object: str | None = None


class _Chunk(Struct):
    """What is read of every later event; nothing in it depends on the content's size."""

    choices: list[_Choice] | None = None
    usage: Raw = NO_VALUE
    error: Raw = NO_VALUE
    object: str | None = None


_decode_first = msgspec.json.Decoder(_FirstChunk).decode
_decode_later = msgspec.json.Decoder(_Chunk).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


class OpenAIStream:
    """The StreamReader (see `wire/base.py`) for an upstream and a client that both speak OpenAI's format."""

    def __init__(self, ask: Ask, max_event_bytes: int, repair: Repair | None = None) -> None:
        self.has_content = False
        self.is_over = False
        self.error: ProxyError | None = None
        self.usage: Usage | None = None
        self.event_count = 0
        self._splitter = EventSplitter(max_event_bytes)
        self._repair = repair
        self._choices = ask.choices
        self._wants_usage = ask.wants_usage
        self._keeps_chunk_usage = ask.keeps_chunk_usage
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._usage_event: bytes | None = None
        """The usage chunk that is still owed to a client that asked for one."""

    @property
    def is_complete(self) -> bool:
        """Every choice that was asked for, and every one that began, has its finish reason."""
        if self.is_over:
            return self.error is None
        finished = self._finished
        return len(finished) >= self._choices and self._seen <= finished

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; return whole events for the client (see `wire/base.py`)."""
        if self.error is not None or self.is_over:
            return b""
        try:
            events = self._splitter.feed(chunk)
        except EventTooLarge:
            self.error = UpstreamTooLarge("The provider sent an event larger than this proxy accepts.")
            return b""
        return self._take(events)

    def finish(self) -> bytes:
        """Take note of the end of the body (see `wire/base.py`)."""
        if self.error is not None or self.is_over:
            return b""
        out = self._take(self._splitter.finish())
        if self.error is not None or self.is_over:
            return out
        if not self.is_complete:
            self.error = UpstreamTruncated()
            return out
        return out + self._close()

    def _take(self, events: list[ServerSentEvent | bytes]) -> bytes:
        out = []
        for event in events:
            try:
                if isinstance(event, bytes):
                    passed = self._take_event(event)
                else:
                    passed = self._take_irregular(event)
            except ProxyError as error:
                self.error = error
                break
            if passed is not None:
                out.append(passed)
            if self.is_over:
                break
        return out[0] if len(out) == 1 else b"".join(out)

    def _take_irregular(self, event: ServerSentEvent) -> bytes | None:
        if event.name == "error":
            try:
                value = _decode_any(event.data)
            except (msgspec.DecodeError, RecursionError):
                value = None
            raise read_error_object(value)
        if b"\n" in event.data:
            # Several `data:` lines are one JSON text with line ends in it: legal between
            # tokens only, so that a space means the same and keeps the event on one line.
            return self._take_event(event.data.replace(b"\n", b" "))
        return self._take_event(event.data)

    def _take_event(self, data: bytes) -> bytes | None:
        """Return what the client gets for one event, None for nothing."""
        if data.startswith(DONE):
            return self._take_done()
        self.event_count += 1
        if self._repair is not None:
            data = self._regular(data, self._repair)
        if not data.isascii():
            _check_utf8(data)
        try:
            chunk = _decode_later(data) if self.has_content else _decode_first(data)
        except (msgspec.DecodeError, RecursionError):
            raise UpstreamProtocolError("The provider sent an event that is not valid.") from None
        if chunk.error is not NO_VALUE or chunk.object == "error":
            check_no_error(chunk.error, chunk.object, data)
        if chunk.choices:
            self._take_choices(chunk)
        if chunk.usage is not NO_VALUE and bytes(chunk.usage) != b"null":
            return self._take_usage(data, chunk)
        return build_event(data)

    def _take_choices(self, chunk: _FirstChunk | _Chunk) -> None:
        for choice in chunk.choices or ():
            self._seen.add(choice.index)
            if choice.finish_reason is not None:
                if choice.finish_reason == "error":
                    raise UpstreamServerError()
                self._finished.add(choice.index)
                self.has_content = True
        if not self.has_content and isinstance(chunk, _FirstChunk):
            self.has_content = any(_holds_content(choice) for choice in chunk.choices or ())

    def _take_usage(self, data: bytes, chunk: _FirstChunk | _Chunk) -> bytes | None:
        """Note the usage; pass it on once, in a chunk of its own, if the client asked."""
        self.usage = parse_usage(chunk.usage) or self.usage
        if self._keeps_chunk_usage:
            return build_event(data)
        if not chunk.choices:
            if not self._wants_usage:
                return None
            self._usage_event = None
            return build_event(data)
        fields: dict[str, Raw | bytes] = dict(parse_object(data))
        if self._wants_usage:
            self._usage_event = build_event(build_object({**fields, "choices": b"[]"}))
        del fields["usage"]
        return build_event(build_object(fields))

    def _take_done(self) -> bytes:
        self.is_over = True
        if not self.has_content or (self._finished and not self._seen <= self._finished):
            raise UpstreamTruncated()
        return self._close()

    def _close(self) -> bytes:
        self.is_over = True
        return (self._usage_event or b"") + DONE_EVENT

    def _regular(self, data: bytes, repair: Repair) -> bytes:
        try:
            value = _decode_any(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise UpstreamProtocolError("The provider sent an event that is not valid.") from None
        if not isinstance(value, dict):
            raise UpstreamProtocolError("The provider sent an event that is not an object.")
        return _encode(repair(value))


def _holds_content(choice: _FirstChoice) -> bool:
    delta = choice.delta
    if choice.text:
        return True
    return delta is not None and bool(
        delta.content
        or delta.tool_calls
        or delta.reasoning_content
        or delta.reasoning
        or delta.reasoning_details
        or delta.refusal
        or delta.audio
        or delta.function_call
    )


def _check_utf8(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        raise UpstreamProtocolError("The provider sent an event that is not UTF-8.") from None
