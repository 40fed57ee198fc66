"""Requests of Ollama's clients as any provider is asked them."""

import json
from typing import Any

import pytest

from proxy.domain.chat import Call, Image, Message, Result, Text, Thought
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.ollama_chat_reader import read_ollama_chat, read_ollama_generate
from proxy.wire.ollama_request import parse_ask

PIXEL = "iVBORw0KGgo="


def chat(*messages: Any) -> tuple[Message, ...]:
    body = {"model": "m", "messages": messages}
    return read_ollama_chat(parse_ask("ollama_chat", json.dumps(body).encode())).messages


def generate(**fields: Any) -> tuple[Message, ...]:
    body = json.dumps({"model": "m", **fields}).encode()
    return read_ollama_generate(parse_ask("ollama_generate", body)).messages


def called(name: str, **more: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": {"a": 1}}, **more}


def test_a_conversation_is_read() -> None:
    """Text, pictures, thoughts and calls are what they are to all others."""
    assert chat(
        {"role": "system", "content": "s"},
        {"role": "user", "content": "see", "images": [PIXEL, f"data:image/png;base64,{PIXEL}"]},
        {
            "role": "assistant",
            "content": "c",
            "thinking": "t",
            "tool_calls": [called("f", id="c1")],
        },
        {"role": "tool", "content": "r", "tool_call_id": "c1"},
        {"role": "user", "content": ""},
    ) == (
        Message("system", (Text("s"),)),
        Message("user", (Text("see"), *[Image(media_type="image/png", data=PIXEL)] * 2)),
        Message("assistant", (Thought("t", "openai"), Text("c"), Call("c1", "f", '{"a": 1}'))),
        Message("tool", (Result("c1", (Text("r"),)),)),
        Message("user", ()),
    )


def test_results_of_very_many_calls_find_theirs() -> None:
    """None is looked for among all others: not by its id, nor by its name, nor by the order."""
    calls = {"role": "assistant", "tool_calls": [called("f"), called("g")] * 30_000}
    results = [{"role": "tool", "content": "", "tool_name": "h"}] * 600
    results += [{"role": "tool", "content": "", "tool_name": "g"}] * 600
    results += [{"role": "tool", "content": "", "tool_call_id": "call_60000_g"}] * 600
    said = chat(calls, *results)[1:]
    found = [part.call_id for message in said for part in message.parts]  # type: ignore[union-attr]
    assert found[:4] == ["call_1_f", "call_2_g", "call_3_f", "call_4_g"]
    assert found[600:602] == ["call_602_g", "call_604_g"]
    assert found[1200:] == ["call_60000_g"] * 600


def test_calls_without_ids_get_some_that_their_results_find() -> None:
    """A result is of the call of its name, else of the first one that has none yet."""
    said = chat(
        {"role": "assistant", "tool_calls": [called("f"), called("g"), called("f")]},
        {"role": "tool", "content": "g", "tool_name": "g"},
        {"role": "tool", "content": "f"},
        {"role": "tool", "content": "f again", "name": "f"},
    )
    calls = [part.id for part in said[0].parts if isinstance(part, Call)]
    assert calls == ["call_1_f", "call_2_g", "call_3_f"]
    results = [part.call_id for message in said[1:] for part in message.parts]  # type: ignore[union-attr]
    assert results == ["call_2_g", "call_1_f", "call_3_f"]


@pytest.mark.parametrize(("arguments", "text"), [(None, "{}"), ("", "{}"), ('{"a":1}', '{"a":1}')])
def test_arguments_may_be_a_text_or_nothing(arguments: Any, text: str) -> None:
    """Who writes them as OpenAI's clients do is understood."""
    (message,) = chat(
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}
    )
    assert message.parts == (Call("call_1_f", "f", text),)


def test_a_prompt_is_a_chat_of_one_message() -> None:
    """With the system's words before it, and its pictures beside it."""
    assert generate(prompt="p", system="s", images=["/9j/4AAQ"], context=[], suffix="") == (
        Message("system", (Text("s"),)),
        Message("user", (Text("p"), Image(media_type="image/jpeg", data="/9j/4AAQ"))),
    )
    assert generate(prompt="p", images=None) == (Message("user", (Text("p"),)),)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"suffix": "x"}, "suffix"),
        ({"template": "x"}, "template"),
        ({"context": [1]}, "context"),
        ({"raw": True}, "raw"),
        ({"images": ["Qk0="]}, "images[0]"),
    ],
)
def test_what_no_chat_has_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    """Another provider may be able to do it."""
    with pytest.raises(NotOffered) as raised:
        generate(prompt="p", **fields)
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "robot"}, "messages[0].role"),
        ({"role": "user", "content": []}, "messages[0].content"),
        ({"role": "tool", "content": "x"}, "messages[0]"),
        ({"role": "assistant", "tool_calls": [{}]}, "messages[0].tool_calls[0].function"),
        (
            {
                "role": "assistant",
                "tool_calls": [{"function": {"name": "f", "arguments": [1]}}],
            },
            "messages[0].tool_calls",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_place(message: Any, param: str) -> None:
    """The part of the conversation that is wrong is named."""
    with pytest.raises(InvalidRequest) as raised:
        chat(message)
    assert raised.value.param == param
