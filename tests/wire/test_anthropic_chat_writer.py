"""Tests of `proxy/wire/anthropic_chat_writer.py`."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import (
    Audio,
    Call,
    ChatRequest,
    Format,
    Image,
    Message,
    Reasoning,
    Result,
    Text,
    Tool,
    ToolChoice,
)
from proxy.domain.errors import NotOffered
from proxy.wire.anthropic_chat_writer import (
    NO_SAMPLING_VERSION,
    find_unwrapped,
    write_anthropic_chat,
)
from proxy.wire.json_text import build_object

VERSION = "2023-06-01"
NEWEST, OPUS_4_6, OPUS_4_5, OPUS_4_1, OLD = (
    *("claude-opus-5", "claude-opus-4-6", "claude-opus-4-5", "claude-opus-4-1"),
    "claude-3-5-sonnet-20241022",
)
USER = Message("user", (Text("Hi"),))
SCHEMA = Raw(b'{"type":"object","properties":{}}')
FIND = Tool("find")


def write(
    model: str = NEWEST, version: str = VERSION, **more: Any
) -> tuple[dict[str, Any], list[str]]:
    dropped: list[str] = []
    chat = ChatRequest(**{"messages": (USER,), **more})
    body = build_object(write_anthropic_chat(chat, model, version, dropped))
    return json.loads(body), dropped


def extra(**fields: Any) -> dict[str, Raw]:
    return {name: Raw(json.dumps(value).encode()) for name, value in fields.items()}


def test_the_least_request() -> None:
    """A model, a limit and the messages: that is all there need be."""
    assert write() == (
        {
            "model": NEWEST,
            "max_tokens": 16_384,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        },
        [],
    )


def test_a_whole_request() -> None:
    """System prompt, tools, a loop of calls, limits and a stream."""
    found, dropped = write(
        messages=(
            Message("system", (Text("Be brief."),)),
            USER,
            Message("assistant", (Call("t", "find"),)),
            Message("tool", (Result("t", (Text("4"),)),)),
        ),
        tools=(FIND,),
        tool_choice=ToolChoice("required", ("find",)),
        is_parallel=False,
        max_tokens=100,
        stop=("END", " ", "STOP"),
        user="u-1",
        service_tier="default",
        streams=True,
    )
    assert found == {
        "model": NEWEST,
        "max_tokens": 100,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t", "name": "find", "input": {}}],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "content": [{"type": "text", "text": "4"}],
                    }
                ],
            },
        ],
        "tools": [{"name": "find", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "tool", "name": "find", "disable_parallel_tool_use": True},
        "stop_sequences": ["END", "STOP"],
        "metadata": {"user_id": "u-1"},
        "service_tier": "standard_only",
        "stream": True,
    }
    assert dropped == ["stop"]


@pytest.mark.parametrize(
    ("model", "version", "sent", "lost"),
    [
        (NEWEST, VERSION, {}, ["temperature", "top_p", "top_k"]),
        (OPUS_4_6, NO_SAMPLING_VERSION, {}, ["temperature", "top_p", "top_k"]),
        (OPUS_4_6, VERSION, {"temperature": 1.0, "top_k": 5}, ["top_p"]),
        (OLD, VERSION, {"temperature": 1.0, "top_p": 0.9, "top_k": 5}, []),
    ],
)
def test_sampling_goes_where_it_is_taken(
    model: str, version: str, sent: dict[str, float], lost: list[str]
) -> None:
    """New models, and the new version, take none; some take one of two; heat ends at 1."""
    found, dropped = write(model, version, temperature=1.7, top_p=0.9, top_k=5)
    assert {name: found[name] for name in ("temperature", "top_p", "top_k") if name in found} == (
        sent
    )
    assert dropped == lost


def test_thoughts_leave_little_to_sampling() -> None:
    """Beside them only what changes nothing, or nearly nothing, is taken."""
    some: dict[str, Any] = {"reasoning": Reasoning("low"), "max_tokens": 9000}
    found, dropped = write(OPUS_4_6, temperature=0.2, top_p=0.9, top_k=5, **some)
    assert dropped == ["temperature", "top_p", "top_k"]
    found, dropped = write(OPUS_4_6, top_p=0.97, **some)
    assert (found["top_p"], dropped) == (0.97, [])
    found, dropped = write(OPUS_4_6, temperature=1.0, **some)
    assert (found["temperature"], dropped) == (1.0, [])
    found, dropped = write(OPUS_4_5, temperature=0.5, extra=extra(thinking={"type": "enabled"}))
    assert dropped == ["temperature"]


def test_thinking_is_said_as_the_model_takes_it() -> None:
    """Adaptive with an effort, or a budget for which the limit makes room."""
    found, _ = write(NEWEST, reasoning=Reasoning("xhigh"))
    assert found["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert found["output_config"] == {"effort": "xhigh"}
    found, _ = write(OPUS_4_5, reasoning=Reasoning("high"))
    assert found["thinking"] == {"type": "enabled", "budget_tokens": 16_384}
    assert found["max_tokens"] == 16_384 + 4096
    choice: dict[str, Any] = {"tools": (FIND,), "tool_choice": ToolChoice("required")}
    found, dropped = write(OPUS_4_5, reasoning=Reasoning("high"), **choice)
    assert "thinking" not in found
    assert found["tool_choice"] == {"type": "any"}
    assert dropped == ["reasoning_effort"]


def test_a_schema_is_an_output_format() -> None:
    """Models that can be held to one are; the effort stands beside it."""
    found, dropped = write(OPUS_4_6, format=Format(SCHEMA), reasoning=Reasoning("low"))
    assert found["output_config"] == {
        "effort": "low",
        "format": {
            "type": "json_schema",
            "schema": {"type": "object", "properties": {}, "additionalProperties": False},
        },
    }
    assert "tools" not in found
    assert dropped == []


def test_a_schema_is_a_tool_for_older_models() -> None:
    """They must call it; beside the client's tools they must call one of all."""
    asked = Format(SCHEMA, "number")
    found, _ = write(OPUS_4_1, format=asked)
    name = find_unwrapped(ChatRequest((USER,), format=asked))
    assert [tool["name"] for tool in found["tools"]] == [name]
    assert found["tool_choice"] == {"type": "tool", "name": name}
    assert "output_config" not in found
    found, _ = write(OPUS_4_1, format=asked, tools=(FIND,))
    assert [tool["name"] for tool in found["tools"]] == ["find", name]
    assert found["tool_choice"] == {"type": "any"}
    found, _ = write(
        OPUS_4_1, format=asked, tools=(FIND,), tool_choice=ToolChoice("required", ("find",))
    )
    assert [tool["name"] for tool in found["tools"]] == ["find"]
    assert found["tool_choice"] == {"type": "tool", "name": "find"}


def test_any_json_is_asked_for_in_words() -> None:
    """There is no field for an object without a schema."""
    for model in (NEWEST, OLD):
        found, _ = write(model, format=Format())
        assert "JSON object" in found["system"][-1]["text"]
        assert "output_config" not in found
        assert "tools" not in found


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"choices": 2}, "n"),
        ({"messages": (Message("user", (Audio("AAAA", "wav"),)),)}, "messages"),
        (
            {"messages": (Message("user", (Image(media_type="image/bmp", data="A"),)),)},
            "messages",
        ),
        ({"extra": extra(modalities=["text", "audio"])}, "modalities"),
    ],
)
def test_what_must_not_be_lost_is_refused(asked: dict[str, Any], param: str) -> None:
    """It is never left out, and the refusal says what it is."""
    with pytest.raises(NotOffered) as refusal:
        write(**asked)
    assert refusal.value.param == param


def test_what_is_lost_is_named() -> None:
    """By OpenAI's names, where it would have made a difference."""
    lost: dict[str, Any] = {
        "seed": 0,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "logit_bias": Raw(b'{"1":2}'),
        "log_probs": 0,
        "service_tier": "flex",
        "extra": extra(
            store=True, prediction={"type": "content"}, verbosity=None, web_search_options={}
        ),
    }
    found, dropped = write(**lost)
    assert sorted(dropped) == sorted(
        [
            *("seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs"),
            *("service_tier", "store", "prediction", "web_search_options"),
        ]
    )
    assert found == write()[0]
    nothing: dict[str, Any] = {
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "logit_bias": Raw(b"{}"),
    }
    assert write(**nothing)[1] == []


def test_its_own_fields_are_sent_as_they_are() -> None:
    """A client of another dialect may add what only Anthropic knows, and that goes first."""
    own = {
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "cache_control": {"type": "ephemeral"},
        "output_config": {"effort": "max"},
        "container": "c-1",
    }
    found, dropped = write(
        OPUS_4_6, reasoning=Reasoning("low"), format=Format(SCHEMA), extra=extra(**own)
    )
    assert {name: found[name] for name in own if name != "output_config"} == {
        name: value for name, value in own.items() if name != "output_config"
    }
    assert found["output_config"]["effort"] == "max"
    assert found["output_config"]["format"]["type"] == "json_schema"
    assert found["max_tokens"] == 16_384 + 2000
    assert dropped == []


def test_own_thinking_waits_for_the_end_of_a_foreign_loop() -> None:
    """A call without its thoughts is answered first; only then may it be thought again."""
    begun = (
        USER,
        Message("assistant", (Call("t", "find"),)),
        Message("tool", (Result("t", (Text("4"),)),)),
    )
    own = extra(thinking={"type": "enabled", "budget_tokens": 2000})
    found, dropped = write(OPUS_4_5, messages=begun, extra=own)
    assert "thinking" not in found
    assert dropped == ["thinking"]
    found, dropped = write(OPUS_4_5, messages=begun, extra=extra(thinking={"type": "disabled"}))
    assert found["thinking"] == {"type": "disabled"}
    assert dropped == []


@pytest.mark.parametrize(
    ("asked", "user_id", "lost"),
    [
        ({"user": "u-1"}, "u-1", []),
        ({"user": "a@b.example"}, None, ["user"]),
        ({"extra": extra(metadata={"user_id": "u-2"})}, "u-2", []),
        ({"extra": extra(metadata={"topic": "x"})}, None, ["metadata"]),
        ({"user": "u-1", "extra": extra(metadata={"topic": "x"})}, "u-1", ["metadata"]),
        ({"extra": extra(metadata=[1])}, None, ["metadata"]),
        ({"extra": extra(safety_identifier="u-3")}, "u-3", []),
        ({"extra": extra(safety_identifier=4)}, None, []),
    ],
)
def test_who_asks_is_told_by_an_id_only(
    asked: dict[str, Any], user_id: str | None, lost: list[str]
) -> None:
    """What else stands in metadata, and an address of a person, goes nowhere."""
    found, dropped = write(**asked)
    assert found.get("metadata") == (None if user_id is None else {"user_id": user_id})
    assert dropped == lost
