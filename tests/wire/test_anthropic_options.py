"""Tests of `proxy/wire/anthropic_options.py`."""

from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import ChatRequest, Format, Message, Reasoning, Text, Tool, ToolChoice
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.anthropic_options import read_options
from tests.wire.anthropic_client import build_ask

MESSAGES = (Message("user", (Text("hi"),)),)


def read(**fields: Any) -> ChatRequest:
    return read_options(build_ask(**fields).fields, MESSAGES)


def refused(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as found:
        read(**fields)
    assert "canary" not in found.value.message
    return found.value


def test_what_was_not_said_is_not_said() -> None:
    """Nothing is made up; null is nothing."""
    assert read() == ChatRequest(MESSAGES)
    nothing = dict.fromkeys(("tools", "tool_choice", "thinking", "metadata", "top_k", "speed"))
    assert read(**nothing) == ChatRequest(MESSAGES)


def test_sampling_and_limits_are_read() -> None:
    """Each has its place, whatever a provider may make of it."""
    assert read(
        max_tokens=9, temperature=0.5, top_p=1, top_k=3, stop_sequences=["a"], stream=True
    ) == ChatRequest(
        MESSAGES, max_tokens=9, temperature=0.5, top_p=1.0, top_k=3, stop=("a",), streams=True
    )


def test_who_asks_and_at_which_tier() -> None:
    """The names are those that other vendors have for them."""
    chat = read(metadata={"user_id": "u", "session_id": "s"}, service_tier="standard_only")
    assert (chat.user, chat.service_tier) == ("u", "default")
    assert read(service_tier="auto").service_tier == "auto"


def test_nothing_but_a_place_in_the_cache_is_not_offered() -> None:
    """No other vendor has a request for no answer."""
    error = refused(max_tokens=0)
    assert isinstance(error, NotOffered)
    assert error.param == "max_tokens"


def test_tools_are_read_with_their_schemas_as_they_came() -> None:
    """A schema stays the bytes that came; a tool may have no more than a name."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    tool = {"name": "f", "description": "d", "input_schema": schema, "strict": True}
    chat = read(tools=[tool, {"type": "custom", "name": "g"}])
    raw = Raw(b'{"type": "object", "properties": {"a": {"type": "integer"}}}')
    assert chat.tools == (Tool("f", "d", raw, True), Tool("g"))
    marked = read(tools=[{"name": "f", "cache_control": {"type": "ephemeral"}}]).tools[0]
    assert marked.cache_control == Raw(b'{"type": "ephemeral"}')


@pytest.mark.parametrize("kind", ["web_search_20250305", "bash_20250124", "computer_20250124"])
def test_tools_of_anthropics_own_are_not_offered_by_name(kind: str) -> None:
    """Left out they would be missed; another provider of the route may have them."""
    error = refused(tools=[{"name": "f"}, {"type": kind, "name": "web_search"}])
    assert isinstance(error, NotOffered)
    assert error.param == "tools[1].type"
    assert kind in error.message


def test_a_type_that_is_no_name_is_not_repeated() -> None:
    """Anything may come as a type of a tool."""
    assert refused(tools=[{"type": "a canary", "name": "f"}]).param == "tools[0].type"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, (ToolChoice("auto"), None)),
        ({"type": "any"}, (ToolChoice("required"), None)),
        ({"type": "none"}, (ToolChoice("none"), None)),
        ({"type": "tool", "name": "f"}, (ToolChoice("required", ("f",)), None)),
        ({"type": "auto", "disable_parallel_tool_use": True}, (ToolChoice("auto"), False)),
        ({"type": "any", "disable_parallel_tool_use": False}, (ToolChoice("required"), None)),
        (
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            (ToolChoice("required", ("f",)), False),
        ),
    ],
)
def test_which_tools_may_be_called(choice: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """Anthropic's four ways, and whether only one may be called at a time."""
    chat = read(tool_choice=choice)
    assert (chat.tool_choice, chat.is_parallel) == expected


@pytest.mark.parametrize(
    ("thinking", "config", "expected"),
    [
        (
            {"type": "enabled", "budget_tokens": 2048},
            None,
            Reasoning(budget_tokens=2048, shows=True),
        ),
        ({"type": "adaptive"}, None, Reasoning(is_adaptive=True)),
        ({"type": "between_tools"}, None, Reasoning(is_adaptive=True)),
        (
            {"type": "adaptive", "display": "omitted"},
            None,
            Reasoning(is_adaptive=True, shows=False),
        ),
        ({"type": "adaptive"}, {"effort": "max"}, Reasoning(effort="max", is_adaptive=True)),
        ({"type": "disabled"}, {"effort": "max"}, Reasoning(effort="none", shows=False)),
        (None, {"effort": "low"}, Reasoning(effort="low", shows=False)),
        (None, {"effort": None}, None),
    ],
)
def test_how_much_is_to_be_thought(thinking: Any, config: Any, expected: Reasoning | None) -> None:
    """By budget, by the model's own judgement, by effort or not at all."""
    assert read(thinking=thinking, output_config=config).reasoning == expected


def test_a_schema_for_the_answer_is_kept_as_it_came() -> None:
    """Under its present name and under the one before that."""
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    expected = Format(schema=Raw(b'{"type": "object"}'))
    assert read(output_config={"format": wanted}).format == expected
    assert read(output_format=wanted).format == expected


def test_fields_without_a_place_are_kept_as_they_came() -> None:
    """Each provider takes what is its own; none of those that have a place is among them."""
    chat = read(
        model="m", messages=[], system="s", max_tokens=1, speed="fast", context_management={"a": 1}
    )
    assert chat.extra == {"speed": Raw(b'"fast"'), "context_management": Raw(b'{"a": 1}')}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"description": "canary"}]}, "tools[0].name"),
        ({"tools": [{"name": 1}]}, "tools[0].name"),
        ({"tool_choice": {"type": "canary"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled", "budget_tokens": "canary"}}, "thinking.budget_tokens"),
        ({"thinking": {}}, "thinking.type"),
        ({"output_config": {"effort": "canary"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "canary"}}}, "output_config.format"),
        ({"output_format": {"type": "json_schema"}}, "output_format"),
        ({"metadata": {"user_id": 1}}, "metadata.user_id"),
        ({"service_tier": 1}, "service_tier"),
    ],
)
def test_what_cannot_be_read_is_named(fields: dict[str, Any], param: str) -> None:
    """The client learns where to look, and nothing that it has sent is repeated."""
    assert refused(**fields).param == param
