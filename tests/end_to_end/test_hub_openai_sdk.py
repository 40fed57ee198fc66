"""OpenAI's SDK in front of providers of every type: each kind of request, whole and streamed."""

import json
import struct
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk

from proxy.simulator.embeddings import pack_embedding
from tests.end_to_end.asking import ASK
from tests.end_to_end.hub import (
    CACHER,
    NOTHING,
    PIXEL,
    PIXEL_SEEN,
    STORY,
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

TOOLS: Any = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "get_time", "parameters": NOTHING}},
]


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    """Return the joined content of a stream with one choice."""
    return "".join([c.choices[0].delta.content or "" for c in chunks if c.choices])


def look_at(url: str) -> Any:
    """Return the messages of a question about a picture."""
    picture = {"type": "image_url", "image_url": {"url": url}}
    return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]


async def test_text(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """A whole answer has the text, its end, and the tokens that the provider has counted."""
    answer = await hub_sdk.chat.completions.create(model=f"{maker}/sim-echo", messages=ASK)
    [choice] = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", PROMPT)
    assert choice.finish_reason == "stop"
    assert answer.object == "chat.completion"
    usage = answer.usage
    assert usage is not None
    assert usage.prompt_tokens == usage.completion_tokens == usage.total_tokens / 2 == 9


async def test_a_stream(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """Role once, content, one finish reason; one id over all chunks; no usage unasked."""
    stream = await hub_sdk.chat.completions.create(
        model=f"{maker}/sim-echo", messages=ASK, stream=True
    )
    chunks = [chunk async for chunk in stream]
    assert [c.choices[0].delta.role for c in chunks if c.choices[0].delta.role] == ["assistant"]
    assert text_of(chunks) == PROMPT
    assert len(chunks) > 5
    reasons = [c.choices[0].finish_reason for c in chunks]
    assert [reason for reason in reasons if reason] == [reasons[-1]] == ["stop"]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert [chunk.usage for chunk in chunks if chunk.usage is not None] == []


async def test_usage_comes_last_where_it_is_asked_for(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """With `include_usage` the last chunk has no choice, and counts as the whole answer does."""
    model = f"{maker}/{CACHER}"
    whole = await hub_sdk.chat.completions.create(model=model, messages=ASK)
    stream = await hub_sdk.chat.completions.create(
        model=model, messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = [chunk async for chunk in stream]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage == whole.usage
    assert last.usage.prompt_tokens == 9
    assert last.usage.prompt_tokens_details is not None
    assert last.usage.prompt_tokens_details.cached_tokens == 4
    assert [c for c in chunks if not c.choices or c.usage is not None] == []


async def test_the_stream_helper(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """What the SDK puts together of the chunks is the whole answer."""
    async with hub_sdk.chat.completions.stream(model=f"{maker}/{STORY}", messages=ASK) as stream:
        texts = [event.delta async for event in stream if event.type == "content.delta"]
        answer = await stream.get_final_completion()
    assert "".join(texts) == answer.choices[0].message.content
    assert len(texts) > 100
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.role == "assistant"


async def test_a_limit_and_a_stop(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """`max_completion_tokens` ends an answer with `length`, a stop sequence with `stop`."""
    cut = await hub_sdk.chat.completions.create(
        model=f"{maker}/sim-echo", messages=ASK, max_completion_tokens=3
    )
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage is not None
    assert cut.usage.completion_tokens == 3
    stopped = await hub_sdk.chat.completions.create(
        model=f"{maker}/sim-echo", messages=ASK, stop=[" marm"]
    )
    assert stopped.choices[0].finish_reason == "stop"
    assert stopped.choices[0].message.content == PROMPT.partition(" marm")[0]


async def test_a_conversation(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """Instructions and earlier turns count as prompt, and the last turn is what is answered."""
    answer = await hub_sdk.chat.completions.create(
        model=f"{maker}/sim-echo",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "First."},
            {"role": "assistant", "content": "Noted."},
            {"role": "user", "content": [{"type": "text", "text": "Second."}]},
        ],
    )
    assert answer.choices[0].message.content == "Second."
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 9


async def test_a_whole_loop_of_tools(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """Two calls at once, one of them without arguments; their results lead to the last answer."""
    model = f"{maker}/{TWICE}"
    first = await hub_sdk.chat.completions.create(model=model, messages=ASK, tools=TOOLS)
    [choice] = first.choices
    assert choice.finish_reason == "tool_calls"
    calls: Any = choice.message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]
    assert set(json.loads(calls[0].function.arguments)) == {"city", "unit"}
    assert json.loads(calls[1].function.arguments) == {}
    assert len({call.id for call in calls}) == 2
    turn: Any = [
        *ASK,
        choice.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": calls[0].id, "content": "23 degrees"},
        {"role": "tool", "tool_call_id": calls[1].id, "content": "noon"},
    ]
    second = await hub_sdk.chat.completions.create(model=model, messages=turn, tools=TOOLS)
    assert second.choices[0].message.content == "The tool answered: noon"
    assert second.choices[0].finish_reason == "stop"


async def test_streamed_tools(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """The SDK's accumulator makes whole calls of the pieces, with indices from 0 on."""
    async with hub_sdk.chat.completions.stream(
        model=f"{maker}/{TWICE}", messages=ASK, tools=TOOLS
    ) as stream:
        events = [event async for event in stream]
        answer = await stream.get_final_completion()
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [(event.index, event.name) for event in done] == [(0, "get_weather"), (1, "get_time")]
    calls: Any = answer.choices[0].message.tool_calls
    assert set(json.loads(calls[0].function.arguments)) == {"city", "unit"}
    assert json.loads(calls[1].function.arguments) == {}
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.role == "assistant"


async def test_which_tool_is_called_is_the_clients_choice(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """A named tool is called, none is where none may be, and one alone where not several may."""
    model = f"{maker}/{TWICE}"
    named = await hub_sdk.chat.completions.create(
        model=model,
        messages=ASK,
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "get_time"}},
    )
    calls: Any = named.choices[0].message.tool_calls
    assert {call.function.name for call in calls} == {"get_time"}
    none = await hub_sdk.chat.completions.create(
        model=model, messages=ASK, tools=TOOLS, tool_choice="none"
    )
    assert not none.choices[0].message.tool_calls


async def test_a_schema_is_kept_to(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """`parse` with a pydantic model gets an instance of it, whole and streamed."""
    model = f"{maker}/sim-echo"
    whole = await hub_sdk.chat.completions.parse(model=model, messages=ASK, response_format=Book)
    assert isinstance(whole.choices[0].message.parsed, Book)
    assert whole.choices[0].finish_reason == "stop"
    async with hub_sdk.chat.completions.stream(
        model=model, messages=ASK, response_format=Book
    ) as stream:
        streamed = await stream.get_final_completion()
    assert isinstance(streamed.choices[0].message.parsed, Book)


async def test_a_picture_is_seen(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """A picture within the request reaches the model with its kind and every byte."""
    answer = await hub_sdk.chat.completions.create(
        model=f"{maker}/sim-look", messages=look_at(f"data:image/png;base64,{PIXEL}")
    )
    assert answer.choices[0].message.content == PIXEL_SEEN


async def test_a_picture_elsewhere_is_seen_or_refused(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """The provider gets the address; of one that fetches none the client is told so."""
    url = "https://pictures.example/cat.png"
    asking = hub_sdk.chat.completions.create(model=f"{maker}/sim-look", messages=look_at(url))
    if maker != "gemini":
        assert (await asking).choices[0].message.content == f"I see: {url}."
        return
    with pytest.raises(openai.BadRequestError) as refused:
        await asking
    assert refused.value.param == "messages"


async def test_thoughts(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """What the model has thought is beside what it says, and counted, whole and streamed."""
    model = f"{maker}/{THINKER}"
    whole = await hub_sdk.chat.completions.create(model=model, messages=ASK, reasoning_effort="low")
    message: Any = whole.choices[0].message
    assert message.content == PROMPT
    assert message.reasoning_content == THOUGHT
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 14
    assert whole.usage.completion_tokens_details is not None
    # Cohere does not say how many of its tokens are thoughts.
    assert whole.usage.completion_tokens_details.reasoning_tokens == (maker != "cohere") * 5
    stream = await hub_sdk.chat.completions.create(
        model=model, messages=ASK, reasoning_effort="low", stream=True
    )
    deltas: list[Any] = [c.choices[0].delta async for c in stream if c.choices]
    thought = "".join([getattr(delta, "reasoning_content", None) or "" for delta in deltas])
    assert thought == message.reasoning_content
    assert "".join([delta.content or "" for delta in deltas]) == PROMPT


async def test_thoughts_go_back_to_who_has_thought_them(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """A loop of tools with thinking works where the client sends its message back as it came."""
    model = f"{maker}/{THINKING_CALLER}"
    first = await hub_sdk.chat.completions.create(
        model=model, messages=ASK, tools=TOOLS, reasoning_effort="low"
    )
    calls: Any = first.choices[0].message.tool_calls
    turn: Any = [
        *ASK,
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": calls[0].id, "content": "23 degrees"},
    ]
    second = await hub_sdk.chat.completions.create(
        model=model, messages=turn, tools=TOOLS, reasoning_effort="low"
    )
    assert second.choices[0].message.content == "The tool answered: 23 degrees"


@pytest.mark.parametrize("other", ["plain", *TRANSLATED])
async def test_a_conversation_goes_on_at_another_provider(
    hub_sdk: AsyncOpenAI, maker: str, other: str
) -> None:
    """Calls and thoughts of one provider's model do not keep another's from going on."""
    first = await hub_sdk.chat.completions.create(
        model=f"{maker}/{THINKING_CALLER}", messages=ASK, tools=TOOLS, reasoning_effort="low"
    )
    calls: Any = first.choices[0].message.tool_calls
    turn: Any = [
        *ASK,
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": calls[0].id, "content": "23 degrees"},
    ]
    second = await hub_sdk.chat.completions.create(
        model=f"{other}/{THINKING_CALLER}", messages=turn, tools=TOOLS, reasoning_effort="low"
    )
    assert second.choices[0].message.content == "The tool answered: 23 degrees"


async def test_a_refusal(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """A model that declines is no error; what it says for it, if anything, is no content."""
    answer = await hub_sdk.chat.completions.create(model=f"{maker}/sim-refuse", messages=ASK)
    [choice] = answer.choices
    if maker == "cohere":
        # It has no other words for it than an answer's.
        assert choice.message.content == "I cannot help with that."
        return
    assert not choice.message.content
    if maker in TRANSLATED:
        assert choice.finish_reason == "content_filter"
    else:
        assert choice.message.refusal == "I cannot help with that."


async def test_several_choices_or_the_word_that_there_are_none(
    hub_sdk: AsyncOpenAI, maker: str
) -> None:
    """`n` is met, or refused by its name where the provider has no such thing."""
    asking = hub_sdk.chat.completions.create(model=f"{maker}/sim-echo", messages=ASK, n=2)
    if maker not in ("claude", "cohere"):
        assert [choice.message.content for choice in (await asking).choices] == [PROMPT, PROMPT]
        return
    with pytest.raises(openai.BadRequestError) as refused:
        await asking
    assert refused.value.param == "n"


async def test_what_is_left_out_is_named(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """What a provider has no field for is in a header of the answer, and nothing else is."""
    raw = await hub_sdk.chat.completions.with_raw_response.create(
        model=f"{maker}/sim-echo", messages=ASK, seed=7, logit_bias={"5": 1}
    )
    known = {"claude": "seed,logit_bias", "gemini": "logit_bias", "cohere": "logit_bias"}
    dropped = known.get(maker)
    named = raw.headers.get("x-llm-proxy-dropped-params")
    assert (named and set(named.split(","))) == (dropped and set(dropped.split(",")))
    assert raw.parse().choices[0].message.content == PROMPT


async def test_completions(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """A text completion has the text and the tokens, whole and streamed, over any provider."""
    model = f"{maker}/sim-echo"
    whole = await hub_sdk.completions.create(model=model, prompt=PROMPT)
    assert (whole.object, whole.choices[0].text) == ("text_completion", PROMPT)
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert whole.usage.total_tokens == 18
    stream = await hub_sdk.completions.create(model=model, prompt=PROMPT, stream=True)
    choices = [chunk.choices[0] async for chunk in stream]
    assert "".join([choice.text for choice in choices]) == PROMPT
    assert choices[-1].finish_reason == "stop"


async def test_embeddings(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """Vectors come as the SDK decodes them, or a word that the provider has none."""
    asking = hub_sdk.embeddings.create(model=f"{maker}/sim-embed", input=["one", "two"])
    if maker == "claude":
        with pytest.raises(openai.APIStatusError) as refused:
            await asking
        assert refused.value.status_code in {400, 404}
        return
    answer = await asking
    expected = [list(struct.unpack("<256f", pack_embedding(text, 256))) for text in ("one", "two")]
    assert [vector.index for vector in answer.data] == [0, 1]
    for vector, floats in zip(answer.data, expected, strict=True):
        assert vector.embedding == pytest.approx(floats, abs=1e-6)
