"""Requests in Ollama's format: what is taken, what is cut without a word, and what is refused."""

import json
from typing import Any

import pytest

from proxy.domain.errors import InvalidRequest
from proxy.simulator.ask import ChatAsk
from proxy.simulator.ollama_ask import (
    USUAL_WINDOW,
    read_chat,
    read_embed,
    read_generate,
    read_name,
)

USER = {"role": "user", "content": "Hi"}


def chat(**fields: Any) -> ChatAsk:
    return read_chat(json.dumps({"model": "sim-echo", "messages": [USER], **fields}).encode())


def test_a_chat_is_read() -> None:
    """It streams unless it says otherwise; fields that are not known are passed over."""
    ask = chat(options={"num_predict": 3, "stop": ["a"], "mirostat": 1}, format="json", new=1)
    assert (ask.stream, ask.limit_tokens, ask.stops) == (True, 3, ("a",))
    assert ask.response_format is not None
    assert ask.response_format.type == "json_object"
    assert chat(stream=False, options={"num_predict": -1}).limit_tokens is None
    schema = chat(format={"type": "object"}).response_format
    assert schema is not None
    assert schema.type == "json_schema"


def test_a_prompt_is_read_with_its_pictures() -> None:
    """Both endpoints know them by how they begin."""
    picture = {"model": "sim-look", "prompt": "see", "images": ["iVBORw0KGgo="], "system": "s"}
    ask = read_generate(json.dumps(picture).encode())
    assert ask.seen == ["image/png of 8 bytes"]
    assert [message.role for message in ask.messages] == ["system", "user"]
    assert chat(messages=[{**USER, "images": ["/9j/"]}]).seen == ["image/jpeg of 3 bytes"]


def test_what_does_not_fit_is_forgotten_or_refused() -> None:
    """The beginning is lost without a word, as it is at the real one, unless that is not wanted."""
    long = [{"role": "user", "content": "word " * USUAL_WINDOW}, USER]
    assert len(chat(messages=long).messages) == 1
    assert len(chat(messages=long, options={"num_ctx": 2 * USUAL_WINDOW}).messages) == 2
    with pytest.raises(InvalidRequest) as raised:
        chat(messages=long, truncate=False)
    assert raised.value.code == "context_length_exceeded"


def test_vectors_and_names_are_read() -> None:
    """One text or several; the model that is to be shown."""
    one = read_embed(b'{"model":"sim-embed","input":"a","dimensions":3}')
    assert (one.inputs, one.dimensions) == (("a",), 3)
    assert read_embed(b'{"model":"sim-embed","input":["a","b"]}').inputs == ("a", "b")
    assert read_name(b'{"model":"m"}') == "m"


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]},
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}],
                }
            ]
        },
        {"messages": [{**USER, "images": ["%"]}]},
        {"messages": [{**USER, "images": ["AAAA"]}]},
        {"messages": [{**USER, "images": ["https://a.test/a.png"]}]},
        {"options": {"num_ctx": "x"}},
        {"format": "xml"},
        {"think": "much"},
        {"stream": "yes"},
    ],
)
def test_what_the_real_one_refuses_is_refused(fields: dict[str, Any]) -> None:
    """Content that is no text, arguments that are no object, pictures that are none."""
    with pytest.raises(InvalidRequest):
        chat(**fields)
