"""Thoughts put back into messages that pass as bytes."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import Thought
from proxy.domain.reasoning import KeptReasoning
from proxy.wire.raw_reasoning import list_bare_turns, put_thoughts_back

CALLS = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}, {"id": "b"}]
BARE = {"role": "assistant", "content": None, "tool_calls": CALLS}
USER = {"role": "user", "content": "\u00e9"}
RESULT = {"role": "tool", "tool_call_id": "a", "content": "1"}
KEPT = KeptReasoning("openai", (Thought("hm \u2013", "openai"),), {}, ("a", "b"))


def raw(*messages: Any) -> Raw:
    return Raw(json.dumps(messages).encode())


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "assistant", "content": "no calls"},
        {**BARE, "reasoning_content": "mine"},
        {**BARE, "reasoning": "mine"},
        {**BARE, "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]},
        {**BARE, "thinking_blocks": [{}]},
        {**BARE, "role": "user"},
        {**BARE, "tool_calls": "none"},
        {**BARE, "tool_calls": [{"id": 3}]},
    ],
)
def test_turns_that_need_nothing_are_not_listed(turn: dict[str, Any]) -> None:
    """Those without calls, those whose client has kept the thought, and what is no turn."""
    assert list_bare_turns(raw(USER, turn, RESULT)) == []


def test_turns_without_their_thoughts_are_listed_by_their_calls() -> None:
    """Empty members are no thoughts."""
    other = {**BARE, "reasoning_content": "", "reasoning_details": [], "tool_calls": [{"id": "c"}]}
    assert list_bare_turns(raw(USER, BARE, RESULT, other)) == [("a", "b"), ("c",)]


@pytest.mark.parametrize("text", [b'"tool_calls"', b'["tool_calls"]', b'[{"tool_calls":]', b"{}"])
def test_what_is_no_list_of_messages_has_no_turns(text: bytes) -> None:
    """Whoever gets the request says what is wrong with it."""
    assert list_bare_turns(text) == []


def test_thoughts_are_put_back_under_the_providers_name() -> None:
    """Only into the turn that they belong to; all other members stay as they came."""
    messages = b'[{"role":"user","content":"\\u00e9","x": 1.10},' + bytes(raw(BARE))[1:]
    written = put_thoughts_back(messages, {"a": KEPT}, "reasoning_content")
    assert b'"content":"\\u00e9","x":1.10' in bytes(written)
    (_, turn) = json.loads(bytes(written))
    assert turn == {**BARE, "reasoning_content": "hm \u2013"}


def test_details_go_back_unaltered() -> None:
    """OpenRouter's own stand beside the text, or alone."""
    details = Raw(b'[{"type": "reasoning.encrypted", "data": "x", "n": 1.0}]')
    kept = KeptReasoning("openai", (Thought("", "openai", extra=details),), {}, ("a",))
    written = bytes(put_thoughts_back(raw(BARE), {"a": kept}, "reasoning"))
    assert b'"reasoning_details":' + bytes(details) in written
    assert b'"reasoning":' not in written


def test_a_turn_with_a_thought_keeps_its_own() -> None:
    """What the client sends goes before what is kept."""
    turn = {**BARE, "reasoning_content": "mine"}
    written = put_thoughts_back(raw(turn), {"a": KEPT}, "reasoning_content")
    assert json.loads(bytes(written)) == [turn]
