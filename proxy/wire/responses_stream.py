"""
Streams of the Responses API for clients of the same dialect: read, and passed on as they came.

Whole events go through. Each is parsed once, into the few typed fields that decide whether it is
content, an end or an error; of nearly all of them these are its type and its delta.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import (
    ProxyError,
    UpstreamProtocolError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.exchange import Anomaly
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.json_text import MAX_VALUES, holds_too_many_values, mend_text
from proxy.wire.new_id import keep_short
from proxy.wire.openai_error import NO_VALUE, without_words
from proxy.wire.openai_said import count_bytes
from proxy.wire.responses_answer import ResponseFacts, decode_facts, note_kept
from proxy.wire.responses_error import read_error_event, read_failed_response
from proxy.wire.responses_usage import parse_responses_usage
from proxy.wire.sse import EventSplitter, EventTooLarge, ServerSentEvent
from proxy.wire.usage_estimate import estimate_usage

_ENDS = frozenset(("response.completed", "response.incomplete"))
_PRELUDE = frozenset(
    (
        *("response.created", "response.queued", "response.in_progress", "keepalive"),
        *("response.content_part.added", "response.reasoning_summary_part.added"),
    )
)
"""What says that something will come, and nothing of it."""
_OPENED = "response.output_item.added"
_SHELLS = frozenset(("message", "reasoning"))
"""Items that say nothing as they begin; any other is a call, which somebody acts on."""
_TYPE = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
_DONE = b"[DONE]"
_NO_ERROR = (b"", b"null")


class _Item(Struct, gc=False):
    type: str | None = None


class _Event(Struct, gc=False):
    """What is read of an event."""

    type: str = ""
    delta: Any = None
    sequence_number: int | None = None
    response: Raw = NO_VALUE
    item: _Item | None = None
    error: Raw = NO_VALUE


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_any = msgspec.json.Decoder().decode


class ResponsesStream:
    """The StreamReader (see `wire/base.py`) where both ends speak the Responses API."""

    def __init__(self, ask: Ask, max_event_bytes: int) -> None:
        self.has_content = False
        self.is_over = False
        self.error: ProxyError | None = None
        self.usage: Usage | None = None
        self.anomalies: set[Anomaly] = set()
        self.event_count = 0
        self._ask = ask
        self._said_bytes = 0
        self._response_id: str | None = None
        self._next_number = 0
        self._splitter = EventSplitter(max_event_bytes)

    @property
    def is_complete(self) -> bool:
        """The event that ends a response has come; no error."""
        return self.is_over and self.error is None

    @property
    def has_said_more(self) -> bool:
        """Usage comes with the last event: nothing is said behind it."""
        return False

    def estimate_usage(self) -> Usage:
        """Return the usage as estimated from what was said so far (see `wire/base.py`)."""
        return estimate_usage(self._ask, self._said_bytes)

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; return whole events for the client (see `wire/base.py`)."""
        if self.error is not None or self.is_over:
            return b""
        if self.has_content:
            events = self._splitter.split_named(chunk)
            if events is not None and self._goes_on(events, chunk):
                return chunk
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
        if isinstance(self.error, UpstreamProtocolError) or not (self.error or self.is_over):
            # What cannot be read of a last event without its end is cut, not malformed.
            self.error = UpstreamTruncated()
        return out

    def _goes_on(self, events: Sequence[tuple[bytes, bytes]], whole: bytes) -> bool:
        """
        Take events that say more of what has begun, and nothing else; of any other take none.

        Nearly every read is such: it goes on to the client as it came.
        """
        if len(whole) > MAX_VALUES:
            return False
        said_bytes = 0
        number = None
        try:
            for name, data in events:
                if not name.endswith(b".delta"):
                    return False
                event = _decode_event(data)
                if event.type.encode() != name or type(event.delta) is not str:
                    return False
                if event.error is not NO_VALUE:
                    return False
                said_bytes += count_bytes(event.delta)
                number = event.sequence_number
            if not whole.isascii():
                whole.decode()
        except (ValueError, RecursionError):
            return False
        self.event_count += len(events)
        self._said_bytes += said_bytes
        if number is not None:
            self._next_number = self._ask.next_number = number + 1
        return True

    def _take(self, events: Sequence[ServerSentEvent | bytes]) -> bytes:
        out = []
        for event in events:
            try:
                data = event if isinstance(event, bytes) else event.data.strip()
                passed = self._take_event(data)
            except ProxyError as error:
                self.error = without_words(error) if self.has_content else error
                break
            if passed:
                out.append(passed)
            if self.is_over:
                break
        if self.has_content:
            # Should it break from here on, its last events are ours.
            self._ask.response_id, self._ask.next_number = self._response_id, self._next_number
        return b"".join(out)

    def _take_event(self, data: bytes) -> bytes:
        """Return what the client gets for one event."""
        if data.startswith(_DONE):
            raise UpstreamTruncated()
        if not data:
            # Some servers' sign of life; clients would choke on it.
            return b""
        data, event = self._read(data)
        self.event_count += 1
        if event.type == "error" or bytes(event.error) not in _NO_ERROR:
            raise read_error_event(data)
        if not _TYPE.fullmatch(event.type):
            raise _malformed()
        self._note(event)
        if event.sequence_number is not None:
            self._next_number = event.sequence_number + 1
        return b"event: %b\ndata: %b\n\n" % (event.type.encode(), data)

    def _read(self, data: bytes) -> tuple[bytes, _Event]:
        """Return an event's data, mended where need be and on one line, and what it says."""
        if len(data) > MAX_VALUES and holds_too_many_values(data):
            raise UpstreamTooLarge("The provider sent an event of more parts than are accepted.")
        try:
            return _read_event(data)
        except (ValueError, RecursionError):
            pass
        mended = mend_text(data)
        if mended == data:
            raise _malformed()
        try:
            found = _read_event(mended)
        except (ValueError, RecursionError):
            raise _malformed() from None
        self.anomalies.add("utf8_replaced")
        return found

    def _note(self, event: _Event) -> None:
        kind = event.type
        if kind.endswith(".delta"):
            self._said_bytes += count_bytes(event.delta)
            self.has_content = self.has_content or bool(event.delta)
        elif kind in _ENDS:
            self._end(event.response)
        elif kind == "response.failed":
            self._read_usage(_read_facts(event.response))
            raise read_failed_response(event.response)
        elif kind == "response.cancelled":
            raise UpstreamTruncated()
        elif kind == "response.created":
            self._begin(event.response)
        elif kind == _OPENED:
            is_shell = event.item is None or event.item.type in _SHELLS
            self.has_content = self.has_content or not is_shell
        elif kind not in _PRELUDE:
            self.has_content = True

    def _begin(self, response: Raw) -> None:
        facts = _read_facts(response)
        note_kept(self._ask, facts)
        self._response_id = keep_short(facts.id)

    def _end(self, response: Raw) -> None:
        """Take the event that ends the response and holds all of it once more."""
        facts = _read_facts(response)
        note_kept(self._ask, facts)
        self._read_usage(facts)
        self.has_content = self.is_over = True

    def _read_usage(self, facts: ResponseFacts) -> None:
        """Take the token counts of a response that is over; a failed one may have cost, too."""
        if bytes(facts.usage) not in (b"", b"null"):
            self.usage = parse_responses_usage(facts.usage)
            if self.usage is None:
                self.anomalies.add("usage_anomaly")


def _read_event(data: bytes) -> tuple[bytes, _Event]:
    if b"\n" in data:
        # Line ends are legal between JSON's tokens, where a space means the same and keeps the
        # event on one line; inside a string they are not.
        _decode_any(data)
        data = data.replace(b"\n", b" ")
    event = _decode_event(data)
    if not data.isascii():
        data.decode()
    return data, event


def _read_facts(response: Raw) -> ResponseFacts:
    try:
        return decode_facts(response)
    except (ValueError, RecursionError):
        raise _malformed() from None


def _malformed() -> UpstreamProtocolError:
    return UpstreamProtocolError("The provider sent an event that is not valid.")
