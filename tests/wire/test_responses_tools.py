"""Tests of `proxy/wire/responses_tools.py`."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import Tool, ToolChoice
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.responses_tools import read_tool_choice, read_tools


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value, separators=(",", ":")).encode())


def test_functions_are_flat() -> None:
    """Name, description, schema and strictness stand beside the type; unsaid stays unsaid."""
    schema = {"type": "object"}
    full = {"name": "f", "description": "d", "parameters": schema, "strict": False}
    tools = [{"type": "function", **full}, {"type": "function", "name": "g", "parameters": None}]
    assert read_tools(raw(tools)) == (Tool("f", "d", raw(schema), False), Tool("g"))
    assert read_tools(None) == ()


@pytest.mark.parametrize(
    "kind",
    [
        *("web_search", "file_search", "mcp", "computer_use_preview", "code_interpreter"),
        *("image_generation", "shell", "local_shell", "apply_patch", "custom", "tool_search"),
    ],
)
def test_tools_that_only_openai_runs_are_named(kind: str) -> None:
    """Another candidate may have them; the error says which it was."""
    with pytest.raises(NotOffered) as refusal:
        read_tools(raw([{"type": "function", "name": "f"}, {"type": kind, "name": "x"}]))
    assert refusal.value.param == "tools"
    assert f"'{kind}'" in refusal.value.message
    with pytest.raises(NotOffered) as refusal:
        read_tool_choice(raw({"type": kind}))
    assert refusal.value.param == "tool_choice"


def test_a_type_that_is_no_name_is_not_repeated() -> None:
    """What a client wrote there may be anything."""
    with pytest.raises(NotOffered) as refusal:
        read_tools(raw([{"type": "a canary\n"}]))
    assert "canary" not in refusal.value.message


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"name": "f"}, "tools[0].type"),
        ({"type": "function"}, "tools[0].name"),
        ({"type": "function", "name": 1}, "tools[0].name"),
        ({"type": "function", "name": "f", "parameters": []}, "tools[0].parameters"),
        ({"type": "function", "name": "f", "strict": 1}, "tools[0].strict"),
    ],
)
def test_a_tool_of_the_wrong_shape_is_named(tool: Any, param: str) -> None:
    """The error says where in the request it is."""
    with pytest.raises(InvalidRequest) as refusal:
        read_tools(raw([tool]))
    assert refusal.value.param == param


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (None, None),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "f"}, ToolChoice("required", ("f",))),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}],
            },
            ToolChoice("required", ("f", "g")),
        ),
    ],
)
def test_the_choice_is_read(choice: Any, wanted: ToolChoice | None) -> None:
    """Words, one function, and several that are allowed."""
    assert read_tool_choice(raw(choice)) == wanted


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ("canary", "tool_choice"),
        ({"type": "function"}, "tool_choice.name"),
        ({"name": "f"}, "tool_choice"),
        ({"type": "allowed_tools", "mode": "canary"}, "tool_choice.mode"),
        ({"type": "allowed_tools", "tools": [{"type": "function"}]}, "tool_choice.tools[0].name"),
    ],
)
def test_a_choice_of_the_wrong_shape_is_named(choice: Any, param: str) -> None:
    """The error says where in the request it is, and repeats nothing of it."""
    with pytest.raises(InvalidRequest) as refusal:
        read_tool_choice(raw(choice))
    assert refusal.value.param == param
    assert "canary" not in refusal.value.message


def test_tools_that_others_run_cannot_be_the_only_ones_allowed() -> None:
    """Such a choice is refused by the name of the field that it stands in."""
    choice = {"type": "allowed_tools", "tools": [{"type": "mcp", "server_label": "x"}]}
    with pytest.raises(NotOffered) as refusal:
        read_tool_choice(raw(choice))
    assert refusal.value.param == "tool_choice"
