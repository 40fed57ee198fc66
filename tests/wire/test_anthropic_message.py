"""Tests of `proxy/wire/anthropic_message.py`."""

from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.events import (
    CallStarted,
    Counted,
    Event,
    Finished,
    FinishReason,
    Refused,
    Said,
    Started,
)
from proxy.domain.usage import Usage
from proxy.wire.answer_blocks import BlockBuilder
from proxy.wire.anthropic_message import MessageBuilder, find_display
from proxy.wire.base import Ask
from tests.wire.anthropic_client import build_ask
from tests.wire.test_answer_blocks import Sink

CALL = CallStarted(0, "c", "f")


def built(*events: Event) -> MessageBuilder:
    builder = MessageBuilder(build_ask(), BlockBuilder(Sink(), "shown"))
    for event in events:
        builder.take(event)
    builder.end()
    return builder


def stop(*events: Event) -> tuple[Any, ...]:
    told = built(*events).build_stop()
    return told["stop_reason"], told["stop_sequence"]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
    ],
)
def test_each_reason_has_its_word(reason: FinishReason, expected: str) -> None:
    """The words are Anthropic's, and every reason of ours has one."""
    calls = [CALL] if reason == "tool_calls" else []
    assert stop(*calls, Finished(reason)) == (expected, None)


def test_nobody_waits_for_a_call_that_did_not_come() -> None:
    """An answer that is said to end in calls, and has none, is over."""
    assert stop(Said("Hi"), Finished("tool_calls")) == ("end_turn", None)
    assert stop(Refused("No"), Finished("tool_calls")) == ("refusal", None)


@pytest.mark.parametrize(
    ("is_whole", "text", "reason"), [(False, "A", "max_tokens"), (True, "B", "end_turn")]
)
def test_one_choice_is_told_whatever_its_number(is_whole: bool, text: str, reason: str) -> None:
    """A provider that counts from 1 has answered, too; of two it is the first that can be told."""
    events = (Said("A", 2), Said("B", 1), Finished("stop", 1), Finished("length", 2))
    sink = Sink()
    builder = MessageBuilder(build_ask(), BlockBuilder(sink, "shown"))
    if is_whole:
        builder.note(events)
    for event in events:
        builder.take(event)
    builder.end()
    assert [call[1] for call in sink.calls if call[0] == "text"] == [text]
    assert builder.build_stop()["stop_reason"] == reason


def test_a_stop_that_has_ended_the_answer_is_named() -> None:
    """Where the provider says which one it was; a limit of tokens is none."""
    assert stop(Finished("stop", stop_sequence="END")) == ("stop_sequence", "END")
    assert stop(Finished("length", stop_sequence="END")) == ("max_tokens", None)


def test_calls_and_refusals_are_told_by_what_was_said() -> None:
    """Some providers call `stop` what an agent must know as a call or a refusal."""
    assert stop(CALL, Finished("stop")) == ("tool_use", None)
    assert stop(CALL, Finished("length")) == ("max_tokens", None)
    assert stop(Refused("no"), Finished("stop")) == ("refusal", None)
    assert stop() == ("end_turn", None)


def test_a_refusal_is_explained_in_the_models_own_words() -> None:
    """Where it said none there is no explanation; other reasons have no details."""
    details = built(Refused("no"), Finished("stop")).build_stop()["stop_details"]
    assert details == {"type": "refusal", "category": None, "explanation": "no"}
    details = built(Finished("content_filter")).build_stop()["stop_details"]
    assert details == {"type": "refusal", "category": None, "explanation": None}
    assert "stop_details" not in built(Finished("stop")).build_stop()


def test_of_several_counts_the_last_holds() -> None:
    """Providers that count with every piece count up."""
    builder = built(Counted(Usage(3, 1)), Counted(Usage(3, 9, reasoning_tokens=4)))
    assert builder.build_usage() == {
        "input_tokens": 3,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }


def test_the_head_is_found_among_the_first_events() -> None:
    """A message keeps one id, however often it is built."""
    builder = MessageBuilder(build_ask(model="asked"), BlockBuilder(Sink(), "shown"))
    assert builder.build_message([], {})["model"] == "asked"
    builder.note([Said("x"), Started("id", "other"), Counted(Usage(1, 2))])
    message = builder.build_message([], {})
    assert message == builder.build_message([], {})
    assert message["model"] == "other"
    assert builder.usage == Usage(1, 2)


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, "shown"),
        ({"type": "adaptive"}, "shown"),
        ({"type": "between_tools"}, "shown"),
        ({"type": "adaptive", "display": "summarized"}, "shown"),
        ({"type": "adaptive", "display": None}, "shown"),
        ({"type": "enabled", "display": "omitted"}, "signed"),
        ({"type": "disabled"}, "hidden"),
        ({}, "hidden"),
        ({"type": 1}, "hidden"),
        (None, "hidden"),
    ],
)
def test_thoughts_are_for_clients_that_have_enabled_them(thinking: Any, expected: str) -> None:
    """Nobody else gets blocks that it may not expect."""
    assert find_display(build_ask(thinking=thinking)) == expected


def test_without_the_field_thoughts_are_hidden() -> None:
    """As most clients ask."""
    assert find_display(build_ask()) == "hidden"
    assert find_display(Ask("messages", "m", {"thinking": Raw(b"[]")})) == "hidden"
