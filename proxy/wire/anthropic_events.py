"""Anthropic's answers, streamed or whole -> events, whatever way the bytes were split."""

import re
from collections.abc import Sequence

from msgspec import Struct

from proxy.domain.errors import (
    ProxyError,
    UpstreamProtocolError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.events import Event
from proxy.domain.exchange import Anomaly
from proxy.wire.anthropic_decoder import AnthropicDecoder, build_malformed, check_values
from proxy.wire.anthropic_shapes import TYPES, decode_any
from proxy.wire.json_text import mend_text
from proxy.wire.openai_error import read_error_text, without_words
from proxy.wire.sse import EventSplitter, EventTooLarge, ServerSentEvent
from proxy.wire.translated_stream import CONTENT

_PLAIN_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)


class Taken(Struct, gc=False):
    """One event of the provider's, and what it says."""

    name: str
    """What its `event:` line is to say; "": a client of the same dialect is not to get it."""
    data: bytes
    events: list[Event]


class Whole(Struct):
    """A whole answer: its body, with broken text mended, and what it says."""

    body: bytes
    events: list[Event]
    decoder: AnthropicDecoder
    anomalies: tuple[Anomaly, ...]


class AnthropicFeed:
    """
    Cuts a stream into its events and says what each of them means; never raises.

    Args:
        max_event_bytes: a larger event is an error.
        unwraps: see `AnthropicDecoder`.
    """

    def __init__(self, max_event_bytes: int, unwraps: str | None = None) -> None:
        self.error: ProxyError | None = None
        self.event_count = 0
        self.has_content = False
        """The commit point has been passed (see `wire/base.py`)."""
        self.decoder = AnthropicDecoder(unwraps)
        self._splitter = EventSplitter(max_event_bytes)

    @property
    def is_closed(self) -> bool:
        """Nothing that still comes matters."""
        return self.error is not None or self.decoder.is_over

    def feed(self, chunk: bytes) -> list[Taken]:
        """Take the next bytes and return the events that they complete."""
        if self.is_closed:
            return []
        try:
            return self._take(self._splitter.feed(chunk))
        except EventTooLarge as excess:
            taken = self._take(excess.events)
            if not self.is_closed:
                self.error = UpstreamTooLarge(
                    "The provider sent an event larger than this proxy accepts."
                )
            return taken

    def finish(self) -> list[Taken]:
        """
        Take note of the end of the body; return the last event, if it lacked its blank line.

        Sets `error` to UpstreamTruncated if the answer was not complete.
        """
        if self.is_closed:
            return []
        taken = self._take(self._splitter.finish())
        if isinstance(self.error, UpstreamProtocolError):
            # The last event lacked its end: what cannot be read of it is cut, not malformed.
            self.error = None
        if not self.is_closed and not self.decoder.is_finished:
            self.error = UpstreamTruncated()
        return taken

    def _take(self, blocks: Sequence[ServerSentEvent | bytes]) -> list[Taken]:
        taken = []
        for block in blocks:
            try:
                one = self._take_event(block)
            except ProxyError as error:
                self.error = without_words(error) if self.has_content else error
                break
            if one is None:
                continue
            taken.append(one)
            if not self.has_content:
                self.has_content = any(isinstance(event, CONTENT) for event in one.events)
            if self.decoder.is_over:
                break
        return taken

    def _take_event(self, block: ServerSentEvent | bytes) -> Taken | None:
        name, data = ("", block) if isinstance(block, bytes) else (block.name, block.data)
        data = data.strip()
        if name == "error" or b"\n" in data:
            check_values(data)
        if b"\n" in data:
            # Line ends are legal between JSON's tokens, where a space means the same and keeps
            # the event on one line; inside a string they are not.
            _check_lines(data)
            data = data.replace(b"\n", b" ")
        if not data or data.startswith(b"[DONE]"):
            # A sign of life, or the terminal event of another dialect: neither is one here.
            return None
        if name == "error":
            raise read_error_text(data)
        self.event_count += 1
        try:
            events = self.decoder.decode(data)
            return Taken(self._choose_name(name), data, events)
        except (ValueError, RecursionError):
            pass
        mended = mend_text(data)
        if mended == data:
            raise build_malformed()
        try:
            events = self.decoder.decode(mended)
        except (ValueError, RecursionError):
            raise build_malformed() from None
        self.decoder.anomalies.add("utf8_replaced")
        return Taken(self._choose_name(name), mended, events)

    def _choose_name(self, said: str) -> str:
        """Return the name of an event: its type, so that no client reads more into it than we."""
        kind = self.decoder.kind
        if kind in TYPES:
            return kind
        if not kind and (said == "ping" or said not in TYPES):
            kind = said
        return kind if _PLAIN_NAME.fullmatch(kind) else ""


class AnthropicEvents:
    """
    The EventReader (see `wire/dialect.py`) of Anthropic's streams.

    Args:
        max_event_bytes: a larger event is an error.
        unwraps: see `AnthropicDecoder`.

    Source: wire-formats §3.1; tests/wire/test_anthropic_events.py.
    """

    def __init__(self, max_event_bytes: int, unwraps: str | None = None) -> None:
        self._feed = AnthropicFeed(max_event_bytes, unwraps)

    @property
    def is_over(self) -> bool:
        """`message_stop` has arrived."""
        return self._feed.decoder.is_over

    @property
    def may_end(self) -> bool:
        """Nothing but `message_stop` says so."""
        return self.is_over

    @property
    def error(self) -> ProxyError | None:
        """What went wrong."""
        return self._feed.error

    @property
    def anomalies(self) -> set[Anomaly]:
        """What was odd and was mended or set aside."""
        return self._feed.decoder.anomalies

    @property
    def event_count(self) -> int:
        """Whole events of the provider so far, pings among them."""
        return self._feed.event_count

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes and return what they say (see `wire/dialect.py`)."""
        return _join(self._feed.feed(chunk))

    def finish(self) -> list[Event]:
        """Take note of the end of the body (see `wire/dialect.py`)."""
        feed = self._feed
        if feed.is_closed:
            return []
        events = _join(feed.finish())
        # Without `message_stop`, all that is missing is that: why it stopped has been said.
        return events if feed.is_closed else [*events, *feed.decoder.end()]


def read_anthropic_events(
    body: bytes, unwraps: str | None = None
) -> tuple[list[Event], tuple[Anomaly, ...]]:
    """
    Return what a whole answer says, and what was odd about it.

    Args:
        body: of an answer with status 200.
        unwraps: see `AnthropicDecoder`.

    Raises:
        UpstreamProtocolError: not JSON, or no message.
        UpstreamTooLarge: more values than MAX_VALUES in `json_text.py`.
        UpstreamTruncated: it does not say why it stopped.
        UpstreamError: an error object inside the 200, classified as the status it stands for.

    Source: wire-formats §3.1; tests/wire/test_anthropic_events.py.
    """
    whole = decode_whole(body, unwraps)
    return whole.events, whole.anomalies


def decode_whole(body: bytes, unwraps: str | None = None) -> Whole:
    """Return all that a whole answer says; arguments and errors as `read_anthropic_events`."""
    decoder = AnthropicDecoder(unwraps)
    try:
        return Whole(body, decoder.decode_answer(body), decoder, tuple(decoder.anomalies))
    except (ValueError, RecursionError):
        pass
    mended = mend_text(body)
    if mended == body:
        raise UpstreamProtocolError()
    decoder = AnthropicDecoder(unwraps)
    try:
        events = decoder.decode_answer(mended)
    except (ValueError, RecursionError):
        raise UpstreamProtocolError() from None
    return Whole(mended, events, decoder, ("utf8_replaced", *decoder.anomalies))


def _join(taken: list[Taken]) -> list[Event]:
    if len(taken) == 1:
        return taken[0].events
    return [event for one in taken for event in one.events]


def _check_lines(data: bytes) -> None:
    try:
        decode_any(mend_text(data))
    except (ValueError, RecursionError):
        raise build_malformed() from None
