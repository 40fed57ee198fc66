"""Tests of `proxy/wire/translated_stream.py`, with a reader that is told what to say."""

from collections.abc import Sequence

from msgspec import Raw

from proxy.domain.errors import (
    ProxyError,
    UpstreamServerError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.events import (
    CallArguments,
    CallStarted,
    Counted,
    Event,
    Finished,
    Refused,
    Said,
    Started,
    Thinking,
)
from proxy.domain.exchange import Anomaly
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.translated_stream import TranslatedStream

PROMPT = Raw(b'"12345678"')


class ScriptedReader:
    """An EventReader whose events are scripted; each piece of bytes is a key of the script."""

    def __init__(self, script: dict[bytes, list[Event]], last: Sequence[Event] = ()) -> None:
        self.is_over = False
        self.may_end = False
        self.error: ProxyError | None = None
        self.anomalies: set[Anomaly] = {"utf8_replaced"}
        self.event_count = 0
        self._script = script
        self._last = last

    def feed(self, chunk: bytes) -> list[Event]:
        """Return what is scripted for the piece; `end` is the terminal event."""
        self.event_count += 1
        self.is_over = chunk == b"end"
        if chunk == b"fail":
            self.error = UpstreamServerError()
        return self._script.get(chunk, [])

    def finish(self) -> list[Event]:
        """Return what was held back, if there is any; else the stream was truncated."""
        if not self._last:
            self.error = UpstreamTruncated()
        return list(self._last)


class ListingWriter:
    """An EventWriter that writes the names of events."""

    def __init__(self) -> None:
        self.usage: Usage | None = None

    def write(self, events: Sequence[Event]) -> bytes:
        """Return one word for each event."""
        for event in events:
            if isinstance(event, Counted):
                self.usage = event.usage
        return b"".join(type(event).__name__.encode() + b" " for event in events)

    def finish(self) -> bytes:
        """Return the end."""
        return b"done"


def open_stream(
    *last: Event, **script: list[Event]
) -> tuple[TranslatedStream, ScriptedReader, ListingWriter]:
    reader = ScriptedReader({name.encode(): events for name, events in script.items()}, last)
    writer = ListingWriter()
    ask = Ask("completions", "m", {"prompt": PROMPT}, streams=True)
    return TranslatedStream(ask, reader, writer), reader, writer


def test_events_go_from_the_reader_to_the_writer() -> None:
    """What the provider says is what the client gets; the terminal event completes it."""
    stream, _, _ = open_stream(a=[Started(), Said("Hi")], end=[Finished("stop")])
    assert stream.feed(b"a") == b"Started Said "
    assert not stream.is_complete
    assert stream.feed(b"nothing") == b""
    assert stream.feed(b"end") == b"Finished done"
    assert stream.is_over and stream.is_complete
    assert stream.feed(b"a") == stream.finish() == b""


def test_the_end_of_the_body_may_complete_the_stream() -> None:
    """What was held back is told, then the client's stream is closed, once."""
    stream, _, _ = open_stream(Said("Hi"), Finished("stop"))
    assert stream.finish() == b"Said Finished done"
    assert stream.is_complete
    assert stream.finish() == b""


def test_a_truncated_stream_is_not_closed() -> None:
    """Without its end a stream is an error: the client must not get the sign of a success."""
    stream, _, _ = open_stream(a=[Said("Hi")])
    assert stream.feed(b"a") == b"Said "
    assert stream.finish() == b""
    assert isinstance(stream.error, UpstreamTruncated)
    assert not stream.is_complete and not stream.is_over


def test_an_error_stops_the_stream_behind_what_was_good() -> None:
    """Events before a fault are told; nothing comes behind it."""
    stream, _, _ = open_stream(a=[Said("a")], fail=[Said("b")])
    assert stream.feed(b"fail") == b"Said "
    assert isinstance(stream.error, UpstreamServerError)
    assert stream.feed(b"a") == stream.finish() == b""
    assert not stream.is_complete


def test_only_what_a_client_can_use_passes_the_commit_point() -> None:
    """A start and counts are no content; text, thoughts, calls, refusals and ends are."""
    stream, _, _ = open_stream(a=[Started(), Counted(Usage(1, 1))])
    stream.feed(b"a")
    assert not stream.has_content
    for event in (
        Said("a"),
        Thinking("a", "openai"),
        CallStarted(0, "c", "f"),
        Refused("a"),
        Finished("stop"),
    ):
        stream, _, _ = open_stream(a=[event])
        stream.feed(b"a")
        assert stream.has_content


def test_usage_is_the_last_that_came() -> None:
    """Of several counts the last holds, and more that is said after it is known to be more."""
    first, last = Usage(1, 1), Usage(2, 2)
    stream, _, writer = open_stream(
        a=[Said("a"), Counted(first)], b=[Said("b")], end=[Counted(last), Finished("stop")]
    )
    stream.feed(b"a")
    assert (stream.usage, stream.has_said_more) == (first, False)
    stream.feed(b"b")
    assert stream.has_said_more
    stream.feed(b"end")
    assert stream.usage == last == writer.usage


def test_usage_that_nobody_counted_is_estimated_for_the_client_too() -> None:
    """A quarter of the bytes: of the prompt, and of all words, thoughts and arguments."""
    stream, _, writer = open_stream(
        a=[Said("1234é"), Thinking("12", "openai"), Refused("12"), CallArguments(0, "{}")],
        end=[Finished("stop")],
    )
    stream.feed(b"a")
    assert stream.usage is None
    assert stream.estimate_usage() == Usage(3, 3, source="estimated")
    stream.feed(b"end")
    assert stream.usage == Usage(3, 3, source="estimated") == writer.usage


def test_what_the_reader_knows_is_told() -> None:
    """Oddities and the number of events are the reader's."""
    stream, _, _ = open_stream()
    stream.feed(b"a")
    assert (stream.anomalies, stream.event_count) == ({"utf8_replaced"}, 1)


def test_an_answer_that_lacks_nothing_stays_complete() -> None:
    """Where the reader could end, a body that breaks costs nobody the answer."""
    stream, reader, _ = open_stream(Finished("stop"), a=[Started(), Said("x")])
    stream.feed(b"a")
    assert not stream.is_complete
    reader.may_end = True
    assert stream.is_complete and not stream.is_over
    assert stream.finish().endswith(b"done") and stream.is_over
    reader.error = UpstreamServerError()
    assert not stream.is_complete


class FullWriter(ListingWriter):
    """An EventWriter that has no room for an answer's words."""

    def write(self, events: Sequence[Event]) -> bytes:
        """Return one word for each event, but refuse what is said."""
        if any(isinstance(event, Said) for event in events):
            raise UpstreamTooLarge()
        return super().write(events)


class FullAtLast(ListingWriter):
    """A client's writer whose end is longer than it can take."""

    def finish(self) -> bytes:
        """Refuse."""
        raise UpstreamTooLarge()


def test_an_end_that_the_clients_dialect_cannot_take_is_an_error() -> None:
    """A reader never raises; the answer is not complete."""
    reader = ScriptedReader({b"a": [Started()], b"end": [Finished("stop")]})
    stream = TranslatedStream(Ask("completions", "m", {"prompt": PROMPT}), reader, FullAtLast())
    stream.feed(b"a")
    assert stream.feed(b"end") == b"Finished "
    stream.finish()
    assert isinstance(stream.error, UpstreamTooLarge)
    assert not stream.is_complete


def test_an_answer_that_the_clients_dialect_cannot_take_is_an_error() -> None:
    """What was good before it has been returned, and nothing comes after it."""
    reader = ScriptedReader({b"a": [Started()], b"b": [Said("x")], b"end": [Finished("stop")]})
    ask = Ask("completions", "m", {"prompt": PROMPT}, streams=True)
    stream = TranslatedStream(ask, reader, FullWriter())
    assert stream.feed(b"a") == b"Started "
    assert stream.feed(b"b") == b""
    assert isinstance(stream.error, UpstreamTooLarge)
    assert stream.feed(b"end") == stream.finish() == b""
    assert not stream.is_complete
