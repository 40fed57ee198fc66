"""What OpenAI's SDK makes of our limits, of keys with names of their own, and of ids."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import openai
import pytest
from msgspec.structs import replace
from openai import AsyncOpenAI

from proxy.domain.identity import Caller
from proxy.domain.settings import RateLimit
from proxy.stores.memory import MemoryRateStore
from tests.fakes.proxy_server import ANSWER, AUTH, HASHER, KEY, ProxyServer, build_chat, proxying
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering, post

pytestmark = pytest.mark.usefixtures("no_leaks")

SLACK = 10
"""Promised delays are asserted at ten times their value."""


@asynccontextmanager
async def asking(
    retries: int = 0, type: str = "openai", **settings: Any
) -> AsyncIterator[tuple[AsyncOpenAI, ProxyServer]]:
    """Serve the model `m` to the SDK; connections are closed again on both sides."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        proxying(upstream.url, type=type, **settings) as server,
        AsyncOpenAI(base_url=server.url, api_key=KEY, max_retries=retries) as client,
    ):
        yield client, server


async def test_a_used_up_limit_is_a_rate_limit_error() -> None:
    """The 429 of a key's own limit is raised as RateLimitError, with what SDK users read."""
    async with asking(rate_limit=RateLimit(1, 3600.0)) as (client, _):
        raw = await client.chat.completions.with_raw_response.create(**build_chat())
        assert raw.headers["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(openai.RateLimitError) as refused:
            await client.chat.completions.create(**build_chat(stream=True))
    error = refused.value
    assert (error.status_code, error.code) == (429, "rate_limit_exceeded")
    assert "Too Many Requests" in error.message
    assert error.response.headers["retry-after"] == "3600"
    assert error.response.headers["x-ratelimit-reset-requests"] == "1h0m0s"


async def test_the_sdk_waits_as_long_as_we_say_and_is_then_served() -> None:
    """One retry is enough, because it comes when `Retry-After` says, and not earlier."""
    async with asking(retries=1, rate_limit=RateLimit(1, 1.0)) as (client, server):
        # The first two requests at the same moment, the third when it was told to come.
        server.runtime.rates = MemoryRateStore(iter((0.0, 0.0, 1.0)).__next__)
        await client.chat.completions.create(**build_chat())
        asked_s = asyncio.get_running_loop().time()
        answer = await client.chat.completions.create(**build_chat())
        waited_s = asyncio.get_running_loop().time() - asked_s
    assert answer.choices[0].message.content == "hello"
    # The SDK's own back-off would be half a second, less its jitter.
    assert 0.9 <= waited_s < 1.0 * SLACK
    assert [record.status for record in server.observer.records] == [200, 429, 200]


async def test_a_full_server_is_asked_again_after_the_wait_it_names() -> None:
    """The 503 of a full server is an InternalServerError to the SDK, with a `Retry-After`."""
    async with asking(max_in_flight=1) as (client, server):
        server.runtime.in_flight = 1
        with pytest.raises(openai.InternalServerError) as refused:
            await client.chat.completions.create(**build_chat())
        assert refused.value.code == "server_overloaded"
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 5


async def test_a_forbidden_model_is_answered_like_an_unknown_one() -> None:
    """Status, code and words are the same; so is what the list of models says of both."""
    async with asking() as (client, server):
        caller = Caller("key_few", models=frozenset(("up/m",)))
        server.runtime.snapshot = replace(
            server.runtime.snapshot, callers={HASHER.digest(KEY): caller}
        )
        assert await client.chat.completions.create(**build_chat(model="up/m"))
        bodies = []
        for name in ("m", "x"):
            with pytest.raises(openai.NotFoundError) as refused:
                await client.chat.completions.create(**build_chat(model=name))
            assert "x-llm-proxy-model" not in refused.value.response.headers
            bodies.append(str(refused.value.body).replace(f"'{name}'", "'?'"))
            with pytest.raises(openai.NotFoundError) as refused:
                await client.models.retrieve(name)
            bodies.append(str(refused.value.body).replace(f"'{name}'", "'?'"))
        assert len(set(bodies)) == 1
        assert [model.id async for model in client.models.list()] == ["up/m"]


async def test_ids_are_ours() -> None:
    """A client's x-request-id is neither used nor sent back: nobody can merge two records."""
    theirs = {"x-request-id": "req_theirs", "x-client-request-id": "req_theirs"}
    async with asking() as (client, server):
        for _ in range(2):
            raw = await client.chat.completions.with_raw_response.create(
                **build_chat(), extra_headers=theirs
            )
            assert "req_theirs" not in str(raw.headers)
        _, headers, _ = await post(server.url, b"{", **theirs)
        assert "req_theirs" not in str(headers)
        ids = {record.request_id for record in server.observer.records}
    assert len(ids) == 3
    assert not any("theirs" in each for each in ids)


@pytest.mark.parametrize("name", ["m\r\nx-evil: 1", "m\nx-evil: 1", "m\0", "up/m\r\nx-evil: 1"])
async def test_a_name_that_breaks_lines_reaches_no_header(name: str) -> None:
    """Model names with control characters are unknown, also where any name is taken."""
    async with asking(type="openrouter") as (_, server):
        provider = server.runtime.snapshot.providers["up"]
        server.runtime.snapshot = replace(
            server.runtime.snapshot, providers={"up": replace(provider, models=("*",))}
        )
        status, headers, _ = await post(server.url, build_chat(model=name))
        assert status == 404
        assert not {"x-evil", "x-llm-proxy-model"} & {each.lower() for each in headers}
        assert (await post(server.url, build_chat(model="any")))[0] == 200


@pytest.mark.parametrize("where", ["query", "cookie", "body"])
async def test_a_key_elsewhere_than_in_its_headers_is_not_read(where: str) -> None:
    """In the URL, a cookie or the body a key is no key: 401, in the one body there is for it."""
    async with asking() as (_, server):
        headers = {"Authorization": "", "Cookie": f"api_key={KEY}" if where == "cookie" else ""}
        body = build_chat(api_key=KEY) if where == "body" else build_chat()
        query = f"?api_key={KEY}&key={KEY}" if where == "query" else ""
        plain = await post(server.url, build_chat(), **{**AUTH, "Authorization": ""})
        found = await post_to(server.url + "/chat/completions" + query, body, headers)
    assert (found[0], found[1]) == (plain[0], plain[2])
    assert found[0] == 401


async def post_to(url: str, body: Any, headers: dict[str, str]) -> tuple[int, bytes]:
    """Return (status, body) of a request to any URL."""
    sent = {**AUTH, **headers}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=body, headers=sent) as answer,
    ):
        return answer.status, await answer.read()
