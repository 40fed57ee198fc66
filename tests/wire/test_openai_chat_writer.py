"""Tests of `proxy/wire/openai_chat_writer.py`: requests that providers of the format get."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import (
    ChatRequest,
    Format,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolChoice,
)
from proxy.wire.json_text import build_object
from proxy.wire.openai_chat_reader import read_openai_chat
from proxy.wire.openai_chat_writer import write_openai_chat
from proxy.wire.openai_request import parse_ask

MESSAGES = (Message("user", (Text("hi"),)),)
SENT_MESSAGES = [{"role": "user", "content": "hi"}]


def write(dropped: list[str] | None = None, also_takes: Any = (), **asked: Any) -> Any:
    """The fields that a provider is sent, but for the messages."""
    names: list[str] = [] if dropped is None else dropped
    chat = ChatRequest(MESSAGES, **asked)
    fields = write_openai_chat(chat, names, also_takes=frozenset(also_takes))
    sent = json.loads(build_object(fields))
    assert sent.pop("messages") == SENT_MESSAGES
    return sent


def test_nothing_asked_is_nothing_sent() -> None:
    """A request with messages only is sent with messages only."""
    assert write() == {}


def test_each_option_has_its_name() -> None:
    """All that is asked stands under OpenAI's names."""
    assert write(
        max_tokens=9,
        temperature=0.5,
        top_p=1.0,
        stop=("a",),
        choices=2,
        seed=3,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logit_bias=Raw(b'{"5":1}'),
        log_probs=2,
        user="u",
        service_tier="flex",
        streams=True,
    ) == {
        "max_completion_tokens": 9,
        "temperature": 0.5,
        "top_p": 1.0,
        "stop": ["a"],
        "n": 2,
        "seed": 3,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "logit_bias": {"5": 1},
        "logprobs": True,
        "top_logprobs": 2,
        "user": "u",
        "service_tier": "flex",
        "stream": True,
    }


def test_log_probabilities_alone_ask_for_no_others() -> None:
    """Without alternatives the number of them is not sent."""
    assert write(log_probs=0) == {"logprobs": True}


def test_tools_keep_their_schema() -> None:
    """A schema goes on byte by byte; a mark of Anthropic's cache does not."""
    tool = Tool("f", "d", Raw(b'{"x" : 1.0}'), True, Raw(b"{}"))
    fields = write_openai_chat(ChatRequest(MESSAGES, tools=(tool, Tool("g"))), [])
    assert bytes(fields["tools"]) == (
        b'[{"type":"function","function":{"name":"f","description":"d",'
        b'"parameters":{"x" : 1.0},"strict":true}},{"type":"function","function":{"name":"g"}}]'
    )


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("none", ("f",)), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("required", ("f",)), {"type": "function", "function": {"name": "f"}}),
        (
            ToolChoice("auto", ("f",)),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
        ),
    ],
)
def test_a_choice_of_tools_is_sent_with_tools(choice: ToolChoice, sent: Any) -> None:
    """Each choice has its form; without tools, providers refuse any."""
    assert write(tools=(Tool("f"),), tool_choice=choice)["tool_choice"] == sent
    assert write(tool_choice=choice, is_parallel=False) == {}


def test_calls_one_by_one_are_asked_for_with_tools() -> None:
    """The switch is sent as it was said."""
    assert write(tools=(Tool("f"),), is_parallel=False)["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (Format(), {"type": "json_object"}),
        (
            Format(Raw(b'{"type":"object"}')),
            {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "object"}},
            },
        ),
        (
            Format(Raw(b"{}"), "n", "d", True),
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "description": "d", "schema": {}, "strict": True},
            },
        ),
    ],
)
def test_formats_are_sent(wanted: Format, sent: Any) -> None:
    """Any JSON, or JSON by a schema, which always has a name."""
    assert write(format=wanted) == {"response_format": sent}


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (Reasoning("xhigh"), "xhigh"),
        (Reasoning("low", 50_000), "low"),
        (Reasoning(None, 1024), "low"),
        (Reasoning(None, 4096), "low"),
        (Reasoning(None, 4097), "medium"),
        (Reasoning(None, 16_385), "high"),
        (Reasoning(is_adaptive=True), None),
    ],
)
def test_tokens_for_thoughts_become_an_effort(reasoning: Reasoning, effort: str | None) -> None:
    """An effort that was said is sent; a budget is the nearest effort; else the model's own."""
    assert write(reasoning=reasoning) == ({} if effort is None else {"reasoning_effort": effort})


def test_no_thoughts_at_all_is_named_as_dropped() -> None:
    """Models that never think refuse the word for it, so it is not sent and not kept silent."""
    dropped: list[str] = []
    assert write(dropped, reasoning=Reasoning("none")) == {}
    assert dropped == ["reasoning_effort"]


def test_what_has_no_place_is_named() -> None:
    """OpenAI's own fields are sent, those that the provider takes as well; all others are named."""
    extra = {"thinking": Raw(b"{}"), "store": Raw(b"true"), "min_p": Raw(b"0.1")}
    dropped: list[str] = []
    assert write(dropped, extra=extra, top_k=3) == {"store": True}
    assert dropped == ["min_p", "thinking", "top_k"]
    dropped.clear()
    sent = write(dropped, ("top_k", "min_p"), extra=extra, top_k=3)
    assert sent == {"store": True, "min_p": 0.1, "top_k": 3}
    assert dropped == ["thinking"]


def test_anthropics_tier_has_openais_word() -> None:
    """`standard_only` is what OpenAI calls `default`."""
    assert write(service_tier="standard_only") == {"service_tier": "default"}


def test_a_chat_that_was_read_is_written_as_it_was() -> None:
    """A chat completion goes through the hub and comes out with the same fields."""
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is this?"},
                    {"type": "image_url", "image_url": {"url": "https://a", "detail": "high"}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"a":1}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c", "content": "42"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": True,
        "max_completion_tokens": 9,
        "temperature": 1.0,
        "stop": ["x"],
        "n": 2,
        "logprobs": True,
        "top_logprobs": 2,
        "response_format": {"type": "json_object"},
        "reasoning_effort": "high",
        "user": "u",
        "stream": True,
        "store": False,
        "verbosity": "low",
    }
    dropped: list[str] = []
    chat = read_openai_chat(parse_ask("chat", json.dumps(body).encode()))
    fields = write_openai_chat(chat, dropped)
    sent = json.loads(build_object(fields))
    del body["model"]
    assert (sent, dropped) == (body, [])
