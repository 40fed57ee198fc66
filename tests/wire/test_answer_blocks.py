"""Tests of `proxy/wire/answer_blocks.py`."""

import json
import time
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import Citation
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Cited,
    Event,
    Refused,
    Said,
    Thinking,
    ThoughtEnded,
)
from proxy.wire.answer_blocks import BlockBuilder, Display, Member

HM = Thinking("Hm", "gemini")
SIGNED = ThoughtEnded("gemini", "s")
UNSIGNED = ThoughtEnded("gemini")
THOUGHT = {"type": "thinking", "thinking": "", "signature": ""}
SLACK = 10
"""Promised times are asserted at ten times their value: tests run on busy machines."""


class Sink:
    """Keeps what it is told, and sees to it that blocks do not overlap."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.is_open = False

    def open(self, block: dict[str, object]) -> None:
        assert not self.is_open
        self.is_open = True
        self.calls.append(("open", block))

    def add(self, member: Member, text: str) -> None:
        assert self.is_open
        self.calls.append((member, text))

    def cite(self, citation: Raw) -> None:
        assert self.is_open
        self.calls.append(("cite", json.loads(bytes(citation))))

    def close(self) -> None:
        assert self.is_open
        self.is_open = False
        self.calls.append(("close",))


def build(*events: Event, display: Display = "shown") -> list[tuple[Any, ...]]:
    sink = Sink()
    builder = BlockBuilder(sink, display)
    for event in events:
        builder.take(event)
    builder.end()
    assert not sink.is_open
    return sink.calls


def opened(*events: Event, display: Display = "shown") -> list[str]:
    return [call[1]["type"] for call in build(*events, display=display) if call[0] == "open"]


def test_a_block_ends_where_another_begins() -> None:
    """Text, thought and text again are three blocks, the same kind in a row is one."""
    assert build(Said("a"), Said("b"), HM, SIGNED, Said("c")) == [
        ("open", {"type": "text", "text": ""}),
        ("text", "a"),
        ("text", "b"),
        ("close",),
        ("open", THOUGHT),
        ("thinking", "Hm"),
        ("signature", "lp1.gemini.s"),
        ("close",),
        ("open", {"type": "text", "text": ""}),
        ("text", "c"),
        ("close",),
    ]


@pytest.mark.parametrize("event", [Said(""), Thinking("", "openai"), Refused("")])
def test_nothing_said_is_no_block(event: Event) -> None:
    """Anthropic refuses empty blocks when they are sent back: there are none."""
    assert build(event) == []


@pytest.mark.parametrize("after", [(UNSIGNED,), (UNSIGNED, Said("x")), (Said("x"),), ()])
def test_a_thought_without_a_signature_gets_our_mark_once(after: tuple[Event, ...]) -> None:
    """Whoever or whatever ends it: clients need a signature, and we must know it again."""
    marks = [call for call in build(HM, *after) if call[0] == "signature"]
    assert marks == [("signature", "lp1.gemini.")]


def test_thoughts_that_end_are_told_apart() -> None:
    """A thought behind one that has ended is a block of its own."""
    assert opened(HM, UNSIGNED, HM, SIGNED, HM) == ["thinking"] * 3


def test_a_signature_without_a_text_is_kept() -> None:
    """Some makers show nothing of a thought and want its signature back all the same."""
    assert build(SIGNED) == [("open", THOUGHT), ("signature", "lp1.gemini.s"), ("close",)]
    assert build(UNSIGNED) == []
    assert opened(HM, UNSIGNED, SIGNED) == ["thinking", "thinking"]


def test_a_redacted_thought_is_a_block_of_its_own() -> None:
    """It has no deltas: all of it stands in the block's beginning."""
    assert build(Said("a"), ThoughtEnded("anthropic", "x", is_redacted=True))[-2:] == [
        ("open", {"type": "redacted_thinking", "data": "x"}),
        ("close",),
    ]


def test_who_wants_no_thoughts_gets_none_and_text_goes_on() -> None:
    """A hidden thought does not even cut the text in two."""
    hidden = (Said("a"), HM, SIGNED, ThoughtEnded("openai", "x", is_redacted=True), Said("b"))
    assert build(*hidden, display="hidden") == build(Said("a"), Said("b"))


def test_who_wants_signatures_gets_no_text_of_thoughts() -> None:
    """What must be sent back is there; an unsigned thought has nothing of that."""
    assert build(HM, SIGNED, display="signed") == build(SIGNED)
    assert build(HM, UNSIGNED, display="signed") == []


def test_the_signature_of_a_call_signs_the_thought_before_it() -> None:
    """Calls have no signature in this dialect; without a thought there is a redacted one."""
    call = (CallStarted(0, "c", "f", "s"), CallEnded(0))
    for thought in ((HM,), (HM, UNSIGNED)):
        calls = build(*thought, *call)
        assert ("signature", "lp1.gemini.call.s") in calls
        assert [made[1]["type"] for made in calls if made[0] == "open"] == ["thinking", "tool_use"]
    assert build(HM, SIGNED, *call)[4] == (
        "open",
        {"type": "redacted_thinking", "data": "lp1.gemini.call.s"},
    )
    assert opened(*call, display="signed") == ["redacted_thinking", "tool_use"]
    assert opened(*call, display="hidden") == ["tool_use"]


def test_what_comes_while_a_call_is_open_waits_for_its_end() -> None:
    """Text, a thought and a second call follow in the order they came in."""
    calls = build(
        CallStarted(0, "a", "f"),
        Said("x"),
        HM,
        SIGNED,
        CallStarted(1, "b", "g"),
        CallArguments(1, "{}"),
        Said("y"),
        CallArguments(0, "{}"),
        CallEnded(1),
        CallEnded(0),
        Said("z"),
    )
    assert [call[1].get("type") for call in calls if call[0] == "open"] == [
        *("tool_use", "text", "thinking", "tool_use", "text"),
    ]
    assert calls[1:3] == [("partial_json", "{}"), ("close",)]
    assert calls[-3:] == [("text", "y"), ("text", "z"), ("close",)]


def test_a_call_that_nobody_has_ended_ends_with_the_answer() -> None:
    """What has waited for it is not lost."""
    calls = build(CallStarted(0, "a", "f"), CallStarted(1, "b", "g"), Said("x"))
    assert [call[1]["type"] for call in calls if call[0] == "open"] == [
        *("tool_use", "tool_use", "text"),
    ]


def test_parts_of_calls_that_are_not_there_are_passed_over() -> None:
    """A reader's slip is no crash."""
    assert build(CallArguments(0, "{}"), CallEnded(0)) == []
    open_call = CallStarted(0, "a", "f")
    assert build(open_call, CallArguments(7, "x"), CallEnded(7)) == build(open_call)


def test_many_calls_at_once_cost_little() -> None:
    """Twenty thousand calls that all wait for the first take less than 0.2 s."""
    count = 20_000
    started = [CallStarted(index, "c", "f") for index in range(count)]
    ended = [CallEnded(index) for index in reversed(range(count))]
    start = time.perf_counter()
    calls = build(*started, *ended)
    assert time.perf_counter() - start < 0.2 * SLACK
    assert len(calls) == 2 * count


def test_citations_stand_with_the_text_they_are_about() -> None:
    """One of Anthropic's stays as it came; where no text is open there is no place for one."""
    raw = Raw(b'{"type":"char_location"}')
    own = Cited(Citation(raw=raw, maker="anthropic"))
    page = Cited(Citation(url="https://a"))
    assert build(Said("x"), own, page)[2:4] == [
        ("cite", {"type": "char_location"}),
        (
            "cite",
            {
                "type": "web_search_result_location",
                "url": "https://a",
                "title": None,
                "cited_text": "",
                "encrypted_index": "lp1.openai.",
            },
        ),
    ]
    assert build(page) == []


def test_words_of_a_refusal_are_text_and_kept() -> None:
    """The reason why an answer ended needs them again."""
    builder = BlockBuilder(sink := Sink(), "shown")
    builder.take(Refused("no"))
    builder.take(Refused(", thanks"))
    assert "".join(builder.refusal) == "no, thanks"
    assert sink.calls[1:] == [("text", "no"), ("text", ", thanks")]
    assert not builder.has_calls
