"""Answers of a provider that speaks OpenAI's format -> events: streams, and whole answers."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import Citation
from proxy.domain.errors import ProxyError, UpstreamProtocolError
from proxy.domain.events import Counted, Event, Started
from proxy.domain.exchange import Anomaly
from proxy.wire.new_id import keep_short
from proxy.wire.openai_choice import ChoiceReader, Delta
from proxy.wire.openai_error import NO_VALUE
from proxy.wire.openai_stream import DONE, OpenAIStream
from proxy.wire.openai_usage import parse_usage

_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
_MOST_SOURCES = 256
_LATEST = 2**53
"""No time is later; JavaScript's clients can hold no larger number exactly."""


class _Choice(Struct, gc=False):
    index: int = 0
    delta: Delta | list[Any] | None = None
    """A list is the empty object of servers whose language knows no difference."""
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Raw = NO_VALUE


class _Chunk(Struct, gc=False):
    id: Any = None
    created: Any = None
    model: Any = None
    choices: list[_Choice] | None = None
    usage: Raw = NO_VALUE
    citations: Raw = NO_VALUE
    """Perplexity's: addresses, repeated in each chunk."""


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_any = msgspec.json.Decoder().decode


class OpenAIEvents:
    """
    The EventReader (see `wire/dialect.py`) of a chat completion's stream.

    What is an event, an end and an error, `OpenAIStream` decides, with the repairs of the
    provider's type; this reads what it passes on.

    Source: wire-formats §2.3; tests/wire/test_openai_events.py.
    """

    def __init__(self, stream: OpenAIStream) -> None:
        """
        Args:
            stream: of an Ask of a chat that keeps usage in all chunks.
        """
        self._stream = stream
        self._error: ProxyError | None = None
        self._choices: dict[int, ChoiceReader] = {}
        self._has_started = False
        self._citations = NO_VALUE

    @property
    def is_over(self) -> bool:
        """The terminal event has arrived."""
        return self._stream.is_over

    @property
    def may_end(self) -> bool:
        """Every choice has its finish reason."""
        return self._error is None and self._stream.is_complete

    @property
    def error(self) -> ProxyError | None:
        """What went wrong."""
        return self._error or self._stream.error

    @property
    def anomalies(self) -> set[Anomaly]:
        """What was odd."""
        return self._stream.anomalies

    @property
    def event_count(self) -> int:
        """Whole events so far."""
        return self._stream.event_count

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes and return what they say (see `wire/dialect.py`)."""
        return [] if self._error is not None else self._read(self._stream.feed(chunk))

    def finish(self) -> list[Event]:
        """Take note of the end of the body (see `wire/dialect.py`)."""
        return [] if self._error is not None else self._read(self._stream.finish())

    def _read(self, passed: bytes) -> list[Event]:
        """Return what whole events of one line say, as `OpenAIStream` passes them on."""
        events: list[Event] = []
        try:
            if passed:
                for data in passed[6:-2].split(b"\n\ndata: "):
                    if not data.startswith(DONE):
                        self._take(_decode_chunk(data), events)
            if self._stream.is_over and self._stream.error is None:
                for choice in self._choices.values():
                    if not choice.is_finished:
                        choice.finish(None, self._read_sources(), events)
        except ProxyError as error:
            self._error = error
        except (ValueError, RecursionError):
            self._error = UpstreamProtocolError("The provider sent an event that is not valid.")
        return events

    def _take(self, chunk: _Chunk, events: list[Event]) -> None:
        if not self._has_started and (chunk.id or chunk.choices):
            self._has_started = True
            events.append(_read_start(chunk))
        if chunk.citations is not NO_VALUE:
            self._citations = chunk.citations
        for choice in chunk.choices or ():
            self._take_choice(choice, events)
        if chunk.usage is not NO_VALUE:
            _count(chunk.usage, events)

    def _take_choice(self, choice: _Choice, events: list[Event]) -> None:
        reader = self._choices.get(choice.index)
        if reader is None:
            reader = self._choices[choice.index] = ChoiceReader(choice.index)
        elif reader.is_finished:
            return
        if isinstance(choice.delta, Delta):
            reader.take(choice.delta, events)
        if choice.logprobs is not NO_VALUE:
            reader.take_log_probs(choice.logprobs, events)
        if choice.finish_reason:
            reader.finish(choice.finish_reason, self._read_sources(), events)

    def _read_sources(self) -> list[Citation]:
        return read_sources(self._citations)


def read_openai_events(body: bytes) -> list[Event]:
    """
    Return the events of a whole chat completion.

    Args:
        body: an answer that `read_openai_answer` has found good, as it has made it regular.

    Raises:
        UpstreamProtocolError: members that must be objects are none, or a call has no name.
        UpstreamTooLarge: more calls, or larger arguments, than are kept.

    Source: wire-formats §2.3; tests/wire/test_openai_events.py.
    """
    events: list[Event] = []
    try:
        # A line end inside a string is written as an escape. A raw one is a blank, and has no
        # place in the events of a stream, which some values go into as they came.
        answer = _decode_chunk(body.translate(_ONE_LINE))
    except (ValueError, RecursionError):
        raise UpstreamProtocolError() from None
    events.append(_read_start(answer))
    sources = read_sources(answer.citations)
    choices = answer.choices or []
    places = range(len(choices))
    own = [choice.index for choice in choices]
    for index, choice in zip(own if sorted(own) == list(places) else places, choices, strict=True):
        reader = ChoiceReader(index)
        if choice.message is not None:
            reader.take(choice.message, events)
        if choice.logprobs is not NO_VALUE:
            reader.take_log_probs(choice.logprobs, events)
        reader.finish(choice.finish_reason, sources, events)
    if answer.usage is not NO_VALUE:
        _count(answer.usage, events)
    return events


def read_sources(raw: Raw) -> list[Citation]:
    """Return the sources that Perplexity names beside its choices: a list of addresses."""
    if not bytes(raw).startswith(b"["):
        return []
    found = _decode_any(raw)
    return [Citation(url=url) for url in found[:_MOST_SOURCES] if isinstance(url, str)]


def _read_start(chunk: _Chunk) -> Started:
    created = chunk.created
    return Started(
        id=keep_short(chunk.id) if isinstance(chunk.id, str) and chunk.id else None,
        model=keep_short(chunk.model) if isinstance(chunk.model, str) and chunk.model else None,
        created=created if type(created) is int and 0 < created < _LATEST else None,
    )


def _count(raw: Raw, events: list[Event]) -> None:
    if bytes(raw) == b"null":
        return
    usage = parse_usage(raw)
    if usage is not None:
        events.append(Counted(usage))
