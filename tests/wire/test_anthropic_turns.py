"""Tests of `proxy/wire/anthropic_turns.py`."""

from typing import Any

import msgspec
import pytest

from proxy.domain.chat import Call, Image, Message, Part, Result, Role, Text, Thought
from proxy.domain.errors import NotOffered
from proxy.wire.anthropic_turns import build_turns

STUB = {"role": "user", "content": [{"type": "text", "text": "."}]}


def say(role: Role, *parts: Part | str) -> Message:
    return Message(role, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def turns(*messages: Message) -> tuple[Any, Any]:
    found = msgspec.json.decode(msgspec.json.encode(build_turns(messages)))
    return found["system"], found["messages"]


def test_leading_system_messages_are_the_system_prompt() -> None:
    """All of them in front, each part a block; the rest are turns."""
    found = turns(say("system", "Be brief."), say("system", "Rhyme."), say("user", "Hi"))
    assert found == (
        [text("Be brief."), text("Rhyme.")],
        [{"role": "user", "content": [text("Hi")]}],
    )


def test_a_later_system_message_is_the_users_in_a_tag() -> None:
    """It keeps its place in the conversation."""
    _, found = turns(say("user", "Hi"), say("assistant", "Ho"), say("system", "Stop."))
    assert found[2:] == [{"role": "user", "content": [text("<system>\nStop.\n</system>")]}]
    assert len(turns(say("user", "Hi"), say("system", " "))[1]) == 1


def test_results_are_first_in_the_next_turn_of_the_user() -> None:
    """Several tool messages, and what the user says besides, are one turn."""
    _, found = turns(
        say("user", "Hi"),
        say("assistant", "Looking", Call("t", "f"), Call("u", "g")),
        say("tool", Result("t", (Text("1"),))),
        say("system", "Hurry."),
        say("tool", Result("u", (Text("2"),))),
        say("user", "And?"),
    )
    assert [turn["role"] for turn in found] == ["user", "assistant", "user"]
    assert [block["type"] for block in found[2]["content"]] == [
        *("tool_result", "tool_result", "text", "text")
    ]
    assert found[2]["content"][0]["tool_use_id"] == "t"
    assert [block["type"] for block in found[1]["content"]] == ["text", "tool_use", "tool_use"]


def test_messages_of_one_side_are_one_turn() -> None:
    """Neighbours are joined in their order."""
    _, found = turns(say("user", "a"), say("user", "b"), say("assistant", "c"), say("assistant"))
    assert found == [
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": [text("c")]},
    ]


def test_a_message_of_nothing_is_no_turn() -> None:
    """An answer of which only foreign thoughts were left is left out whole."""
    _, found = turns(
        say("user", "a"),
        say("assistant", Thought("Hm", "openai")),
        say("user", "b"),
    )
    assert found == [{"role": "user", "content": [text("a"), text("b")]}]


def test_no_turn_ends_with_a_thought() -> None:
    """Thoughts that were cut off before an answer are left out, those before one are not."""
    thought, dark = (
        Thought("Hm", "anthropic", "s"),
        Thought("", "anthropic", "d", is_redacted=True),
    )
    _, found = turns(
        say("user", "a"),
        say("assistant", thought, dark),
        say("user", "b"),
        say("assistant", thought, "c", dark),
    )
    assert found == [
        {"role": "user", "content": [text("a"), text("b")]},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hm", "signature": "s"}, text("c")],
        },
    ]


@pytest.mark.parametrize(
    ("messages", "count"),
    [([say("assistant", "Ho")], 2), ([say("system", "Be brief.")], 1), ([], 1)],
)
def test_a_user_always_begins(messages: list[Message], count: int) -> None:
    """Where no user has said anything first, a stub stands for it."""
    _, found = turns(*messages)
    assert found[0] == STUB
    assert len(found) == count


def test_the_last_blanks_of_a_begun_answer_are_cut() -> None:
    """Only of the last turn, and only if it is the assistant's."""
    _, found = turns(say("user", "a "), say("assistant", "b "), say("user", "c "))
    assert [turn["content"][0]["text"] for turn in found] == ["a ", "b ", "c "]
    _, found = turns(say("user", "a "), say("assistant", "b \n"))
    assert [turn["content"][0]["text"] for turn in found] == ["a ", "b"]


def test_a_picture_is_no_system_prompt() -> None:
    """Instructions are words: anything else there is refused."""
    with pytest.raises(NotOffered):
        turns(say("system", Image(url="https://a.b/c")), say("user", "Hi"))
