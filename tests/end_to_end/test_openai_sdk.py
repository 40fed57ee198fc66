"""OpenAI's SDK in front of the running process: every kind of request, whole and streamed."""

import json
import struct
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from proxy.simulator.embeddings import pack_embedding
from tests.end_to_end.asking import ASK, knobs
from tests.end_to_end.served import KEY, PROMPT, ServedProxy
from tests.simulator.asking import WEATHER

pytestmark = pytest.mark.usefixtures("no_leaks")


class Book(BaseModel):
    """What the model is asked to fill in."""

    title: str
    year: int
    authors: list[str]


def floats_of(text: str, dimensions: int = 256) -> list[float]:
    """Return the floats that the simulator's embedding of a text holds."""
    return list(struct.unpack(f"<{dimensions}f", pack_embedding(text, dimensions)))


async def test_chat(sdk: AsyncOpenAI, place: str) -> None:
    """A chat answer is the model's, with its finish reason and usage."""
    answer = await sdk.chat.completions.create(model=f"{place}/sim-echo", messages=ASK)
    assert answer.object == "chat.completion"
    assert answer.model == "sim-echo"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content == PROMPT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == (
        answer.usage.prompt_tokens + answer.usage.completion_tokens
    )


def test_chat_sync(sync_sdk: OpenAI, place: str) -> None:
    """The synchronous client gets the same answer, whole and streamed."""
    model = f"{place}/sim-echo"
    answer = sync_sdk.chat.completions.create(model=model, messages=ASK)
    assert answer.choices[0].message.content == PROMPT
    with sync_sdk.chat.completions.create(model=model, messages=ASK, stream=True) as stream:
        chunks = list(stream)
    assert "".join([c.choices[0].delta.content or "" for c in chunks]) == PROMPT
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_a_base_url_without_v1_is_as_good(served: ServedProxy, place: str) -> None:
    """Clients may leave out `/v1`, for every kind of request."""
    async with AsyncOpenAI(base_url=served.url, api_key=KEY, max_retries=0) as client:
        model = f"{place}/sim-echo"
        chat = await client.chat.completions.create(model=model, messages=ASK)
        text = await client.completions.create(model=model, prompt=PROMPT)
        vector = await client.embeddings.create(model=f"{place}/sim-embed", input=PROMPT)
        names = [found.id async for found in client.models.list()]
    assert chat.choices[0].message.content == text.choices[0].text == PROMPT
    assert vector.data[0].embedding == floats_of(PROMPT)
    assert "sim-echo" in names


async def test_several_choices(sdk: AsyncOpenAI, place: str) -> None:
    """`n=2` gives two whole choices, and two streamed ones that end with their own reason."""
    model = f"{place}/sim-echo"
    whole = await sdk.chat.completions.create(model=model, messages=ASK, n=2)
    stream = await sdk.chat.completions.create(model=model, messages=ASK, n=2, stream=True)
    texts, reasons = ["", ""], ["", ""]
    async for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] += choice.finish_reason or ""
    assert [choice.message.content for choice in whole.choices] == texts == [PROMPT, PROMPT]
    assert reasons == ["stop", "stop"]


async def test_a_limit_cuts_the_answer(sdk: AsyncOpenAI, place: str) -> None:
    """`max_tokens` reaches the model: the answer ends with reason `length`."""
    answer = await sdk.chat.completions.create(
        model=f"{place}/sim-story", messages=ASK, max_tokens=3, extra_body=knobs()
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


async def test_tools(sdk: AsyncOpenAI, place: str) -> None:
    """A tool call comes back whole, and its result leads to the text of the second turn."""
    model = f"{place}/sim-tools"
    first = await sdk.chat.completions.create(model=model, messages=ASK, tools=[WEATHER])
    assert first.choices[0].finish_reason == "tool_calls"
    message = first.choices[0].message
    assert message.tool_calls is not None
    [call] = message.tool_calls
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"city", "unit"}
    turn: Any = [
        *ASK,
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "23 degrees"},
    ]
    second = await sdk.chat.completions.create(model=model, messages=turn, tools=[WEATHER])
    assert second.choices[0].message.content == "The tool answered: 23 degrees"
    assert second.choices[0].finish_reason == "stop"


async def test_streamed_tools(sdk: AsyncOpenAI, place: str) -> None:
    """The SDK's accumulator makes one whole call of the pieces, with id and name once."""
    async with sdk.chat.completions.stream(
        model=f"{place}/sim-tools", messages=ASK, tools=[WEATHER]
    ) as stream:
        seen = [event.type async for event in stream]
        answer = await stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in seen
    assert seen.count("tool_calls.function.arguments.done") == 1
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    [call] = calls
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"city", "unit"}
    assert answer.choices[0].message.role == "assistant"


async def test_parse(sdk: AsyncOpenAI, place: str) -> None:
    """`parse` with a pydantic model gets an instance of it, whole and streamed."""
    model = f"{place}/sim-story"
    whole = await sdk.chat.completions.parse(
        model=model, messages=ASK, response_format=Book, extra_body=knobs()
    )
    assert isinstance(whole.choices[0].message.parsed, Book)
    async with sdk.chat.completions.stream(
        model=model, messages=ASK, response_format=Book, extra_body=knobs()
    ) as stream:
        streamed = await stream.get_final_completion()
    assert isinstance(streamed.choices[0].message.parsed, Book)


def test_parse_sync(sync_sdk: OpenAI, place: str) -> None:
    """A JSON schema written by hand is met too, through the synchronous client."""
    schema: Any = {
        "type": "json_schema",
        "json_schema": {"name": "book", "strict": True, "schema": Book.model_json_schema()},
    }
    answer = sync_sdk.chat.completions.create(
        model=f"{place}/sim-story", messages=ASK, response_format=schema, extra_body=knobs()
    )
    Book.model_validate_json(answer.choices[0].message.content or "")


async def test_embeddings(sdk: AsyncOpenAI, place: str) -> None:
    """The SDK's base64 default, plain floats and `dimensions` all give the model's own vector."""
    model, texts = f"{place}/sim-embed", ["one text", "another text"]
    packed = await sdk.embeddings.create(model=model, input=texts)
    plain = await sdk.embeddings.create(model=model, input=texts, encoding_format="float")
    short = await sdk.embeddings.create(model=model, input=texts, dimensions=8)
    assert [item.index for item in packed.data] == [0, 1]
    assert [item.embedding for item in packed.data] == [floats_of(text) for text in texts]
    assert [item.embedding for item in plain.data] == [floats_of(text) for text in texts]
    assert [item.embedding for item in short.data] == [floats_of(text, 8) for text in texts]
    assert packed.usage.total_tokens == packed.usage.prompt_tokens > 0


def test_embeddings_sync(sync_sdk: OpenAI, place: str) -> None:
    """The synchronous client decodes the same floats, also from token ids."""
    model = f"{place}/sim-embed"
    texts = sync_sdk.embeddings.create(model=model, input="one text")
    ids = sync_sdk.embeddings.create(model=model, input=[[11, 12], [13]])
    assert texts.data[0].embedding == floats_of("one text")
    assert [item.embedding for item in ids.data] == [floats_of("<11> <12>"), floats_of("<13>")]


async def test_legacy_completions(sdk: AsyncOpenAI, place: str) -> None:
    """Text completions say the same whole and in chunks, with usage where it is asked for."""
    model = f"{place}/sim-echo"
    whole = await sdk.completions.create(model=model, prompt=PROMPT)
    stream = await sdk.completions.create(
        model=model, prompt=PROMPT, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert whole.object == chunks[0].object == "text_completion"
    assert whole.choices[0].text == PROMPT
    assert "".join([c.choices[0].text for c in chunks if c.choices]) == PROMPT
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == whole.usage is not None


def test_legacy_completions_sync(sync_sdk: OpenAI, place: str) -> None:
    """The synchronous client streams text completions; without being asked, no usage comes."""
    stream = sync_sdk.completions.create(model=f"{place}/sim-echo", prompt=PROMPT, stream=True)
    chunks = list(stream)
    assert "".join([chunk.choices[0].text for chunk in chunks]) == PROMPT
    assert [chunk.usage for chunk in chunks if chunk.usage is not None] == []


async def test_models(sdk: AsyncOpenAI) -> None:
    """The list has aliases and bare names, each once, and every one of them can be asked for."""
    names = [model.id async for model in sdk.models.list()]
    assert sorted(names) == ["sim-echo", "sim-embed", "sim-story", "sim-tools", "team/fast"]
    for name in names:
        model = await sdk.models.retrieve(name)
        assert (model.id, model.object) == (name, "model")
        assert model.created > 1_700_000_000
        assert model.owned_by


def test_models_sync(sync_sdk: OpenAI) -> None:
    """An id with a slash, which the SDK writes as %2F, is found: an alias, and `provider/model`."""
    assert sync_sdk.models.retrieve("team/fast").id == "team/fast"
    assert sync_sdk.models.retrieve("local/sim-echo").id == "local/sim-echo"
    assert "team/fast" in [model.id for model in sync_sdk.models.list()]


async def test_an_alias_is_served(sdk: AsyncOpenAI) -> None:
    """What the alias stands for answers, and the headers say who it was."""
    raw = await sdk.chat.completions.with_raw_response.create(model="team/fast", messages=ASK)
    assert raw.parse().choices[0].message.content == PROMPT
    assert raw.headers["x-llm-proxy-model"] == "team/fast"
    assert raw.headers["x-llm-proxy-provider"] == "local"
    assert raw.headers["x-llm-proxy-attempts"] == "1"
    assert raw.headers["x-llm-proxy-reason"] == "only"


async def test_raw_response(sdk: AsyncOpenAI, served: ServedProxy, place: str) -> None:
    """The request id that the SDK shows is the header's and the log line's."""
    model = f"{place}/sim-echo"
    raw = await sdk.chat.completions.with_raw_response.create(model=model, messages=ASK)
    request_id = raw.headers["x-request-id"]
    assert request_id.startswith("req_")
    assert raw.parse()._request_id == raw.request_id == request_id
    line = served.wait_for_request(request_id=request_id)
    assert (line["provider"], line["alias"]) == (place, model)


def test_raw_response_sync(sync_sdk: OpenAI, place: str) -> None:
    """The synchronous client reads a request id off embeddings and text completions too."""
    vectors = sync_sdk.embeddings.create(model=f"{place}/sim-embed", input="x")
    text = sync_sdk.completions.create(model=f"{place}/sim-echo", prompt="x")
    ids = {vectors._request_id, text._request_id}
    assert len(ids) == 2
    assert None not in ids


async def test_own_fields_reach_the_model(sdk: AsyncOpenAI, place: str) -> None:
    """What this proxy does not know is passed on: the simulator's own knobs do their work."""
    answer = await sdk.chat.completions.create(
        model=f"{place}/sim-story", messages=ASK, extra_body=knobs(tokens=7)
    )
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 7
