"""Tests of `proxy/wire/anthropic_thinking.py`."""

from typing import Any

import pytest

from proxy.domain.chat import (
    Call,
    ChatRequest,
    Effort,
    Message,
    Reasoning,
    Result,
    Text,
    Thought,
)
from proxy.wire.anthropic_thinking import NO_THINKING, Thinking, decide_thinking
from proxy.wire.claude_models import find_claude

NEWEST, OPUS_4_6, OPUS_4_5, OLD = map(
    find_claude,
    ("claude-opus-5", "claude-opus-4-6", "claude-opus-4-5", "claude-3-5-sonnet-20241022"),
)
USER = Message("user", (Text("Hi"),))


def decide(
    claude: Any, reasoning: Reasoning | None, *, forces_tool: bool = False, **more: Any
) -> tuple[Thinking, list[str]]:
    dropped: list[str] = []
    chat = ChatRequest(**{"messages": (USER,), "reasoning": reasoning, **more})
    return decide_thinking(chat, claude, dropped, forces_tool=forces_tool), dropped


def test_nothing_asked_is_nothing_said() -> None:
    """A model does as it does by itself."""
    for claude in (NEWEST, OPUS_4_5, OLD):
        assert decide(claude, None) == (NO_THINKING, [])


@pytest.mark.parametrize(
    ("effort", "newest", "older"),
    [
        ("minimal", "low", "low"),
        ("low", "low", "low"),
        ("medium", "medium", "medium"),
        ("high", "high", "high"),
        ("xhigh", "xhigh", "high"),
        ("max", "max", "max"),
    ],
)
def test_newer_models_are_told_an_effort(effort: Effort, newest: str, older: str) -> None:
    """They see for themselves how much that is; what they do not know is the next lower one."""
    found, dropped = decide(NEWEST, Reasoning(effort))
    assert found == Thinking({"type": "adaptive", "display": "summarized"}, newest)  # type: ignore[arg-type]
    assert (found.is_on, dropped) == (True, [])
    assert decide(OPUS_4_6, Reasoning(effort))[0] == Thinking({"type": "adaptive"}, older)  # type: ignore[arg-type]


def test_no_thoughts_are_no_thinking() -> None:
    """Newer models are told not to, older ones do not unless they are told."""
    found, dropped = decide(NEWEST, Reasoning("none"))
    assert (found, dropped) == (Thinking({"type": "disabled"}), [])
    assert not found.is_on
    assert decide(OPUS_4_5, Reasoning("none")) == (NO_THINKING, [])
    assert decide(OLD, Reasoning("none")) == (NO_THINKING, [])


def test_a_budget_is_an_effort_for_newer_models() -> None:
    """The more tokens were meant, the higher it is."""
    for budget, effort in ((500, "minimal"), (2000, "low"), (8000, "medium"), (99_999, "high")):
        found, _ = decide(NEWEST, Reasoning(budget_tokens=budget))
        assert found.effort == ("low" if effort == "minimal" else effort)
    found, _ = decide(NEWEST, Reasoning(is_adaptive=True, shows=False))
    assert found == Thinking({"type": "adaptive", "display": "omitted"})


@pytest.mark.parametrize(
    ("reasoning", "limit", "budget"),
    [
        (Reasoning("minimal"), None, 1024),
        (Reasoning("high"), None, 16_384),
        (Reasoning(is_adaptive=True), None, 8192),
        (Reasoning(budget_tokens=3000), None, 3000),
        (Reasoning(budget_tokens=10), None, 1024),
        (Reasoning(budget_tokens=3000), 3001, 3000),
        (Reasoning("high"), 10_000, 5000),
        (Reasoning("high"), 1025, 1024),
    ],
)
def test_older_models_are_told_a_budget(
    reasoning: Reasoning, limit: int | None, budget: int
) -> None:
    """It is at least 1024 tokens, and less than the answer may have in all."""
    found, dropped = decide(OPUS_4_5, reasoning, max_tokens=limit)
    assert found == Thinking({"type": "enabled", "budget_tokens": budget}, budget_tokens=budget)
    assert dropped == []


def test_what_cannot_be_had_is_named() -> None:
    """Too short an answer, a forced tool, and a model that does not think at all."""
    named = (NO_THINKING, ["reasoning_effort"])
    assert decide(OPUS_4_5, Reasoning("high"), max_tokens=1024) == named
    assert decide(OPUS_4_5, Reasoning("high"), forces_tool=True) == named
    assert decide(OLD, Reasoning("high")) == named
    assert decide(NEWEST, Reasoning("high"), forces_tool=True)[1] == []


def test_a_loop_that_began_without_thoughts_goes_on_without() -> None:
    """Anthropic wants the thoughts before a call back; where there are none, none are made."""
    call, result = Call("t", "f"), Message("tool", (Result("t", (Text("1"),)),))
    bare = (USER, Message("assistant", (call,)), result)
    foreign = (USER, Message("assistant", (Thought("Hm", "openai"), call)), result)
    own = (USER, Message("assistant", (Thought("Hm", "anthropic", "c2ln"), call)), result)
    over = (*bare, Message("assistant", (Text("1"),)), USER)
    for messages, may_think in ((bare, False), (foreign, False), (own, True), (over, True)):
        found, dropped = decide(OPUS_4_5, Reasoning("low"), messages=messages)
        assert found.is_on == may_think
        assert dropped == ([] if may_think else ["reasoning_effort"])
        found, dropped = decide(NEWEST, Reasoning("low"), messages=messages)
        assert found.is_on == may_think
        assert found.effort == "low"
        assert dropped == ([] if may_think else ["reasoning_effort"])
    assert decide(OPUS_4_5, Reasoning("low"), messages=(result,))[0].is_on


def test_a_loop_is_told_by_the_turns_that_are_written() -> None:
    """What the user adds to an answer, and messages that are one turn or none, change nothing."""
    call, result = Call("t", "f"), Message("tool", (Result("t", (Text("1"),)),))
    thought = Thought("Hm", "anthropic", "c2ln")
    bare = (USER, Message("assistant", (call,)), result)
    own = (USER, Message("assistant", (thought,)), Message("assistant", (call,)), result)
    said = Message("assistant", (Text("Ho"),))
    called = Message("assistant", (thought, call))
    late = (USER, said, called, result)
    blank = (USER, said, Message("user", (Text(" "),)), called, result)
    added = (*bare, Message("system", (Text("s"),)), USER)
    cut = (*bare, Message("assistant", (thought,)), USER)
    assert decide(OPUS_4_5, Reasoning("low"), messages=own)[0].is_on
    for messages in (late, blank, added, cut):
        assert not decide(OPUS_4_5, Reasoning("low"), messages=messages)[0].is_on
