"""
The contract of a dialect's writer and the reader of the same dialect.

An answer that the one has written and the other has read is the same answer. Whoever has such a
pair makes a class of `DialectContract`; tests/wire/test_dialects.py has those that there are.
"""

import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import strategies as st

from proxy.domain.chat import Maker
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Counted,
    Event,
    Finished,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.dialect import Dialect, EventReader
from proxy.wire.gathered_answer import gather_answer
from tests.wire.splits import every_cut

USAGE = Usage(40, 12, cached_tokens=8, cache_write_tokens=4, reasoning_tokens=3)
TEXT: list[Event] = [Said("Hi \u2013 "), Said('é "quoted"\n'), Said("\U0001f600")]
FIRST_CALL: list[Event] = [
    CallStarted(0, "call_a", "weather"),
    CallArguments(0, '{"city":'),
    CallArguments(0, '"Oslo \u2013 é"}'),
    CallEnded(0),
]
SECOND_CALL: list[Event] = [CallStarted(1, "call_b", "clock"), CallArguments(1, "{}"), CallEnded(1)]

ANSWERS: dict[str, list[Event]] = {
    "text": [*TEXT, Finished("stop")],
    "cut short": [Said("Hi"), Finished("length")],
    "held back": [Said("I"), Finished("content_filter")],
    "one call": [*FIRST_CALL, Finished("tool_calls")],
    "two calls behind text": [*TEXT, *FIRST_CALL, *SECOND_CALL, Finished("tool_calls")],
    "no words": [Finished("stop")],
}


WORDS = st.text(min_size=1, max_size=4)


@st.composite
def any_answer(draw: st.DrawFn) -> list[Event]:
    """Any text, then any calls, in any pieces; no arguments are `{}`."""
    events: list[Event] = [Said(text) for text in draw(st.lists(WORDS, max_size=3))]
    calls = draw(st.lists(st.dictionaries(WORDS, WORDS, max_size=2), max_size=3))
    for index, arguments in enumerate(calls):
        text = json.dumps(arguments)
        place = draw(st.integers(1, len(text)))
        events.append(CallStarted(index, f"call_{index}", f"f{index}"))
        events += [CallArguments(index, piece) for piece in (text[:place], text[place:]) if piece]
        events.append(CallEnded(index))
    return [*events, Finished("tool_calls" if calls else "stop")]


def what_is_said(events: Sequence[Event]) -> Any:
    """All of an answer that a client can see, in a form that compares."""
    answer = gather_answer(events)
    assert answer.usage is not None
    choices = {
        index: (
            choice.text,
            choice.thoughts,
            [(call.id, call.name, call.arguments) for call in choice.calls],
            choice.refusal,
            choice.finished and choice.finished.reason,
        )
        for index, choice in answer.choices.items()
    }
    return answer.started.id, answer.started.model, answer.usage, choices


class DialectContract:
    """What holds for every pair; a class of it says which one it is."""

    dialect: Dialect
    maker: Maker
    """Whose signed thoughts the pair carries as they are."""

    @abstractmethod
    def ask(self, *, streams: bool) -> Ask:
        """Return a request whose client wants to see thoughts, and usage."""

    @abstractmethod
    def open_reader(self) -> EventReader:
        """Return a fresh reader of a stream."""

    @abstractmethod
    def read_whole(self, body: bytes) -> Sequence[Event]:
        """Return the events of a whole answer."""

    def complete(self, events: Sequence[Event]) -> list[Event]:
        """Return the events of an answer with all that each answer has."""
        return [Started("msg_1", "m", 7), Counted(USAGE), *events, Counted(USAGE)]

    def write(self, events: Sequence[Event]) -> bytes:
        """Return an answer as a stream."""
        writer = self.dialect.open_writer(self.ask(streams=True))
        return writer.write(events) + writer.finish()

    def read(self, pieces: Sequence[bytes]) -> list[Event]:
        """Return the events of a stream that is complete."""
        reader = self.open_reader()
        events = [event for piece in pieces for event in reader.feed(piece)]
        if not reader.is_over:
            events += reader.finish()
        assert reader.error is None
        return events

    @property
    def thoughts(self) -> list[Event]:
        """A thought that is signed, one that nobody may read, and an answer."""
        return [
            Thinking("Let me ", self.maker),
            Thinking("see.", self.maker),
            ThoughtEnded(self.maker, "c2lnbmVk"),
            ThoughtEnded(self.maker, "aGlkZGVu", is_redacted=True),
            *TEXT,
            *FIRST_CALL,
            Finished("tool_calls"),
        ]

    @pytest.mark.parametrize("name", ANSWERS)
    def test_a_stream_says_what_was_written(self, name: str) -> None:
        """The events of a stream, written and read, come to the same answer."""
        events = self.complete(ANSWERS[name])
        assert what_is_said(self.read([self.write(events)])) == what_is_said(events)

    @pytest.mark.parametrize("name", ANSWERS)
    def test_a_whole_answer_says_what_was_written(self, name: str) -> None:
        """The events of a whole answer, written and read, come to the same answer."""
        events = self.complete(ANSWERS[name])
        body = self.dialect.write_answer(self.ask(streams=False), events)
        assert what_is_said(self.read_whole(body)) == what_is_said(events)

    def test_thoughts_come_back_as_their_maker_wants_them(self) -> None:
        """Text and signature of a thought, and one that is redacted, are the same afterwards."""
        events = self.complete(self.thoughts)
        said = what_is_said(events)
        assert len(said[3][0][1]) == 2
        assert what_is_said(self.read([self.write(events)])) == said
        body = self.dialect.write_answer(self.ask(streams=False), events)
        assert what_is_said(self.read_whole(body)) == said

    def test_the_split_of_the_bytes_is_of_no_matter(self) -> None:
        """However a stream is cut, it says the same."""
        events = self.complete(self.thoughts)
        said = what_is_said(events)
        for pieces in every_cut(self.write(events)):
            assert what_is_said(self.read(pieces)) == said

    def test_one_event_at_a_time_is_the_same_stream(self) -> None:
        """A writer makes the same answer of events whether they come together or one by one."""
        events = self.complete(ANSWERS["two calls behind text"])
        writer = self.dialect.open_writer(self.ask(streams=True))
        alone = b"".join(writer.write([event]) for event in events) + writer.finish()
        assert what_is_said(self.read([alone])) == what_is_said(events)

    def test_a_stream_that_is_cut_off_is_no_success(self) -> None:
        """Wherever a stream ends before its end, the reader reports that it was truncated."""
        whole = self.write(self.complete(ANSWERS["two calls behind text"]))
        for size in range(self.shortest_success(whole)):
            reader = self.open_reader()
            reader.feed(whole[:size])
            assert not reader.is_over
            reader.finish()
            assert reader.error is not None

    def shortest_success(self, whole: bytes) -> int:
        """Return how many of a stream's bytes are enough; by default all but its last line ends."""
        return len(whole.rstrip())
