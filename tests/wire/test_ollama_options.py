"""What Ollama's clients say beside their messages, as other providers are told it."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import ChatRequest, Format, Reasoning, Tool
from proxy.domain.errors import InvalidRequest
from proxy.wire.ollama_options import read_answer_limit, read_ollama_options


def read(**fields: Any) -> ChatRequest:
    raw = {name: Raw(json.dumps(value).encode()) for name, value in fields.items()}
    return read_ollama_options(raw, (), streams=True)


def test_options_are_read_and_those_of_the_machine_passed_over() -> None:
    """How a model is loaded is of no matter elsewhere; what else is there is named as extra."""
    chat = read(
        model="m",
        options={
            "num_ctx": 8192,
            "num_thread": 4,
            "num_predict": 5,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 3,
            "stop": ["a", "b"],
            "seed": 7,
            "presence_penalty": 0.1,
            "frequency_penalty": 0.2,
            "repeat_penalty": 1.1,
            "mirostat": 1,
            "min_p": None,
        },
        keep_alive="5m",
        unknown=1,
        nothing=None,
    )
    assert chat == ChatRequest(
        (),
        max_tokens=5,
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        stop=("a", "b"),
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        streams=True,
        extra={
            "repetition_penalty": Raw(b"1.1"),
            "mirostat": Raw(b"1"),
            "unknown": Raw(b"1"),
        },
    )
    assert read(options={"stop": "a"}).stop == ("a",)


@pytest.mark.parametrize(("limit", "most"), [(-2, None), (-1, None), (0, None), (7, 7)])
def test_no_limit_is_none(limit: int, most: int | None) -> None:
    """Numbers below 1 say that there is no end, or as much as there is room for."""
    assert read_answer_limit({"num_predict": Raw(str(limit).encode())}) == most
    assert read(options={"num_predict": limit}).max_tokens == most


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("json", Format()), ("", None), (None, None), ({"type": "object"}, "schema")],
)
def test_a_format_is_json_or_a_schema(wanted: Any, found: Any) -> None:
    """The schema stays the bytes that came."""
    if found == "schema":
        found = Format(Raw(b'{"type": "object"}'))
    assert read(format=wanted).format == found


@pytest.mark.parametrize(
    ("think", "found"),
    [
        (True, Reasoning(is_adaptive=True)),
        (False, Reasoning("none", shows=False)),
        ("low", Reasoning("low")),
        ("max", Reasoning("max")),
        ("", None),
        (None, None),
    ],
)
def test_thinking_is_wanted_or_not_or_so_much(think: Any, found: Reasoning | None) -> None:
    """A level is an effort; true leaves it to the model."""
    assert read(think=think).reasoning == found


def test_log_probabilities_and_tools_are_read() -> None:
    """Both are written as OpenAI's clients write them."""
    assert read(logprobs=True, top_logprobs=3).log_probs == 3
    assert read(logprobs=True).log_probs == 0
    assert read(top_logprobs=3).log_probs is None
    assert read(tools=[{"type": "function", "function": {"name": "f"}}]).tools == (Tool("f"),)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"options": {"temperature": "x"}}, "options.temperature"),
        ({"options": {"num_predict": 1.5}}, "options.num_predict"),
        ({"options": {"num_predict": 2**31}}, "options.num_predict"),
        ({"options": {"stop": 1}}, "options.stop"),
        ({"format": "xml"}, "format"),
        ({"think": "much"}, "think"),
        ({"logprobs": 1}, "logprobs"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    """The option that is wrong is named with its place."""
    with pytest.raises(InvalidRequest) as raised:
        read(**fields)
    assert raised.value.param == param
