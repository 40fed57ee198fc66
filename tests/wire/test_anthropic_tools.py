"""Tests of `proxy/wire/anthropic_tools.py`."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import replace

from proxy.domain.chat import Call, ChatRequest, Format, Message, Text, Tool, ToolChoice
from proxy.wire.anthropic_tools import (
    build_choice,
    build_schema_tool,
    build_tools,
    name_schema_tool,
)
from proxy.wire.claude_models import find_claude

NEWEST, OLD = find_claude("claude-opus-5"), find_claude("claude-opus-4-1")
SCHEMA = Raw(b'{"type":"object","properties":{"a":{"type":"number","minimum":1.10}}}')
FIND, NOW = Tool("find", "Finds.", SCHEMA), Tool("now")
USER = Message("user", (Text("Hi"),))


def ask(**more: Any) -> ChatRequest:
    return ChatRequest(**{"messages": (USER,), **more})


def tools(chat: ChatRequest, claude: Any = NEWEST) -> tuple[Any, list[str]]:
    dropped: list[str] = []
    found = build_tools(chat, claude, dropped)
    return msgspec.json.decode(msgspec.json.encode(found)), dropped


def test_tools_keep_their_schemas() -> None:
    """A schema stays the bytes that came; a tool that takes nothing has an empty one."""
    chat = ask(tools=(FIND, NOW))
    assert bytes(SCHEMA) in msgspec.json.encode(build_tools(chat, NEWEST, []))
    found, dropped = tools(chat)
    assert found[0]["description"] == "Finds."
    assert "strict" not in found[0]
    assert found[1] == {"name": "now", "input_schema": {"type": "object", "properties": {}}}
    assert dropped == []


def test_a_strict_tool_has_a_schema_that_it_can_be_held_to() -> None:
    """Bounds go into descriptions and objects are closed, also where there is no parameter."""
    strict = (replace(FIND, is_strict=True), replace(NOW, is_strict=True))
    found, dropped = tools(ask(tools=strict))
    assert [tool["strict"] for tool in found] == [True, True]
    assert found[0]["input_schema"] == {
        "type": "object",
        "properties": {"a": {"type": "number", "description": "{minimum: 1.1}"}},
        "additionalProperties": False,
    }
    assert found[1]["input_schema"] == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }
    assert dropped == []


def test_a_schema_has_a_type() -> None:
    """Where it does not say that it is an object it gets to; nonsense is Anthropic's to refuse."""
    found, _ = tools(ask(tools=(Tool("f", parameters=Raw(b'{"properties":{}}')),)))
    assert found[0]["input_schema"] == {"type": "object", "properties": {}}
    found, _ = tools(ask(tools=(Tool("f", parameters=Raw(b"[]")),)))
    assert found[0]["input_schema"] == []


def test_strictness_is_named_where_a_model_has_none() -> None:
    """Older models are not held to a schema."""
    found, dropped = tools(ask(tools=(replace(FIND, is_strict=True), NOW)), OLD)
    assert "strict" not in found[0]
    assert dropped == ["strict"]


def test_marks_for_the_cache_are_kept() -> None:
    """They stand on the tool."""
    mark = Raw(b'{"type":"ephemeral"}')
    found, _ = tools(ask(tools=(Tool("f", cache_control=mark),)))
    assert found[0]["cache_control"] == {"type": "ephemeral"}


def test_a_choice_among_some_leaves_the_others_out() -> None:
    """What must not be called is not offered."""
    chosen = ToolChoice("auto", ("now", "later"))
    found, _ = tools(ask(tools=(FIND, NOW), tool_choice=chosen))
    assert [tool["name"] for tool in found] == ["now"]


def test_tools_of_the_history_are_named() -> None:
    """A history with calls goes through without tools, and none of them is called again."""
    called = Message("assistant", (Call("t", "find"), Call("u", "find"), Call("v", "now")))
    chat = ask(messages=(USER, called))
    found, _ = tools(chat)
    assert [tool["name"] for tool in found] == ["find", "now"]
    assert build_choice(chat, None, may_force=True) == {"type": "none"}
    assert tools(ask())[0] == []


@pytest.mark.parametrize(
    ("choice", "is_parallel", "expected"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("required"), None, {"type": "any"}),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice("required", ("find",)), None, {"type": "tool", "name": "find"}),
        (ToolChoice("required", ("find", "now")), None, {"type": "any"}),
        (ToolChoice("auto", ("find",)), None, {"type": "auto"}),
    ],
)
def test_each_choice_has_its_word(
    choice: ToolChoice | None, is_parallel: bool | None, expected: Any
) -> None:
    """Nothing is said where nothing was; one call at a time is part of the choice."""
    chat = ask(tools=(FIND, NOW), tool_choice=choice, is_parallel=is_parallel)
    assert build_choice(chat, None, may_force=True) == expected


def test_a_tool_stands_for_a_schema() -> None:
    """Its arguments are the answer, and it is called unless a tool of the client's is."""
    chat = ask(format=Format(SCHEMA, description="A number."))
    assert name_schema_tool(chat) == "answer_in_json"
    found = build_schema_tool(chat, "answer_in_json")
    assert found["input_schema"] == SCHEMA
    assert found["description"].endswith(" A number.")
    assert build_choice(chat, "x", may_force=True) == {"type": "tool", "name": "x"}
    assert build_choice(chat, "x", may_force=False) is None
    with_tools = ask(tools=(FIND,), format=Format(SCHEMA))
    assert build_choice(with_tools, "x", may_force=True) == {"type": "any"}
    without = ask(tools=(FIND,), tool_choice=ToolChoice("none"), format=Format(SCHEMA))
    assert build_choice(without, "x", may_force=True) == {"type": "tool", "name": "x"}


def test_the_tool_for_a_schema_is_none_of_the_clients() -> None:
    """A name that is taken is not taken twice; without a schema there is no such tool."""
    taken = (Tool("answer_in_json"), Tool("answer_in_json_"))
    assert name_schema_tool(ask(tools=taken, format=Format(SCHEMA))) == "answer_in_json__"
    assert name_schema_tool(ask(format=Format())) is None
    assert name_schema_tool(ask()) is None
