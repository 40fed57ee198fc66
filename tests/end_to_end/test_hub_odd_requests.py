"""What real clients send beside the usual, through every type of provider."""

import json
from typing import Any

import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.end_to_end.asking import ASK
from tests.end_to_end.hub import (
    NOTHING,
    PIXEL,
    PIXEL_SEEN,
    SIGNED,
    THINKER,
    THINKING_CALLER,
    THOUGHT,
    TRANSLATED,
    TWICE,
    WEATHER,
    Book,
)
from tests.end_to_end.served import PROMPT

pytestmark = pytest.mark.usefixtures("no_leaks")

MAX_TOKENS = 2000
OPENAI_TOOLS: Any = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
]
WORDS = 'Grüße, 你好, 🦊 "quoted" \\ back\r\nand\tnext </script> @0000000000 \u2028 end.'
LONG = "word " * 1_500


class Shelf(BaseModel):
    """A model within a model, which makes a schema with references."""

    name: str
    books: list[Book]
    best: Book | None


@pytest.mark.parametrize("text", [WORDS, LONG], ids=["odd", "long"])
async def test_text_is_the_same_at_the_other_end(
    hub_sdk: AsyncOpenAI, claude_sdk: AsyncAnthropic, maker: str, text: str
) -> None:
    """Whatever characters it has, and however long it is, nothing of a text is changed."""
    model, messages = f"{maker}/sim-echo", [{"role": "user", "content": text}]
    asked: Any = messages
    whole = await hub_sdk.chat.completions.create(
        model=model, messages=asked, max_completion_tokens=10_000
    )
    assert whole.choices[0].message.content == text
    stream = await hub_sdk.chat.completions.create(
        model=model, messages=asked, max_completion_tokens=10_000, stream=True
    )
    deltas = [c.choices[0].delta.content or "" async for c in stream if c.choices]
    assert "".join(deltas) == text
    async with claude_sdk.messages.stream(model=model, max_tokens=10_000, messages=asked) as events:
        assert await events.get_final_text() == text


async def test_a_schema_with_references(
    hub_sdk: AsyncOpenAI, claude_sdk: AsyncAnthropic, maker: str
) -> None:
    """A model within a model is filled in, for an answer and for a tool's arguments."""
    model = f"{maker}/sim-echo"
    answer = await hub_sdk.chat.completions.parse(model=model, messages=ASK, response_format=Shelf)
    assert isinstance(answer.choices[0].message.parsed, Shelf)
    called = await hub_sdk.chat.completions.parse(
        model=f"{maker}/sim-tools", messages=ASK, tools=[openai.pydantic_function_tool(Shelf)]
    )
    calls = called.choices[0].message.tool_calls
    assert calls is not None
    assert isinstance(calls[0].function.parsed_arguments, Shelf)
    same: Any = ASK
    parsed = await claude_sdk.messages.parse(
        model=model, max_tokens=MAX_TOKENS, messages=same, output_format=Shelf
    )
    assert isinstance(parsed.parsed_output, Shelf)


async def test_a_coding_agents_request(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """All that a coding agent sends with each turn is taken: marks, betas, efforts, identities."""
    tools: Any = [
        {"name": "get_weather", "description": "Weather.", "input_schema": WEATHER},
        {"name": "get_time", "input_schema": NOTHING, "cache_control": {"type": "ephemeral"}},
    ]
    mark: Any = {"type": "ephemeral", "ttl": "1h"}
    async with claude_sdk.beta.messages.stream(
        model=f"{maker}/{TWICE}",
        max_tokens=32_000,
        system=[
            {"type": "text", "text": "You are an agent."},
            {"type": "text", "text": "Be brief.", "cache_control": mark},
        ],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": PROMPT, "cache_control": mark}]}
        ],
        tools=tools,
        metadata={"user_id": "user_0123456789abcdef"},
        thinking={"type": "adaptive"},
        output_config={"effort": "medium"},
        betas=["context-management-2025-06-27", "fine-grained-tool-streaming-2025-05-14"],
    ) as stream:
        answer = await stream.get_final_message()
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [call.name for call in calls] == ["get_weather", "get_time"]
    assert answer.stop_reason == "tool_use"
    count = await claude_sdk.beta.messages.count_tokens(
        model=f"{maker}/{TWICE}", messages=[{"role": "user", "content": PROMPT}], tools=tools
    )
    assert count.input_tokens > 0


async def test_results_with_pictures_and_errors(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """A tool's result may be blocks with a picture, or an error, or nothing at all."""
    results: Any = [
        {
            "type": "tool_result",
            "tool_use_id": "toolu_1",
            "content": [
                {"type": "text", "text": "See the picture."},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
                },
            ],
        },
        {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True, "content": "broken"},
        {"type": "tool_result", "tool_use_id": "toolu_3"},
        {"type": "text", "text": "Go on."},
    ]
    calls: Any = [
        {"type": "tool_use", "id": f"toolu_{number}", "name": "get_time", "input": {}}
        for number in (1, 2, 3)
    ]
    same: Any = ASK
    answer = await claude_sdk.messages.create(
        model=f"{maker}/sim-look",
        max_tokens=MAX_TOKENS,
        messages=[
            *same,
            {"role": "assistant", "content": [{"type": "text", "text": "I look."}, *calls]},
            {"role": "user", "content": results},
        ],
        tools=[{"name": "get_time", "input_schema": NOTHING}],
    )
    assert answer.content[0].type == "text"
    assert answer.content[0].text == PIXEL_SEEN


async def test_thinking_that_sees_for_itself(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """`thinking: adaptive` shows thoughts as a budget does."""
    answer = await claude_sdk.messages.create(
        model=f"{maker}/{THINKER}",
        max_tokens=MAX_TOKENS,
        messages=[{"role": "user", "content": PROMPT}],
        thinking={"type": "adaptive", "display": "summarized"},
    )
    assert [block.type for block in answer.content] == ["thinking", "text"]


@pytest.mark.parametrize("other", TRANSLATED)
async def test_loops_that_are_over_bind_nobody(
    hub_sdk: AsyncOpenAI, maker: str, other: str
) -> None:
    """A loop of tools that another vendor's model has brought to its end is history for all."""
    first = await hub_sdk.chat.completions.create(
        model=f"{maker}/{THINKING_CALLER}", messages=ASK, tools=OPENAI_TOOLS, reasoning_effort="low"
    )
    calls: Any = first.choices[0].message.tool_calls
    turn: Any = [
        *ASK,
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": calls[0].id, "content": "23 degrees"},
        {"role": "assistant", "content": "It is warm."},
        {"role": "user", "content": "And tomorrow?"},
    ]
    second = await hub_sdk.chat.completions.create(
        model=f"{other}/{THINKING_CALLER}",
        messages=turn,
        tools=OPENAI_TOOLS,
        reasoning_effort="low",
    )
    message: Any = second.choices[0].message
    assert message.tool_calls[0].function.name == "get_weather"
    assert message.reasoning_content == THOUGHT


@pytest.mark.parametrize("maker", SIGNED)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_thoughts_that_the_client_has_lost_are_remembered(
    hub_sdk: AsyncOpenAI, maker: str, stream: bool
) -> None:
    """A client that sends back the call alone goes on with its thoughts; a stranger's is missed."""
    model, more = f"{maker}/{THINKING_CALLER}", {"tools": OPENAI_TOOLS, "reasoning_effort": "low"}
    text = f"{maker} {stream}"
    ask: Any = [{"role": "user", "content": text}]
    options: Any = more
    if stream:
        async with hub_sdk.chat.completions.stream(model=model, messages=ask, **options) as events:
            first: Any = await events.get_final_completion()
    else:
        first = await hub_sdk.chat.completions.create(model=model, messages=ask, **options)
    [call] = first.choices[0].message.tool_calls
    function = {"name": call.function.name, "arguments": call.function.arguments}

    def go_on(call_id: str) -> Any:
        call = {"id": call_id, "type": "function", "function": function}
        return [
            *ask,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call_id, "content": "23 degrees"},
        ]

    for call_id, told in ((call.id, None), ("call_of_nobody", "missing")):
        raw = await hub_sdk.chat.completions.with_raw_response.create(
            model=model, messages=go_on(call_id), **options
        )
        assert raw.parse().choices[0].message.content == "The tool answered: 23 degrees"
        assert raw.headers.get("x-llm-proxy-reasoning") == told


async def test_older_forms_of_openais_format(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """`max_tokens`, a developer's message, functions and their results are understood as well."""
    cut = await hub_sdk.chat.completions.create(
        model=f"{maker}/sim-echo",
        messages=[{"role": "developer", "content": "Be brief."}, *ASK],
        max_tokens=3,
        temperature=0.5,
        top_p=0.9,
        presence_penalty=0.1,
        user="somebody",
    )
    assert cut.choices[0].finish_reason == "length"
    if maker in {"plain", "azure"}:
        return
    turn: Any = [
        *ASK,
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "get_weather", "arguments": '{"city":"Oslo","unit":"c"}'},
        },
        {"role": "function", "name": "get_weather", "content": "rain"},
    ]
    answer = await hub_sdk.chat.completions.create(
        model=f"{maker}/sim-tools",
        messages=turn,
        functions=[{"name": "get_weather", "parameters": WEATHER}],
    )
    assert answer.choices[0].message.content == "The tool answered: rain"


async def test_several_choices_are_streamed(hub_sdk: AsyncOpenAI) -> None:
    """Gemini's candidates are choices, each whole and with an end of its own."""
    stream = await hub_sdk.chat.completions.create(
        model="gemini/sim-echo", messages=ASK, n=2, stream=True
    )
    texts, reasons = ["", ""], ["", ""]
    async for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] += choice.finish_reason or ""
    assert texts == [PROMPT, PROMPT]
    assert reasons == ["stop", "stop"]


async def test_a_json_object_without_a_schema(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """`json_object` is asked of each provider in its own way, and never an error."""
    answer = await hub_sdk.chat.completions.create(
        model=f"{maker}/sim-echo", messages=ASK, response_format={"type": "json_object"}
    )
    content = answer.choices[0].message.content
    assert content is not None
    # Anthropic has no such mode: the model is told in words, which an echo does not understand.
    assert content == PROMPT if maker == "claude" else json.loads(content) == {"answer": PROMPT}
