"""Tests of `proxy/wire/cohere_chat_writer.py`."""

import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from proxy.domain.chat import (
    ChatRequest,
    Format,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolChoice,
)
from proxy.domain.errors import NotOffered
from proxy.wire.cohere_chat_writer import write_cohere_chat

MODEL = "command-a-reasoning-08-2025"
HI = ChatRequest((Message("user", (Text("hi"),)),))
SCHEMA = {"type": "object", "properties": {"city": {}}, "required": ["city"]}
WEATHER = Tool("weather", "How it is", Raw(json.dumps(SCHEMA).encode()))
NOW = Tool("now")
NO_PARAMETERS = {"type": "object", "properties": {}}


def write(model: str = MODEL, **fields: Any) -> tuple[dict[str, Any], list[str]]:
    """Return what is sent beside model and messages, and what was left out."""
    dropped: list[str] = []
    extra = {name: Raw(json.dumps(v).encode()) for name, v in fields.pop("extra", {}).items()}
    body = json.loads(write_cohere_chat(replace(HI, extra=extra, **fields), model, dropped))
    assert body.pop("messages") == [{"role": "user", "content": "hi"}]
    assert body.pop("model") == model
    return body, dropped


def refuse(**fields: Any) -> str | None:
    """Return which field it is that the request is refused for."""
    with pytest.raises(NotOffered) as refusal:
        write(**fields)
    return refusal.value.param


def test_what_is_not_said_is_not_sent() -> None:
    """Cohere's own defaults hold."""
    assert write() == ({}, [])


@pytest.mark.parametrize(
    ("field", "value", "sent"),
    [
        ("max_tokens", 9, {"max_tokens": 9}),
        ("temperature", 1.5, {"temperature": 1.5}),
        ("top_p", 0.5, {"p": 0.5}),
        ("top_p", 1.0, {"p": 0.99}),
        ("top_p", 0.0, {"p": 0.01}),
        ("top_k", 40, {"k": 40}),
        ("top_k", 900, {"k": 500}),
        ("top_k", -1, {"k": 0}),
        ("frequency_penalty", -1.0, {"frequency_penalty": 0.0}),
        ("presence_penalty", 2.0, {"presence_penalty": 1.0}),
        ("stop", ("a", "", "b"), {"stop_sequences": ["a", "b"]}),
        ("seed", 7, {"seed": 7}),
        ("log_probs", 0, {"logprobs": True}),
        ("streams", True, {"stream": True}),
        ("format", Format(), {"response_format": {"type": "json_object"}}),
        ("service_tier", "auto", {}),
    ],
)
def test_each_field_has_its_name_and_its_bounds(field: str, value: Any, sent: Any) -> None:
    """What lies outside of what Cohere takes is sent as the nearest that it does."""
    assert write(**{field: value}) == (sent, [])


@pytest.mark.parametrize(
    ("fields", "sent", "dropped"),
    [
        ({"seed": -1}, {}, ["seed"]),
        ({"log_probs": 3}, {"logprobs": True}, ["top_logprobs"]),
        ({"logit_bias": Raw(b'{"1":2}'), "user": "u"}, {}, ["logit_bias", "user"]),
        ({"service_tier": "flex"}, {}, ["service_tier"]),
        ({"tools": (NOW,), "is_parallel": False}, None, ["parallel_tool_calls"]),
        ({"extra": {"metadata": {"a": "b"}, "store": None}}, {}, ["metadata"]),
    ],
)
def test_what_cohere_does_not_know_is_named(fields: Any, sent: Any, dropped: list[str]) -> None:
    """It is left out by the name that OpenAI's clients know."""
    body, left_out = write(**fields)
    assert left_out == dropped
    assert sent is None or body == sent


def test_its_own_fields_are_taken() -> None:
    """What clients say by Cohere's names goes on, unless they say it by a common name, too."""
    own = {
        "documents": ["It is dry."],
        "citation_options": {"mode": "OFF"},
        "safety_mode": "STRICT",
        "priority": 3,
        "p": 0.2,
        "k": 4,
        "stop_sequences": ["x"],
        "thinking": {"type": "disabled"},
    }
    assert write(extra=own) == (own, [])
    body, _ = write(extra=own, top_p=0.7, top_k=5, stop=("y",), reasoning=Reasoning("high"))
    assert (body["p"], body["k"], body["stop_sequences"]) == (0.7, 5, ["y"])
    assert body["thinking"] == {"type": "enabled"}


@pytest.mark.parametrize(
    ("reasoning", "thinking"),
    [
        (Reasoning("none"), {"type": "disabled"}),
        (Reasoning("low"), {"type": "enabled", "token_budget": 1024}),
        (Reasoning("medium"), {"type": "enabled", "token_budget": 8192}),
        (Reasoning("max"), {"type": "enabled"}),
        (Reasoning(budget_tokens=300), {"type": "enabled", "token_budget": 300}),
        (Reasoning(is_adaptive=True), {"type": "enabled"}),
    ],
)
def test_effort_is_a_budget_of_tokens(reasoning: Reasoning, thinking: Any) -> None:
    """Little effort is bounded, much is not, and a budget of the client's is kept."""
    assert write(reasoning=reasoning) == ({"thinking": thinking}, [])


@pytest.mark.parametrize(
    "model",
    ["command-r-plus-08-2024", "command-r7b-12-2024", "command-a-03-2025", "command", "aya-32b"],
)
def test_models_that_do_not_think_are_not_told_to(model: str) -> None:
    """They refuse the field; that thinking is off need not be said."""
    assert write(model, reasoning=Reasoning("high")) == ({}, ["reasoning_effort"])
    assert write(model, reasoning=Reasoning("none")) == ({}, [])


def test_tools_always_have_a_schema() -> None:
    """Cohere asks for one also where nothing is taken."""
    body, dropped = write(tools=(WEATHER, NOW))
    assert [tool["function"] for tool in body["tools"]] == [
        {"name": "weather", "description": "How it is", "parameters": SCHEMA},
        {"name": "now", "parameters": NO_PARAMETERS},
    ]
    assert "tool_choice" not in body and dropped == []


@pytest.mark.parametrize(
    ("choice", "word", "names"),
    [
        (ToolChoice("auto"), None, ["weather", "now"]),
        (ToolChoice("none"), "NONE", ["weather", "now"]),
        (ToolChoice("required"), "REQUIRED", ["weather", "now"]),
        (ToolChoice("required", ("now",)), "REQUIRED", ["now"]),
        (ToolChoice("auto", ("weather",)), None, ["weather"]),
    ],
)
def test_a_choice_of_tools_is_kept(choice: ToolChoice, word: str | None, names: list[str]) -> None:
    """None can be named: then the others are not told of."""
    body, _ = write(tools=(WEATHER, NOW), tool_choice=choice)
    assert body.get("tool_choice") == word
    assert [tool["function"]["name"] for tool in body["tools"]] == names


def test_tools_are_strict_together_or_not_at_all() -> None:
    """Cohere says it for all of them, and wants something required in each."""
    strict, bare = replace(WEATHER, is_strict=True), replace(NOW, is_strict=True)
    body, dropped = write(tools=(strict,))
    assert (body["strict_tools"], dropped) == (True, [])
    odd = replace(strict, parameters=Raw(b'{"required":3}'))
    for tools in ((strict, bare), (strict, NOW), (odd,)):
        body, dropped = write(tools=tools)
        assert "strict_tools" not in body
        assert dropped == ["strict"]


def test_a_schema_binds_the_answer() -> None:
    """It stands beside the word for JSON, without a name."""
    wanted = Format(Raw(json.dumps(SCHEMA).encode()), name="x", is_strict=True)
    assert write(format=wanted)[0]["response_format"] == {
        "type": "json_object",
        "json_schema": SCHEMA,
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"choices": 2}, "n"),
        ({"stop": ("a", "b", "c", "d", "e", "f")}, "stop"),
        ({"format": Format(), "tools": (NOW,)}, "response_format"),
        ({"format": Format(), "extra": {"documents": ["x"]}}, "response_format"),
        ({"extra": {"modalities": ["text", "audio"]}}, "modalities"),
    ],
)
def test_what_would_be_another_answer_is_refused(fields: Any, param: str) -> None:
    """Several answers, sound, more stops than it takes, JSON beside tools."""
    assert refuse(**fields) == param


def test_a_format_beside_a_call_that_must_be_is_left_out() -> None:
    """It is of a text, and there will be none."""
    body, dropped = write(format=Format(), tools=(NOW,), tool_choice=ToolChoice("required"))
    assert body["tool_choice"] == "REQUIRED"
    assert "response_format" not in body and dropped == []


def test_text_alone_is_what_it_answers_with() -> None:
    """That a client wants nothing but text need not be said."""
    assert write(extra={"modalities": ["text"]}) == ({}, [])
