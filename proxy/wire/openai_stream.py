"""
OpenAI's event streams (chat completions and completions), read and passed on.

Whole events go through as they came. Each is parsed once, into the few typed fields that
decide whether it is content, an end, usage or an error; only an event that the client must
not get as it is (usage that it did not ask for) is written anew.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import (
    ProxyError,
    UpstreamProtocolError,
    UpstreamServerError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.exchange import Anomaly
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.json_text import (
    MAX_VALUES,
    JsonError,
    build_object,
    holds_too_many_values,
    mend_text,
    parse_object,
)
from proxy.wire.openai_error import NO_VALUE, check_no_error, read_error_text, without_words
from proxy.wire.openai_said import Said, count_bytes, count_said_bytes, holds_content
from proxy.wire.openai_usage import parse_usage
from proxy.wire.sse import EventSplitter, EventTooLarge, ServerSentEvent, build_event
from proxy.wire.usage_estimate import estimate_usage

DONE = b"[DONE]"
DONE_EVENT = build_event(DONE)

_HIGHEST_INDEX = 65_535
"""`n` for each of a list of prompts; beyond it a stream only means to fill our memory."""


class Repair(Protocol):
    """Makes the events of one stream, or one whole answer, regular; never raises."""

    def __call__(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return one decoded event or answer made regular; it may be changed in place."""

    def finish(self) -> dict[str, Any] | None:
        """Return a last event with text that is still held back, None if there is none."""


class _Choice(Struct, gc=False):
    index: int = 0
    finish_reason: str | None = None
    delta: Said | list[Any] | None = None
    """A list is the empty object of servers whose language knows no difference."""
    text: Any = None


class _Chunk(Struct, gc=False):
    """What is read of an event."""

    choices: list[_Choice] | None = None
    usage: Raw = NO_VALUE
    error: Raw = NO_VALUE
    object: str | None = None


class _Name(Struct, gc=False):
    id: Any = None


_decode_id = msgspec.json.Decoder(_Name).decode
_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


class OpenAIStream:
    """The StreamReader (see `wire/base.py`) where both ends speak OpenAI's format."""

    def __init__(self, ask: Ask, max_event_bytes: int, repair: Repair | None = None) -> None:
        self.has_content = False
        self.is_over = False
        self.error: ProxyError | None = None
        self.usage: Usage | None = None
        self.anomalies: set[Anomaly] = set()
        self.event_count = 0
        self._ask = ask
        self._said_bytes = 0
        self._counted_bytes = 0
        """What had been said when usage was last reported."""
        self._splitter = EventSplitter(max_event_bytes)
        self._repair = repair
        self._choices = ask.choices
        self._wants_usage = ask.wants_usage
        self._keeps_chunk_usage = ask.keeps_chunk_usage
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._owed_usage: dict[str, Raw | bytes] | None = None
        """The last chunk with usage in it, while a client that asked has not had it."""

    @property
    def is_complete(self) -> bool:
        """Every choice that was asked for, and every one that began, has its finish reason."""
        if self.is_over or self.error is not None:
            return self.error is None
        finished = self._finished
        return len(finished) >= self._choices and self._seen <= finished

    @property
    def has_said_more(self) -> bool:
        """More has been said since usage was last reported (see `wire/base.py`)."""
        return self._said_bytes > self._counted_bytes

    def estimate_usage(self) -> Usage:
        """Return the usage as estimated from what was said so far (see `wire/base.py`)."""
        return estimate_usage(self._ask, self._said_bytes)

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; return whole events for the client (see `wire/base.py`)."""
        if self.error is not None or self.is_over:
            return b""
        events = self._splitter.split_plain(chunk)
        if events is not None:
            return chunk if self._goes_on(events, chunk) else self._take(events)
        try:
            return self._take(self._splitter.feed(chunk))
        except EventTooLarge as excess:
            out = self._take(excess.events)
            if self.error is None and not self.is_over:
                self.error = UpstreamTooLarge(
                    "The provider sent an event larger than this proxy accepts."
                )
            return out

    def finish(self) -> bytes:
        """Take note of the end of the body (see `wire/base.py`)."""
        if self.error is not None or self.is_over:
            return b""
        out = self._take(self._splitter.finish())
        if isinstance(self.error, UpstreamProtocolError):
            # The last event lacked its end: what cannot be read of it is cut, not malformed.
            self.error = None
        if self.error is not None or self.is_over:
            return out
        if not self.is_complete:
            self.error = UpstreamTruncated()
            return out
        return out + self._close()

    def _goes_on(self, events: list[bytes], whole: bytes) -> bool:
        """
        Take events that say more of what has begun, and nothing else; of any other take none.

        Nearly every read is such: it goes on to the client as it came.
        """
        if self._repair is not None or not self.has_content or len(whole) > MAX_VALUES:
            return False
        seen = self._seen
        said_bytes = 0
        try:
            for data in events:
                chunk = _decode_chunk(data)
                if not chunk.choices or not _is_mere_content(chunk):
                    return False
                for choice in chunk.choices:
                    if choice.finish_reason or choice.text or choice.index not in seen:
                        return False
                    if isinstance(choice.delta, Said):
                        said_bytes += count_said_bytes(choice.delta)
            if not whole.isascii():
                whole.decode()
        except (ValueError, RecursionError):
            return False
        self.event_count += len(events)
        self._said_bytes += said_bytes
        return True

    def _take(self, events: Sequence[ServerSentEvent | bytes]) -> bytes:
        out = []
        for event in events:
            try:
                if isinstance(event, bytes):
                    passed = self._take_event(event)
                else:
                    passed = self._take_irregular(event)
            except ProxyError as error:
                self.error = without_words(error) if self.has_content else error
                break
            if passed is not None:
                out.append(passed)
            if self.is_over:
                break
        return out[0] if len(out) == 1 else b"".join(out)

    def _take_irregular(self, event: ServerSentEvent) -> bytes | None:
        data = event.data.strip()
        if event.name == "error":
            raise read_error_text(data)
        if b"\n" in data:
            # Line ends are legal between JSON's tokens, where a space means the same and
            # keeps the event on one line; inside a string they are not.
            try:
                _decode_any(mend_text(data))
            except (ValueError, RecursionError):
                raise _malformed() from None
            data = data.replace(b"\n", b" ")
        return self._take_event(data)

    def _take_event(self, data: bytes) -> bytes | None:
        """Return what the client gets for one event, None for nothing."""
        if data.startswith(DONE):
            return self._take_done()
        self.event_count += 1
        if len(data) > MAX_VALUES and holds_too_many_values(data):
            raise UpstreamTooLarge("The provider sent an event of more parts than are accepted.")
        try:
            if self._repair is not None:
                data = self._regular(data, self._repair)
            chunk = _decode_chunk(data)
            if not data.isascii():
                data.decode()
        except (ValueError, RecursionError):
            return self._take_faulty(data)
        if chunk.error is not NO_VALUE or chunk.object == "error":
            check_no_error(chunk.error, chunk.object, data)
        if chunk.choices:
            self._take_choices(chunk.choices)
        if chunk.usage is not NO_VALUE and bytes(chunk.usage) != b"null":
            return self._take_usage(data, chunk)
        if not chunk.choices and _decode_id(data).id == "":
            # Azure's first event tells of its filters. Clients would keep its empty id and model.
            return None
        return build_event(data)

    def _take_faulty(self, data: bytes) -> bytes | None:
        """Give an event that cannot be read its second and last chance."""
        self.event_count -= 1
        text = data.strip()
        if not text:
            # An empty event is some servers' sign of life; clients would choke on it.
            return None
        if text.startswith(DONE):
            return self._take_done()
        mended = mend_text(data)
        if mended == data:
            raise _malformed()
        out = self._take_event(mended)
        self.anomalies.add("utf8_replaced")
        return out

    def _take_choices(self, choices: list[_Choice]) -> None:
        for choice in choices:
            if choice.index not in self._seen:
                if not 0 <= choice.index <= _HIGHEST_INDEX:
                    raise _malformed()
                self._seen.add(choice.index)
            if choice.finish_reason:
                if choice.finish_reason == "error":
                    raise UpstreamServerError()
                self._finished.add(choice.index)
                self.has_content = True
            delta = choice.delta
            if isinstance(delta, Said):
                self._said_bytes += count_said_bytes(delta)
                if not self.has_content:
                    self.has_content = holds_content(delta)
            if choice.text:
                self._said_bytes += count_bytes(choice.text)
                self.has_content = True

    def _take_usage(self, data: bytes, chunk: _Chunk) -> bytes | None:
        """Note the usage; pass it on once, in a chunk of its own, if the client asked."""
        usage = parse_usage(chunk.usage)
        if usage is None:
            self.anomalies.add("usage_anomaly")
        else:
            self.usage = usage
            self._counted_bytes = self._said_bytes
        if self._keeps_chunk_usage:
            return build_event(data)
        if not chunk.choices:
            if not self._wants_usage:
                return None
            self._owed_usage = None
            return build_event(data)
        try:
            fields: dict[str, Raw | bytes] = dict(parse_object(data))
        except JsonError:
            raise _malformed() from None
        if self._wants_usage:
            self._owed_usage = {**fields, "choices": b"[]"}
        fields.pop("usage", None)
        return build_event(build_object(fields))

    def _take_done(self) -> bytes:
        out = b""
        rest = None if self._repair is None else self._repair.finish()
        if rest is not None:
            self._repair = None
            out = self._take_event(_encode(rest)) or b""
        self.is_over = True
        if not self.has_content or (self._finished and not self._seen <= self._finished):
            raise UpstreamTruncated()
        return out + self._close()

    def _close(self) -> bytes:
        self.is_over = True
        owed = self._owed_usage
        return DONE_EVENT if owed is None else build_event(build_object(owed)) + DONE_EVENT

    def _regular(self, data: bytes, repair: Repair) -> bytes:
        value = _decode_any(data)
        if not isinstance(value, dict):
            raise _malformed()
        return _encode(repair(value))


def _is_mere_content(chunk: _Chunk) -> bool:
    is_error = chunk.error is not NO_VALUE or chunk.object == "error"
    return not is_error and (chunk.usage is NO_VALUE or bytes(chunk.usage) == b"null")


def _malformed() -> UpstreamProtocolError:
    return UpstreamProtocolError("The provider sent an event that is not valid.")
