"""Tests of `proxy/wire/gemini_chat_writer.py`."""

import json
from typing import Any

import pytest
from google.genai import types
from msgspec import Raw

from proxy.domain.chat import (
    ChatRequest,
    Format,
    Image,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolChoice,
)
from proxy.domain.errors import NotOffered
from proxy.wire.gemini_chat_writer import write_gemini_chat, write_gemini_count

HI = (Message("user", (Text("Hi"),)),)
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "additionalProperties": False}
TOOL = Tool("f", "does f", Raw(json.dumps(SCHEMA).encode()))
OLD, MIDDLE, NEW, NEWEST = "gemini-2.0-flash", "gemini-2.5-flash", "gemini-3-flash", "gemini-4-pro"


def write(model: str = NEW, /, **fields: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the body, which Google's own types can read, and what was dropped."""
    dropped: list[str] = []
    chat = ChatRequest(**{"messages": HI, **fields})
    body: dict[str, Any] = json.loads(write_gemini_chat(chat, model, dropped))
    for content in body["contents"]:
        types.Content.model_validate(content)
    for tool in body.get("tools", []):
        types.Tool.model_validate(tool)
    types.GenerationConfig.model_validate(
        {k: v for k, v in body.get("generationConfig", {}).items() if k != "imageConfig"}
    )
    types.ToolConfig.model_validate(body.get("toolConfig", {}))
    return body, dropped


def config(model: str = NEW, /, **fields: Any) -> dict[str, Any]:
    body, dropped = write(model, **fields)
    assert dropped == []
    found: dict[str, Any] = body["generationConfig"]
    return found


def test_a_plain_request_says_nothing_more() -> None:
    """What the client has not said is not sent, and the model stands in no body."""
    assert write() == ({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}, [])


def test_system_messages_are_the_instruction() -> None:
    """All of them are parts of the `systemInstruction`."""
    messages = (Message("system", (Text("a"), Text("b"))), *HI)
    body, _ = write(messages=messages)
    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}


def test_what_has_another_name_there_is_renamed() -> None:
    """Limits, sampling, stops and seeds keep their values."""
    found = config(
        MIDDLE,
        max_tokens=50,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop=("a", "", "b"),
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        choices=2,
    )
    assert found == {
        "maxOutputTokens": 50,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "stopSequences": ["a", "b"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "candidateCount": 2,
    }


def test_newer_models_take_no_penalties_and_no_sampling() -> None:
    """What they ignore or refuse is left out, and named."""
    asked = {"temperature": 0.0, "top_p": 1.0, "top_k": 1, "presence_penalty": 0.0}
    body, dropped = write(NEW, **asked, frequency_penalty=1.0)
    assert dropped == ["presence_penalty", "frequency_penalty"]
    assert body["generationConfig"] == {"temperature": 0.0, "topP": 1.0, "topK": 1}
    body, dropped = write(NEWEST, **asked)
    assert dropped == ["temperature", "top_p", "top_k", "presence_penalty"]
    assert "generationConfig" not in body


def test_what_gemini_does_not_know_is_named() -> None:
    """Fields without a counterpart, and those of nobody, are left out by their clients' names."""
    body, dropped = write(
        logit_bias=Raw(b'{"1":2}'),
        user="u",
        service_tier="scale",
        seed=2**40,
        extra={"store": Raw(b"true"), "metadata": Raw(b"{}"), "prediction": Raw(b"null")},
    )
    assert sorted(dropped) == ["logit_bias", "metadata", "seed", "service_tier", "store", "user"]
    assert set(body) == {"contents"}


def test_tools_are_declared_in_json_schema() -> None:
    """From 2.5 on a schema goes as it came; one of no arguments is left out."""
    body, dropped = write(MIDDLE, tools=(TOOL, Tool("g", None, Raw(b'{"type":"object"}'))))
    assert dropped == []
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "does f", "parametersJsonSchema": SCHEMA},
                {"name": "g"},
            ]
        }
    ]
    assert "toolConfig" not in body


def test_older_models_are_declared_tools_in_the_subset() -> None:
    """Before 2.5 what `Schema` lacks is left out."""
    body, _ = write(OLD, tools=(TOOL,))
    declaration = body["tools"][0]["functionDeclarations"][0]
    assert declaration["parameters"] == {
        "type": "object",
        "properties": {"x": {"type": "integer"}},
    }


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("required", ("f",)), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_a_choice_of_tools_has_its_mode(choice: ToolChoice, written: object) -> None:
    """None of them is lost, and a name bounds what must be called."""
    body, dropped = write(tools=(TOOL,), tool_choice=choice)
    assert body["toolConfig"] == {"functionCallingConfig": written}
    assert dropped == []


def test_some_tools_alone_may_be_called() -> None:
    """Where calls are free and bounded to some tools, the others are not told of."""
    choice = ToolChoice("auto", ("f",))
    body, _ = write(tools=(TOOL, Tool("g")), tool_choice=choice)
    assert [d["name"] for d in body["tools"][0]["functionDeclarations"]] == ["f"]


def test_a_choice_without_tools_is_none() -> None:
    """Gemini refuses a `toolConfig` beside no tools."""
    body, _ = write(tool_choice=ToolChoice("auto"))
    assert set(body) == {"contents"}


def test_what_cannot_be_promised_of_calls_is_named() -> None:
    """There is no switch for one call at a time, and none for strict schemas."""
    strict = Tool("f", None, TOOL.parameters, is_strict=True)
    assert write(tools=(strict,), is_parallel=False)[1] == ["strict", "parallel_tool_calls"]
    assert write(tools=(TOOL,), is_parallel=True)[1] == []
    assert write(is_parallel=False)[1] == []


def test_json_is_asked_for() -> None:
    """Any object by its media type alone, one of a schema with it."""
    assert config(format=Format()) == {"responseMimeType": "application/json"}
    schema = Raw(json.dumps(SCHEMA).encode())
    assert config(format=Format(schema, "n", is_strict=True)) == {
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }
    older = config(OLD, format=Format(schema))
    assert older["responseSchema"] == {"type": "object", "properties": {"x": {"type": "integer"}}}


def test_json_beside_tools_is_for_newer_models() -> None:
    """Before 3 one of the two is refused, as neither may be left out."""
    assert config(NEW, tools=(TOOL,), format=Format())
    with pytest.raises(NotOffered) as caught:
        write(MIDDLE, tools=(TOOL,), format=Format())
    assert caught.value.param == "response_format"


@pytest.mark.parametrize(
    ("wanted", "written"),
    [(0, {"responseLogprobs": True}), (3, {"responseLogprobs": True, "logprobs": 3})],
)
def test_log_probabilities_are_asked_for(wanted: int, written: object) -> None:
    """With as many alternatives as the client wants, or none."""
    assert config(log_probs=wanted) == written


def test_thinking_is_bounded() -> None:
    """An effort becomes what the model takes; one that does not think has it named."""
    assert config(NEW, reasoning=Reasoning("low")) == {
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"}
    }
    assert config(MIDDLE, reasoning=Reasoning("low")) == {
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1024}
    }
    assert write(OLD, reasoning=Reasoning("low"))[1] == ["reasoning_effort"]
    assert write(OLD, reasoning=Reasoning("none"))[1] == []


@pytest.mark.parametrize(("tier", "written"), [("flex", "flex"), ("auto", None), ("default", None)])
def test_a_tier_that_google_has_is_asked_for(tier: str, written: str | None) -> None:
    """The usual one is not spoken of."""
    body, dropped = write(service_tier=tier)
    assert (body.get("serviceTier"), dropped) == (written, [])


@pytest.mark.parametrize("snake", [False, True])
def test_what_is_geminis_own_is_taken_in_either_spelling(snake: bool) -> None:
    """Its fields go where it has them, byte for byte as they came."""
    names = {
        "safetySettings": "safety_settings",
        "cachedContent": "cached_content",
        "mediaResolution": "media_resolution",
        "thinkingConfig": "thinking_config",
        "generationConfig": "generation_config",
    }
    settings = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    values: dict[str, Any] = {
        "safetySettings": settings,
        "cachedContent": "cachedContents/x",
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
        "thinkingConfig": {"thinkingBudget": 5},
        "generationConfig": {"maxOutputTokens": 3, "candidateCount": 8, "topK": 2},
    }
    extra = {names[n] if snake else n: Raw(json.dumps(v).encode()) for n, v in values.items()}
    body, dropped = write(MIDDLE, max_tokens=9, extra=extra)
    assert dropped == []
    assert body["safetySettings"] == settings
    assert body["cachedContent"] == "cachedContents/x"
    # What every client can say goes before it, and how many answers come is known by `n` alone.
    assert body["generationConfig"] == {
        "maxOutputTokens": 9,
        "topK": 2,
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
        "thinkingConfig": {"thinkingBudget": 5},
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stop": ("a", "b", "c", "d", "e", "f")}, "stop"),
        ({"choices": 9}, "n"),
        ({"extra": {"modalities": Raw(b'["text", "audio"]')}}, "modalities"),
        ({"extra": {"generationConfig": Raw(b"5")}}, "generationConfig"),
        ({"messages": (Message("user", (Image(url="https://x.example/a.png"),)),)}, "messages"),
    ],
    ids=["stop", "n", "modalities", "generationConfig", "messages"],
)
def test_what_must_not_be_left_out_is_refused(fields: dict[str, Any], param: str) -> None:
    """The error names the field, so that another provider, or the client, can do something."""
    with pytest.raises(NotOffered) as caught:
        write(**fields)
    assert caught.value.param == param


def test_text_alone_is_what_comes_anyway() -> None:
    """Asking for text only is nothing that was dropped."""
    assert write(extra={"modalities": Raw(b'["text"]')})[1] == []


def test_a_prompt_is_counted_with_its_tools() -> None:
    """The count is asked for all that the model would read, and for nothing else."""
    messages = (Message("system", (Text("s"),)), *HI)
    chat = ChatRequest(
        messages, tools=(TOOL,), tool_choice=ToolChoice("auto"), max_tokens=5, user="u"
    )
    assert json.loads(write_gemini_count(chat, NEW)) == {
        "generateContentRequest": {
            "model": "models/gemini-3-flash",
            "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
            "systemInstruction": {"parts": [{"text": "s"}]},
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "f", "description": "does f", "parametersJsonSchema": SCHEMA}
                    ]
                }
            ],
        }
    }
