"""A chat request as Ollama takes it: options, window, tools, and what is left out by name."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import ChatRequest, Format, Message, Reasoning, Text, Tool, ToolChoice
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.context_window import WindowBounds
from proxy.wire.ollama_chat_writer import write_ollama_chat

BOUNDS = WindowBounds(8192, 131_072)
HI = (Message("user", (Text("Hi"),)),)
TOOLS = (Tool("f", "does f", Raw(b'{"type":"object"}')), Tool("g"))


def write(chat: ChatRequest) -> tuple[dict[str, Any], list[str]]:
    dropped: list[str] = []
    body: dict[str, Any] = json.loads(write_ollama_chat(chat, "m", BOUNDS, dropped))
    return body, dropped


def test_the_least_request_asks_for_a_window_and_for_no_silence() -> None:
    """What does not fit is to be an error: neither prompt nor answer is ever cut."""
    body, dropped = write(ChatRequest(HI))
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": False,
        "truncate": False,
        "shift": False,
        "options": {"num_ctx": 8192},
    }
    assert dropped == []


def test_every_option_has_its_name() -> None:
    """Names that all clients know go before those of Ollama's own `options`."""
    body, dropped = write(
        ChatRequest(
            HI,
            max_tokens=5,
            temperature=0.5,
            top_p=0.9,
            top_k=3,
            stop=("a", ""),
            seed=7,
            presence_penalty=0.1,
            frequency_penalty=0.2,
            log_probs=2,
            format=Format(),
            reasoning=Reasoning("xhigh"),
            streams=True,
            extra={
                "options": Raw(b'{"seed":1,"mirostat":2,"num_ctx":9000}'),
                "min_p": Raw(b"0.1"),
                "repetition_penalty": Raw(b"1.1"),
                "keep_alive": Raw(b'"5m"'),
                "truncate": Raw(b"true"),
                "absent": Raw(b"null"),
            },
        )
    )
    assert body["options"] == {
        "seed": 7,
        "mirostat": 2,
        "num_ctx": 9000,
        "min_p": 0.1,
        "repeat_penalty": 1.1,
        "num_predict": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "stop": ["a"],
    }
    assert (body["stream"], body["format"], body["think"]) == (True, "json", "high")
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    assert (body["keep_alive"], body["truncate"], body["shift"]) == ("5m", True, False)
    assert dropped == []


@pytest.mark.parametrize(
    ("reasoning", "level"),
    [
        (Reasoning("none"), False),
        (Reasoning("minimal"), "low"),
        (Reasoning("max"), "max"),
        (Reasoning(budget_tokens=2000), True),
        (Reasoning(is_adaptive=True), True),
    ],
)
def test_how_much_is_thought_is_said_in_ollamas_words(
    reasoning: Reasoning, level: bool | str
) -> None:
    """An effort is a level; a budget of tokens only says that it is to think."""
    assert write(ChatRequest(HI, reasoning=reasoning))[0]["think"] == level


def test_tools_are_told_and_their_choice_kept_to() -> None:
    """`none` tells of no tools, names leave out others; that one of several must is refused."""
    body, dropped = write(ChatRequest(HI, tools=TOOLS, is_parallel=False))
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "does f", "parameters": {"type": "object"}},
        },
        {
            "type": "function",
            "function": {"name": "g", "parameters": {"type": "object", "properties": {}}},
        },
    ]
    assert dropped == ["parallel_tool_calls"]
    none = write(ChatRequest(HI, tools=TOOLS, tool_choice=ToolChoice("none")))[0]
    assert "tools" not in none
    some = write(ChatRequest(HI, tools=TOOLS, tool_choice=ToolChoice("auto", ("g",))))[0]
    assert [tool["function"]["name"] for tool in some["tools"]] == ["g"]
    with pytest.raises(NotOffered) as raised:
        write(ChatRequest(HI, tools=TOOLS, tool_choice=ToolChoice("required")))
    assert raised.value.param == "tool_choice"


@pytest.mark.parametrize("messages", [HI, (Message("system", (Text("Be kind."),)), *HI)])
def test_one_tool_that_must_be_called_is_a_schema(messages: tuple[Message, ...]) -> None:
    """The answer is bound to its arguments, and the model is told so before all else."""
    choice = ToolChoice("required", ("f",))
    body, dropped = write(ChatRequest(messages, tools=TOOLS, tool_choice=choice))
    assert body["format"] == {"type": "object"}
    assert "tools" not in body
    system, user = body["messages"]
    assert (system["role"], user) == ("system", {"role": "user", "content": "Hi"})
    assert "'f'" in system["content"] and "does f" in system["content"]
    assert system["content"].startswith("Be kind.") == (len(messages) == 2)
    assert dropped == []


def test_the_window_holds_messages_tools_and_answer() -> None:
    """A long conversation, long schemas and a long answer each make it larger."""
    long = (Message("user", (Text("x" * 60_000),)),)
    assert write(ChatRequest(long))[0]["options"]["num_ctx"] == 32_768
    schema = Raw(json.dumps({"description": "x" * 60_000}).encode())
    tools = (Tool("f", None, schema),)
    assert write(ChatRequest(HI, tools=tools))[0]["options"]["num_ctx"] == 32_768
    assert write(ChatRequest(HI, max_tokens=20_000))[0]["options"]["num_ctx"] == 32_768


def test_what_it_does_not_know_is_left_out_by_name() -> None:
    """Each has the name by which OpenAI's clients know it."""
    _, dropped = write(
        ChatRequest(
            HI,
            logit_bias=Raw(b"{}"),
            user="u",
            service_tier="flex",
            tools=(Tool("f", is_strict=True),),
            extra={"store": Raw(b"true")},
        )
    )
    assert dropped == ["strict", "logit_bias", "user", "service_tier", "store"]
    assert write(ChatRequest(HI, service_tier="auto"))[1] == []


@pytest.mark.parametrize(
    ("options", "param"), [(b"[]", "options"), (b'{"num_ctx":"x"}', "options.num_ctx")]
)
def test_options_that_cannot_be_read_are_refused(options: bytes, param: str) -> None:
    """The field that is wrong is named."""
    with pytest.raises(InvalidRequest) as raised:
        write(ChatRequest(HI, extra={"options": Raw(options)}))
    assert raised.value.param == param


def test_several_answers_are_refused() -> None:
    """Ollama gives one, and one would be less than was asked for."""
    with pytest.raises(NotOffered) as raised:
        write(ChatRequest(HI, choices=2))
    assert raised.value.param == "n"
