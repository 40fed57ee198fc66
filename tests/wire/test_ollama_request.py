"""Requests of Ollama's clients: streams by default, vectors in OpenAI's words, and loads."""

import json
from typing import Any

import pytest

from proxy.domain.errors import InvalidRequest
from proxy.domain.exchange import Operation
from proxy.wire.base import Ask
from proxy.wire.ollama_request import LONGEST_OPTIONS_BYTES, only_loads, parse_ask


def parse(operation: Operation = "ollama_chat", **fields: Any) -> Ask:
    return parse_ask(operation, json.dumps({"model": "m", **fields}).encode())


@pytest.mark.parametrize("stream", [None, True, False])
def test_a_stream_is_what_is_asked_for_unless_it_is_not(stream: bool | None) -> None:
    """Absent, null and true are the same; usage stands in every answer."""
    ask = parse(messages=[{"role": "user"}], stream=stream)
    assert ask.streams is (stream is not False)
    assert parse(messages=[{"role": "user"}]).streams
    assert ask.wants_usage


def test_a_tag_is_noted_and_left() -> None:
    """Whether the name without it is known is found out by the catalog."""
    ask = parse(model="m:latest", messages=[{"role": "user"}], models=["n"])
    assert (ask.model, ask.may_untag, ask.fallbacks) == ("m:latest", True, ("n",))
    assert not parse(messages=[]).may_untag


def test_vectors_are_asked_for_in_openais_words() -> None:
    """What only Ollama knows stands apart, where no other provider is sent it."""
    ask = parse(
        "ollama_embed",
        model="m:latest",
        input=["a", "b"],
        dimensions=3,
        truncate=True,
        options={"num_ctx": 5},
        keep_alive="1m",
        fallbacks=["n"],
    )
    assert (ask.operation, ask.choices, ask.streams) == ("embeddings", 2, False)
    assert set(ask.fields) == {"model", "input", "dimensions"}
    assert set(ask.own_fields) == {"truncate", "options", "keep_alive"}
    assert (ask.may_untag, ask.fallbacks) == (True, ("n",))


def test_the_older_form_of_vectors_is_one_text() -> None:
    """`prompt` is the input, and the answer has one vector."""
    ask = parse("ollama_embed", prompt="a")
    assert bytes(ask.fields["input"]) == b'"a"'
    assert set(ask.own_fields) == {"prompt"}


@pytest.mark.parametrize(
    ("operation", "fields", "loads"),
    [
        ("ollama_chat", {"messages": []}, True),
        ("ollama_chat", {}, True),
        ("ollama_chat", {"messages": [{"role": "user"}]}, False),
        ("ollama_generate", {}, True),
        ("ollama_generate", {"prompt": "", "keep_alive": 0}, True),
        ("ollama_generate", {"prompt": "a"}, False),
        ("ollama_generate", {"images": ["iVBOR"]}, False),
        ("ollama_embed", {"input": ""}, False),
    ],
)
def test_what_asks_nothing_only_loads(
    operation: Operation, fields: dict[str, Any], loads: bool
) -> None:
    """Without a message, or a prompt, a model is loaded or let go of."""
    assert only_loads(parse(operation, **fields)) is loads


@pytest.mark.parametrize(
    ("operation", "fields", "param"),
    [
        ("ollama_chat", {"model": ""}, "model"),
        ("ollama_chat", {"messages": "x"}, "messages"),
        ("ollama_chat", {"messages": [{}]}, "messages"),
        ("ollama_chat", {"stream": 1}, "stream"),
        ("ollama_chat", {"options": []}, "options"),
        ("ollama_chat", {"options": {"stop": "x" * LONGEST_OPTIONS_BYTES}}, "options"),
        ("ollama_chat", {"tools": {}}, "tools"),
        ("ollama_chat", {"format": 1}, "format"),
        ("ollama_chat", {"think": 1}, "think"),
        ("ollama_chat", {"api_base": "http://a"}, "api_base"),
        ("ollama_chat", {"Options": {"num_ctx": 9_999_999}}, None),
        ("ollama_generate", {"option\u017f": {"num_ctx": 9_999_999}}, None),
        ("ollama_generate", {"prompt": 1}, "prompt"),
        ("ollama_generate", {"images": "x"}, "images"),
        ("ollama_generate", {"images": ["x"] * 2049}, "images"),
        ("ollama_generate", {"raw": "x"}, "raw"),
        ("ollama_embed", {}, "input"),
        ("ollama_embed", {"input": 1}, "input"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(
    operation: Operation, fields: dict[str, Any], param: str | None
) -> None:
    """The field that is wrong is named; nothing of what it holds is repeated."""
    with pytest.raises(InvalidRequest) as raised:
        parse(operation, **fields)
    assert raised.value.param == param
