"""Tests of `proxy/wire/openai_tools.py`: tools and their choice, new form and old."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import Tool, ToolChoice
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.openai_tools import find_raw, read_tool_choice, read_tools

SCHEMA = Raw(b'{"type" : "object"}')


def raw(value: Any) -> Raw:
    """A value as the bytes of a field."""
    return Raw(json.dumps(value).encode())


def test_a_tool_keeps_its_schema_byte_by_byte() -> None:
    """Name, words, schema, strictness and the cache's mark of a function are read."""
    tools = Raw(
        b'[{"type":"function","cache_control":{"type":"ephemeral"},"function":{"name":"f",'
        b'"description":"d","parameters":' + bytes(SCHEMA) + b',"strict":true}}]'
    )
    assert read_tools(tools, None) == (Tool("f", "d", SCHEMA, True, Raw(b'{"type":"ephemeral"}')),)


def test_a_tool_may_be_a_name_only() -> None:
    """A function without parameters takes none."""
    functions = [{"function": {"name": "f"}}, {"function": {"name": "g", "parameters": None}}]
    assert read_tools(raw(functions), None) == (Tool("f"), Tool("g"))


def test_the_deprecated_form_is_read_where_there_is_no_other() -> None:
    """`functions` are tools, unless there are tools."""
    functions = raw([{"name": "g"}])
    assert read_tools(None, functions) == (Tool("g"),)
    assert read_tools(raw([{"function": {"name": "f"}}]), functions) == (Tool("f"),)
    assert read_tools(None, None) == ()


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([{"type": "custom", "custom": {"name": "x"}}], "tools[0].type"),
        ([{"function": {"name": "f"}}, {"type": "web_search"}], "tools[1].type"),
    ],
)
def test_other_tools_are_not_offered(tools: Any, param: str) -> None:
    """A tool that is no function is named by its place."""
    with pytest.raises(NotOffered) as refusal:
        read_tools(raw(tools), None)
    assert refusal.value.param == param


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([{"type": "function"}], "tools[0].function"),
        ([{"function": {}}], "tools"),
        ([{"function": {"name": "f", "parameters": []}}], "tools[0].function.parameters"),
    ],
)
def test_tools_that_cannot_be_read_are_refused(tools: Any, param: str) -> None:
    """A tool without a name, or with a schema that is none, is the client's to mend."""
    with pytest.raises(InvalidRequest) as refusal:
        read_tools(raw(tools), None)
    assert refusal.value.param == param
    assert not isinstance(refusal.value, NotOffered)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ("any", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("required", ("f",))),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [
                        {"type": "function", "function": {"name": "f"}},
                        {"type": "function", "function": {"name": "g"}},
                    ],
                },
            },
            ToolChoice("auto", ("f", "g")),
        ),
        (None, None),
    ],
)
def test_each_choice_is_read(choice: Any, expected: ToolChoice | None) -> None:
    """Words, one function, and some functions of which any may be called."""
    assert read_tool_choice(raw(choice), None) == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [("none", ToolChoice("none")), ({"name": "f"}, ToolChoice("required", ("f",)))],
)
def test_the_deprecated_choice_is_read_where_there_is_no_other(
    call: Any, expected: ToolChoice
) -> None:
    """`function_call` is a choice, unless there is a choice."""
    assert read_tool_choice(None, raw(call)) == expected
    assert read_tool_choice(raw("auto"), raw(call)) == ToolChoice("auto")


@pytest.mark.parametrize(
    ("choice", "error", "param"),
    [
        ("sometimes", InvalidRequest, "tool_choice"),
        ({"type": "function"}, InvalidRequest, "tool_choice.function"),
        ({"type": "custom", "custom": {"name": "x"}}, NotOffered, "tool_choice.type"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "maybe", "tools": []}},
            InvalidRequest,
            "tool_choice.allowed_tools.mode",
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"tools": [{"type": "custom"}]}},
            NotOffered,
            "tool_choice.allowed_tools.tools",
        ),
    ],
)
def test_a_choice_that_cannot_be_had_is_refused(
    choice: Any, error: type[InvalidRequest], param: str
) -> None:
    """A choice is never left out: the answer would be another."""
    with pytest.raises(error) as refusal:
        read_tool_choice(raw(choice), None)
    assert refusal.value.param == param


def test_null_is_no_value() -> None:
    """A raw value that did not come and one that is null are none."""
    assert find_raw(Raw(b"")) is None
    assert find_raw(Raw(b"null")) is None
    assert find_raw(Raw(b"{}")) == Raw(b"{}")
