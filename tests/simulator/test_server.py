"""The HTTP simulator as a real client meets it: OpenAI's SDK, and raw connections."""

import asyncio
import io
import json
import math
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from proxy.domain.secret import Secret
from proxy.simulator.knobs import Knobs
from proxy.simulator.server import RunningSimulator, SimulatorOptions, open_simulator
from tests.simulator.asking import WEATHER, ask_raw, chat_body, raw_request, turns_until

pytestmark = pytest.mark.usefixtures("no_leaks")
HELLO: Any = [{"role": "user", "content": "Hello, simulator!"}]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain HTTP client."""
    async with aiohttp.ClientSession() as session:
        yield session


async def test_chat_answers(sdk: AsyncOpenAI) -> None:
    """`sim-echo` says what the user said, with usage and a finish reason."""
    answer = await sdk.chat.completions.create(model="sim-echo", messages=HELLO)
    assert answer.choices[0].message.content == "Hello, simulator!"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 4)


async def test_chat_streams(sdk: AsyncOpenAI) -> None:
    """A stream is role, content, finish, and usage in a last chunk without choices."""
    stream = await sdk.chat.completions.create(
        model="sim-echo", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join([c.choices[0].delta.content or "" for c in chunks if c.choices])
    assert text == "Hello, simulator!"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 4


async def test_stream_helper_reads_tools(sdk: AsyncOpenAI) -> None:
    """The SDK's accumulator makes one whole tool call of a streamed one."""
    async with sdk.chat.completions.stream(
        model="sim-tools", messages=HELLO, tools=[WEATHER]
    ) as stream:
        answer = await stream.get_final_completion()
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert [call.function.name for call in calls] == ["get_weather"]
    assert set(json.loads(calls[0].function.arguments)) == {"city", "unit"}
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_a_tool_result_gives_text(sdk: AsyncOpenAI) -> None:
    """The turn after a tool call is a text about the tool's result."""
    first = await sdk.chat.completions.create(model="sim-tools", messages=HELLO, tools=[WEATHER])
    calls = first.choices[0].message.tool_calls
    assert calls is not None
    result = {"role": "tool", "tool_call_id": calls[0].id, "content": "23 degrees"}
    messages = [*HELLO, first.choices[0].message.model_dump(), result]
    second = await sdk.chat.completions.create(
        model="sim-tools", messages=messages, tools=[WEATHER]
    )
    assert second.choices[0].message.content == "The tool answered: 23 degrees"


class Book(BaseModel):
    """What the parse test asks for."""

    title: str
    year: int
    authors: list[str]
    rating: float | None


async def test_parse_gives_an_object_of_the_schema(sdk: AsyncOpenAI) -> None:
    """`.parse()` with a pydantic model gets an instance of it."""
    answer = await sdk.chat.completions.parse(
        model="sim-story@0tps,0ms", messages=HELLO, response_format=Book
    )
    assert isinstance(answer.choices[0].message.parsed, Book)


async def test_embeddings_come_as_floats_and_base64(sdk: AsyncOpenAI) -> None:
    """The SDK's base64 default and plain floats are the same unit vector."""
    packed = await sdk.embeddings.create(model="sim-embed", input=["one", "two"])
    plain = await sdk.embeddings.create(
        model="sim-embed", input=["one", "two"], encoding_format="float"
    )
    assert [item.embedding for item in packed.data] == [item.embedding for item in plain.data]
    assert math.hypot(*packed.data[0].embedding) == pytest.approx(1)


async def test_completions_answer_and_stream(sdk: AsyncOpenAI) -> None:
    """Legacy completions say the same whole and in chunks."""
    whole = await sdk.completions.create(model="sim-echo", prompt="Say it again.")
    stream = await sdk.completions.create(model="sim-echo", prompt="Say it again.", stream=True)
    chunks = [chunk async for chunk in stream]
    assert whole.choices[0].text == "Say it again."
    assert "".join([chunk.choices[0].text for chunk in chunks]) == "Say it again."
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_models_are_listed(sdk: AsyncOpenAI) -> None:
    """The list has the good models and the faults; one can be asked for alone."""
    names = [model.id async for model in sdk.models.list()]
    assert {"sim-echo", "sim-story", "sim-tools", "sim-embed"} <= set(names)
    assert (await sdk.models.retrieve("sim-fault-u24-500")).id in names


async def test_errors_are_the_sdks_classes(sdk: AsyncOpenAI) -> None:
    """Unknown models, bad requests and limits raise what the SDK has for them."""
    with pytest.raises(openai.NotFoundError) as unknown:
        await sdk.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        await sdk.chat.completions.create(model="sim-echo", messages=HELLO, n=0)
    assert bad.value.param == "n"
    with pytest.raises(openai.RateLimitError):
        await sdk.chat.completions.create(model="sim-fault-u21-429-bare", messages=HELLO)


async def test_routes_exist_without_v1(
    simulator: RunningSimulator, http: aiohttp.ClientSession
) -> None:
    """`/chat/completions` and `/models` answer like their `/v1` twins; other paths are 404."""
    async with http.post(f"{simulator.url}/chat/completions", data=chat_body("sim-echo")) as reply:
        assert reply.status == 200
    async with http.get(f"{simulator.url}/models") as reply:
        assert reply.status == 200
    async with http.get(f"{simulator.url}/v1/nothing") as reply:
        assert reply.status == 404
    async with http.get(f"{simulator.url}/health") as reply:
        assert await reply.json() == {"status": "ok"}


async def test_a_key_is_asked_for(http: aiohttp.ClientSession) -> None:
    """With a key set, requests and the ledger need it, in any of the three headers."""
    running = await open_simulator(options=SimulatorOptions(api_key=Secret("sim-secret-1")))
    url = f"{running.url}/v1/models"
    statuses = []
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer sim-secret-1"},
        {"X-API-Key": "sim-secret-1"},
        {"api-key": "sim-secret-1"},
    ):
        async with http.get(url, headers=headers) as reply:
            statuses.append(reply.status)
    async with http.get(f"{running.url}/ledger") as reply:
        statuses.append(reply.status)
    async with http.delete(f"{running.url}/ledger") as reply:
        statuses.append(reply.status)
    await http.close()
    await running.close()
    assert statuses == [401, 401, 200, 200, 200, 401, 401]


async def test_options_turn_the_knobs(http: aiohttp.ClientSession) -> None:
    """A server started with a fault plays it for every model that names none itself."""
    running = await open_simulator(options=SimulatorOptions(knobs=Knobs(fault="u24-500")))
    async with http.post(f"{running.url}/v1/chat/completions", data=chat_body("sim-echo")) as got:
        assert got.status == 500
    await http.close()
    await running.close()


async def test_ledger_tells_what_was_asked(
    simulator: RunningSimulator, http: aiohttp.ClientSession
) -> None:
    """An entry has the request's facts and how it ended, and shows no key."""
    body = chat_body("sim-echo", stream=True)
    headers = {"Authorization": "Bearer sk-very-secret", "X-Trace": "abc"}
    url = f"{simulator.url}/v1/chat/completions"
    async with http.post(url, data=body, headers=headers) as reply:
        stream = await reply.read()
    async with http.get(f"{simulator.url}/ledger", params={"ended": 1}) as reply:
        text = await reply.text()
    (entry,) = json.loads(text)["entries"]
    assert "sk-very-secret" not in text
    shown = dict(entry["headers"])
    assert shown["Authorization"].startswith("Bearer sha256:")
    assert shown["X-Trace"] == "abc"
    assert (entry["model"], entry["streams"], entry["status"]) == ("sim-echo", True, 200)
    assert (entry["body_bytes"], entry["bytes_sent"]) == (len(body), len(stream))
    assert entry["events_sent"] == stream.count(b"data: ")
    assert entry["outcome"] == "completed"
    async with http.delete(f"{simulator.url}/ledger") as reply:
        assert reply.status == 204
    assert simulator.ledger.entries() == []


@pytest.mark.parametrize(
    "model", ["sim-fault-u4-black-hole", "sim-fault-u8-stall-after-content", "sim-story@1tps"]
)
async def test_ledger_knows_when_the_client_left(simulator: RunningSimulator, model: str) -> None:
    """A client that goes away ends its entry as client_closed, at that moment."""
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(raw_request(chat_body(model, stream=True)))
    await writer.drain()
    if "black-hole" not in model:
        await reader.readuntil(b"data: ")
    await turns_until(lambda: any(entry.model for entry in simulator.ledger.entries()))
    left_at = time.time()
    writer.close()
    assert await simulator.ledger.wait_ended(1, 5)
    (entry,) = simulator.ledger.entries()
    assert entry.outcome == "client_closed"
    assert entry.ended_at is not None
    assert entry.ended_at - left_at < 0.5


async def test_ledger_wait_gives_up(
    simulator: RunningSimulator, http: aiohttp.ClientSession
) -> None:
    """Waiting for endings that do not come answers after `within_ms` with what there is."""
    url = f"{simulator.url}/ledger"
    async with http.get(url, params={"ended": 5, "within_ms": 5}) as reply:
        assert await reply.json() == {"entries": []}
    async with http.get(url, params={"ended": "many"}) as reply:
        assert reply.status == 400


async def test_early_refusal_leaves_the_body_unread(simulator: RunningSimulator) -> None:
    """`u40-early-400` answers while most of the body is still to come."""
    start = raw_request(chat_body("sim-fault-u40-early-400"))
    announced = start.replace(b"Content-Length: ", b"Content-Length: 9")
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(announced)
    reply = await reader.read()
    writer.close()
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b"refused unread" in reply


async def test_too_large_a_body_is_refused(
    simulator: RunningSimulator, http: aiohttp.ClientSession
) -> None:
    """A body above 64 MiB gets a 413."""
    body = io.BytesIO(b" " * (64 * 1024 * 1024 + 1))
    async with http.post(f"{simulator.url}/v1/embeddings", data=body) as reply:
        assert reply.status == 413


async def test_closing_ends_stalled_answers() -> None:
    """`close()` does not wait for answers that would never end."""
    running = await open_simulator()
    asked = asyncio.create_task(ask_raw(running, chat_body("sim-fault-u4-black-hole")))
    await turns_until(lambda: bool(running.ledger.entries()))
    await running.close()
    assert (await asked).wire == b""


async def test_a_port_in_use_is_an_error(simulator: RunningSimulator) -> None:
    """Opening a second simulator on the same port fails with OSError and leaves nothing."""
    with pytest.raises(OSError, match="in use"):
        await open_simulator(port=simulator.port)
