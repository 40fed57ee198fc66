"""Tests of `proxy/wire/openai_options.py`: what a request says beside its messages."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import ChatRequest, Format, Message, Reasoning, Text, Tool, ToolChoice
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.json_text import parse_object
from proxy.wire.openai_options import read_options

MESSAGES = (Message("user", (Text("hi"),)),)


def read(**fields: Any) -> ChatRequest:
    """The request of these fields."""
    return read_options(parse_object(json.dumps(fields).encode()), MESSAGES)


def test_nothing_said_is_nothing_asked() -> None:
    """A request with messages only, or with nulls, has no option; nothing of it is left over."""
    assert read(model="m", messages=[]) == ChatRequest(MESSAGES)
    assert read(temperature=None, stop=None, tools=None, new_field=None) == ChatRequest(MESSAGES)
    assert read(stream=True, stream_options={"include_usage": True}).extra == {}


def test_each_option_has_its_place() -> None:
    """All options that other dialects know, too, are read with their values."""
    chat = read(
        tools=[{"type": "function", "function": {"name": "f"}}],
        tool_choice="required",
        parallel_tool_calls=False,
        max_completion_tokens=9,
        temperature=1,
        top_p=0.5,
        top_k=3,
        stop=["a", "b"],
        n=2,
        seed=-7,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        logit_bias={"5": 1},
        user="u",
        service_tier="flex",
        stream=True,
    )
    assert chat == ChatRequest(
        MESSAGES,
        tools=(Tool("f"),),
        tool_choice=ToolChoice("required"),
        is_parallel=False,
        max_tokens=9,
        temperature=1.0,
        top_p=0.5,
        top_k=3,
        stop=("a", "b"),
        choices=2,
        seed=-7,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        logit_bias=Raw(b'{"5": 1}'),
        user="u",
        service_tier="flex",
        streams=True,
    )


def test_names_of_one_meaning_are_one_option() -> None:
    """The newer limit goes before the older, a string is a list of one, an id is a user."""
    assert read(max_tokens=5).max_tokens == 5
    assert read(max_tokens=5, max_completion_tokens=7).max_tokens == 7
    assert read(stop="a").stop == ("a",)
    assert read(safety_identifier="s").user == "s"
    assert read(safety_identifier="s", user="u").user == "u"


def test_what_is_known_to_openai_only_is_kept_as_it_came() -> None:
    """Fields without a counterpart go on byte by byte, whoever may want them."""
    body = b'{"store": true, "audio": {"voice" : "x"}, "x_new": 1.50, "thinking":{"type":"a"}}'
    extra = read_options(parse_object(body), MESSAGES).extra
    assert {name: bytes(raw) for name, raw in extra.items()} == {
        "store": b"true",
        "audio": b'{"voice" : "x"}',
        "x_new": b"1.50",
        "thinking": b'{"type":"a"}',
    }


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, None),
        ({"logprobs": False, "top_logprobs": 3}, None),
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 3}, 3),
    ],
)
def test_log_probabilities_are_a_number(fields: dict[str, Any], count: int | None) -> None:
    """None: not wanted; else how many alternatives there are to be."""
    assert read(**fields).log_probs == count


def test_formats_are_read() -> None:
    """Text is no format; JSON is one, with a schema or without."""
    assert read(response_format={"type": "text"}).format is None
    assert read(response_format={"type": "json_object"}).format == Format()
    schema = {"name": "n", "description": "d", "schema": {"type": "object"}, "strict": True}
    found = read(response_format={"type": "json_schema", "json_schema": schema}).format
    assert found == Format(Raw(b'{"type": "object"}'), "n", "d", True)
    no_schema = {"type": "json_schema", "json_schema": {"name": "n"}}
    assert read(response_format=no_schema).format == Format(name="n")


@pytest.mark.parametrize(
    ("wanted", "error", "param"),
    [
        ({"type": "grammar"}, NotOffered, "response_format.type"),
        ({"type": "json_schema"}, InvalidRequest, "response_format.json_schema"),
        (
            {"type": "json_schema", "json_schema": {"schema": []}},
            InvalidRequest,
            "response_format.json_schema.schema",
        ),
        ({"type": 7}, InvalidRequest, "response_format"),
    ],
)
def test_formats_that_cannot_be_had_are_refused(
    wanted: Any, error: type[InvalidRequest], param: str
) -> None:
    """A format is never left out: whoever reads the answer relies on it."""
    with pytest.raises(error) as refusal:
        read(response_format=wanted)
    assert refusal.value.param == param


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reasoning_effort": "xhigh"}, Reasoning("xhigh")),
        ({"reasoning": {"effort": "low"}}, Reasoning("low")),
        ({"reasoning": {"max_tokens": 2000}}, Reasoning(None, 2000)),
        ({"reasoning": {"enabled": True}}, Reasoning(is_adaptive=True)),
        ({"reasoning": {"enabled": False}}, Reasoning("none")),
        ({"reasoning": {"effort": "high", "exclude": True}}, Reasoning("high", shows=False)),
        ({"reasoning_effort": "low", "reasoning": {"max_tokens": 9}}, Reasoning("low")),
        ({}, None),
    ],
)
def test_reasoning_is_read(fields: dict[str, Any], expected: Reasoning | None) -> None:
    """OpenAI's effort and OpenRouter's object say how much is to be thought."""
    assert read(**fields).reasoning == expected


def test_an_effort_that_is_not_known_is_not_lost() -> None:
    """A word of one provider's own stays among the fields that are named."""
    chat = read(reasoning_effort="default")
    assert chat.reasoning is None
    assert chat.extra == {"reasoning_effort": Raw(b'"default"')}
    chat = read(reasoning={"effort": "default"})
    assert chat.reasoning == Reasoning(is_adaptive=True)
    assert chat.extra.keys() == {"reasoning"}


@pytest.mark.parametrize(
    "fields",
    [{"top_k": "x"}, {"logprobs": 3}, {"service_tier": 1}, {"reasoning": []}, {"n": "2"}],
)
def test_a_wrong_type_is_named(fields: dict[str, Any]) -> None:
    """A value that cannot be read is refused by its name."""
    with pytest.raises(InvalidRequest) as refusal:
        read(**fields)
    assert refusal.value.param == next(iter(fields))
