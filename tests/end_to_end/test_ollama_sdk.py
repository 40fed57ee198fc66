"""Ollama's own client through this proxy to other providers, and OpenAI's client to Ollama."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import ollama
import openai
import pytest
from msgspec.structs import replace

from proxy.domain.secret import Secret
from tests.end_to_end.asking import ASK
from tests.end_to_end.hub import NOTHING, PIXEL, PIXEL_SEEN, WEATHER, Book
from tests.end_to_end.served import (
    KEY,
    PROMPT,
    PROVIDER_KEY,
    WRONG_KEY,
    ServedProxy,
    ServedSimulator,
)
from tests.fakes.proxy_server import AUTH, build_provider, build_snapshot, serving

pytestmark = pytest.mark.usefixtures("no_leaks")

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "get_time", "parameters": NOTHING}},
]
SAID: list[dict[str, Any]] = [{"role": "user", "content": PROMPT}]


def open_client(url: str, key: str = KEY) -> ollama.AsyncClient:
    """Return Ollama's client, which has no other place for a key than a header."""
    return ollama.AsyncClient(host=url, headers={"Authorization": f"Bearer {key}"})


@pytest.fixture
async def client(hub: ServedProxy) -> AsyncIterator[ollama.AsyncClient]:
    """Ollama's client in front of a provider of each type."""
    async with open_client(hub.url) as opened:
        yield opened


@pytest.mark.parametrize("place", ["plain", "claude", "ollama"])
async def test_it_chats_and_generates(client: ollama.AsyncClient, place: str) -> None:
    """Whole and as a stream, with the counts and times that people measure models by."""
    whole = await client.chat(f"{place}/sim-echo", SAID)
    assert whole.message.content == PROMPT
    assert (whole.done, whole.done_reason) == (True, "stop")
    assert whole.eval_count and whole.eval_duration and whole.total_duration
    parts = [part async for part in await client.chat(f"{place}/sim-echo", SAID, stream=True)]
    assert "".join([part.message.content or "" for part in parts]) == PROMPT
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert (parts[-1].prompt_eval_count, parts[-1].eval_count) == (
        whole.prompt_eval_count,
        whole.eval_count,
    )
    text = await client.generate(f"{place}/sim-echo:latest", PROMPT, options={"num_predict": 2})
    assert (text.done_reason, text.eval_count) == ("length", 2)
    stream = await client.generate(f"{place}/sim-echo", PROMPT, stream=True)
    assert "".join([part.response or "" async for part in stream]) == PROMPT


@pytest.mark.parametrize("place", ["plain", "claude", "gemini", "ollama"])
async def test_it_calls_tools(client: ollama.AsyncClient, place: str) -> None:
    """It sends calls back without their ids, and their results still find them."""
    model = f"{place}/sim-tools@2calls"
    parts = [part async for part in await client.chat(model, SAID, tools=TOOLS, stream=True)]
    calls = [call for part in parts for call in part.message.tool_calls or ()]
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]
    assert set(calls[0].function.arguments) >= {"city", "unit"}
    assert calls[1].function.arguments == {}
    turn = ollama.Message(role="assistant", tool_calls=calls)
    results = [
        ollama.Message(role="tool", tool_name=call.function.name, content="noon") for call in calls
    ]
    after = await client.chat(model, [*SAID, turn, *results], tools=TOOLS)
    assert after.message.content == "The tool answered: noon"


async def test_it_thinks_looks_and_writes_json(client: ollama.AsyncClient) -> None:
    """A level of thought, a picture and a schema reach a provider that has other words for them."""
    thought = await client.chat("claude/sim-echo@5thoughts", SAID, think="high")
    assert thought.message.thinking == " Let me see what was"
    shown = [{"role": "user", "content": "What?", "images": [PIXEL]}]
    assert (await client.chat("claude/sim-look", shown)).message.content == PIXEL_SEEN
    book = await client.chat("plain/sim-echo", SAID, format=Book.model_json_schema())
    assert Book.model_validate_json(book.message.content or "").title


async def test_it_embeds_lists_and_shows(client: ollama.AsyncClient) -> None:
    """Vectors come from any provider that has them; models are those of the key."""
    found = await client.embed("gemini/sim-embed", ["a", "b"], dimensions=3)
    assert [len(vector) for vector in found.embeddings] == [3, 3]
    own = await client.embed("ollama/sim-embed", "a")
    other = await client.embed("plain/sim-embed", "a")
    assert own.embeddings == other.embeddings
    listed = [model.model for model in (await client.list()).models]
    assert {"sim-echo", "sim-embed"} <= set(listed)
    shown = await client.show("sim-echo")
    assert "completion" in (shown.capabilities or ())
    assert (await client.ps()).models == []


async def test_a_load_is_answered(client: ollama.AsyncClient) -> None:
    """Who has a model loaded before it asks is told that it is."""
    loaded = await client.generate("plain/sim-echo", keep_alive="10m")
    assert (loaded.done, loaded.done_reason) == (True, "load")


async def test_errors_are_its_own(client: ollama.AsyncClient, hub: ServedProxy) -> None:
    """A status and words before a stream has begun, a line in it afterwards; never an end."""
    with pytest.raises(ollama.ResponseError) as raised:
        await client.chat("never", SAID)
    assert (raised.value.status_code, raised.value.error) == (
        404,
        "The model 'never' does not exist.",
    )
    with pytest.raises(ollama.ResponseError) as raised:
        await client.chat("ollama/sim-fault-u27-context-length", SAID)
    assert raised.value.status_code == 400
    assert "context length" in raised.value.error
    async with open_client(hub.url, WRONG_KEY) as stranger:
        with pytest.raises(ollama.ResponseError) as raised:
            await stranger.list()
    assert raised.value.status_code == 401
    for place in ("plain", "ollama"):
        stream = await client.chat(f"{place}/sim-fault-u20-error-later", SAID, stream=True)
        parts = []
        with pytest.raises(ollama.ResponseError):
            async for part in stream:
                parts.append(part)
        assert parts and not any(part.done for part in parts)


async def test_signs_of_life_are_no_lines(simulator: ServedSimulator) -> None:
    """While a provider is silent its client gets blanks, and reads the answer all the same."""
    provider = build_provider(
        f"http://127.0.0.1:{simulator.port}/v1",
        api_key=Secret(PROVIDER_KEY),
        models=("sim-echo@1000ms",),
    )
    snapshot = build_snapshot(provider)
    settings = replace(snapshot.settings, commit_delay_s=0.05, keep_alive_s=0.05)
    snapshot = replace(snapshot, settings=settings)
    async with (
        serving(snapshot) as server,
        ollama.AsyncClient(host=server.url.removesuffix("/v1"), headers=AUTH) as client,
    ):
        stream = await client.chat("sim-echo@1000ms", SAID, stream=True)
        said = [part.message.content or "" async for part in stream]
        url = server.url.removesuffix("/v1") + "/api/chat"
        body = {"model": "sim-echo@1000ms", "messages": SAID}
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json=body, headers=AUTH) as answer,
        ):
            raw = await answer.read()
    assert "".join(said) == PROMPT
    assert raw.startswith(b"  ")
    assert raw.lstrip().startswith(b"{")


async def test_openais_client_at_ollama_loses_no_history(hub: ServedProxy) -> None:
    """A conversation longer than a window of Ollama's arrives whole, and is answered."""
    long: list[Any] = [
        {"role": "user", "content": "word " * 6000},
        {"role": "assistant", "content": "word " * 6000},
        *ASK,
    ]
    async with openai.AsyncOpenAI(base_url=f"{hub.url}/v1", api_key=KEY, max_retries=0) as client:
        answers = [
            await client.chat.completions.create(model=f"{place}/sim-echo", messages=long)
            for place in ("ollama", "plain")
        ]
        with pytest.raises(openai.BadRequestError) as raised:
            await client.chat.completions.create(
                model="small/sim-echo", messages=long, max_tokens=5
            )
    assert [answer.choices[0].message.content for answer in answers] == [PROMPT, PROMPT]
    counted = [answer.usage and answer.usage.prompt_tokens for answer in answers]
    assert counted[0] == counted[1]
    assert (counted[0] or 0) > 12_000
    assert raised.value.code == "context_length_exceeded"
