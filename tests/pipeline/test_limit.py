"""How many requests a key may send and this server takes, told to clients on every answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from msgspec.structs import replace

from proxy.domain.identity import Caller
from proxy.domain.settings import RateLimit
from proxy.stores.memory import MemoryRateStore
from tests.fakes.proxy_server import (
    ANSWER,
    AUTH,
    DONE,
    HASHER,
    ProxyServer,
    build_chat,
    build_chunk,
    proxying,
)
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.upstream_scripts import Recorder, answering, post

pytestmark = pytest.mark.usefixtures("no_leaks")

NOWHERE = "http://127.0.0.1:1/v1"
NAMES = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests")
RESET = "x-ratelimit-reset-requests"
OTHER_KEY = "sk-another-0123456789abcdef"
SECONDS_ALLOWED = 10
"""An answer that waits for a body would come after 30 s."""


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def read(self) -> float:
        """Return the time it was set to."""
        return self.now_s


@asynccontextmanager
async def limited(base_url: str, **settings: Any) -> AsyncIterator[tuple[ProxyServer, Clock]]:
    """Serve with limits that count by a clock of the test's."""
    clock = Clock()
    async with proxying(base_url, **settings) as server:
        server.runtime.rates = MemoryRateStore(clock.read)
        yield server, clock


async def test_a_limit_is_told_on_every_answer_and_held() -> None:
    """Streams, JSON, errors and the 429 itself say what is left; waiting as told is enough."""
    limit = RateLimit(4, 8.0)
    stream = Recorder(build_chunk("a"), build_chunk(None, "stop"), DONE)
    async with (
        open_raw_upstream(stream) as upstream,
        limited(upstream.url, rate_limit=limit) as (server, clock),
    ):
        bodies = [build_chat(stream=True), build_chat(temperature=9), b"{", build_chat(stream=True)]
        for count, (body, status) in enumerate(zip(bodies, [200, 400, 400, 200], strict=True)):
            found, headers, _ = await post(server.url, body)
            assert found == status
            assert [headers[name] for name in NAMES] == ["4", str(3 - count)]
            assert headers[RESET] == f"{2 * (count + 1)}s"
            assert "Retry-After" not in headers
        status, headers, answer = await post(server.url, build_chat())
        assert (status, headers["Retry-After"]) == (429, "2")
        assert [headers[name] for name in (*NAMES, RESET)] == ["4", "0", "8s"]
        error = msgspec.json.decode(answer)["error"]
        assert error["message"].startswith("Too Many Requests")
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert len(stream.requests) == 2
        clock.now_s += 2.0
        assert (await post(server.url, build_chat(stream=True)))[0] == 200
        assert (await post(server.url, build_chat()))[0] == 429
    assert [record.error_code for record in server.observer.records][4::2] == [
        "rate_limit_exceeded",
        "rate_limit_exceeded",
    ]


async def test_the_limit_is_held_before_the_body_is_read() -> None:
    """A key that has used its limit is refused by its head: no body of it is waited for."""
    async with limited(NOWHERE, rate_limit=RateLimit(1, 60.0)) as (server, _):
        await post(server.url, b"{")
        assert (await send_head(server.port)).startswith(b"HTTP/1.1 429 ")


async def test_each_key_has_its_own_limit() -> None:
    """A key's own limit goes before the general one, and keys do not share what they use."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        limited(upstream.url, rate_limit=RateLimit(1, 60.0)) as (server, _),
    ):
        snapshot = server.runtime.snapshot
        other = Caller("key_other", rate_limit=RateLimit(2, 60.0))
        callers = {**snapshot.callers, HASHER.digest(OTHER_KEY): other}
        server.runtime.snapshot = replace(snapshot, callers=callers)
        own = {"Authorization": f"Bearer {OTHER_KEY}"}
        asked = [await post(server.url, build_chat(), **headers) for headers in ({}, {}, own, own)]
        assert [status for status, _, _ in asked] == [200, 429, 200, 200]
        assert [headers[NAMES[0]] for _, headers, _ in asked] == ["1", "1", "2", "2"]
        assert (await post(server.url, build_chat(), **own))[0] == 429


async def test_without_a_limit_nothing_is_told_of_one() -> None:
    """No `x-ratelimit-*` header where no limit is configured, nor for who has no key."""
    async with open_raw_upstream(answering(ANSWER)) as upstream:
        async with proxying(upstream.url) as server:
            status, headers, _ = await post(server.url, build_chat())
            assert status == 200
            assert not [name for name in headers if name.lower().startswith("x-ratelimit")]
        async with proxying(upstream.url, rate_limit=RateLimit(1, 60.0)) as server:
            for _ in range(3):
                status, headers, _ = await post(server.url, b"{", Authorization="Bearer wrong")
                assert status == 401
                assert not [name for name in headers if name.lower().startswith("x-ratelimit")]
            assert (await post(server.url, build_chat()))[0] == 200


async def test_listing_models_is_not_counted() -> None:
    """Only requests that go to a provider use the limit."""
    async with limited(NOWHERE, rate_limit=RateLimit(1, 60.0)) as (server, _):
        async with aiohttp.ClientSession(headers=AUTH) as session:
            for _ in range(3):
                async with session.get(server.url + "/models") as answer:
                    assert answer.status == 200
        assert (await post(server.url, b"{"))[0] == 400


async def test_a_full_server_refuses_by_the_head_and_serves_on_when_a_place_is_free() -> None:
    """Beyond `max_in_flight` 503 at once, nothing counted; health and models still answer."""
    reached, finish = asyncio.Event(), asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        while True:
            await connection.read_request()
            reached.set()
            await finish.wait()
            await connection.answer(msgspec.json.encode(ANSWER))

    async with (
        open_raw_upstream(script) as upstream,
        limited(upstream.url, max_in_flight=1, rate_limit=RateLimit(2, 60.0)) as (server, _),
    ):
        first = asyncio.ensure_future(post(server.url, build_chat()))
        await reached.wait()
        assert server.runtime.in_flight == 1
        waits = set()
        for _ in range(30):
            status, headers, answer = await post(server.url, build_chat())
            assert status == 503
            assert msgspec.json.decode(answer)["error"]["code"] == "server_overloaded"
            assert NAMES[0] not in headers
            waits.add(int(headers["Retry-After"]))
        assert len(waits) > 1
        assert waits <= {1, 2, 3, 4, 5}
        assert (await send_head(server.port)).startswith(b"HTTP/1.1 503 ")
        async with aiohttp.ClientSession(headers=AUTH) as session:
            for path in ("/health", "/health/readiness", "/metrics", "/v1/models"):
                async with session.get(f"http://127.0.0.1:{server.port}{path}") as answered:
                    assert answered.status == 200, path
        finish.set()
        assert (await first)[0] == 200
        # The second of two: what was refused for lack of a place had used nothing.
        status, headers, _ = await post(server.url, build_chat())
        assert (status, headers[NAMES[1]]) == (200, "0")
        assert server.runtime.in_flight == 0


ENDINGS = [
    "completed",
    "bad body",
    "unknown model",
    "limit used up",
    "upstream error",
    "upstream away",
    "stream cut",
    "client left before the head",
    "client left in the stream",
]


@pytest.mark.parametrize("ending", ENDINGS)
async def test_every_ending_gives_its_place_back(ending: str) -> None:
    """However a request ends, also by its client's leaving: afterwards none is under way."""
    reached = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        if ending == "upstream error":
            await connection.answer(b"{}", status=500)
        elif ending in ("completed", "limit used up"):
            await connection.answer(msgspec.json.encode(ANSWER))
        elif ending == "stream cut":
            await connection.start_chunked()
            await connection.chunk(build_chunk("a"))
            connection.reset()
        elif ending == "client left in the stream":
            await connection.start_chunked()
            await connection.chunk(build_chunk("a"))
        reached.set()
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        limited(
            NOWHERE if ending == "upstream away" else upstream.url,
            rate_limit=RateLimit(1, 60.0),
        ) as (server, _),
    ):
        bodies: dict[str, Any] = {
            "bad body": b"{",
            "unknown model": build_chat(model="nope"),
            "stream cut": build_chat(stream=True),
            "client left in the stream": build_chat(stream=True),
        }
        body = bodies.get(ending, build_chat())
        if ending.startswith("client left"):
            await leave(server, body, reached)
        else:
            await post(server.url, body)
            if ending == "limit used up":
                assert (await post(server.url, body))[0] == 429
        await server.observer.wait_for_records(2 if ending == "limit used up" else 1)
        assert server.runtime.in_flight == 0
        assert server.runtime.in_flight_by_key == {}


async def test_one_key_cannot_take_all_places() -> None:
    """Above `max_key_share` a key gets 503 that speaks of its share, while others are served."""
    reached, finish = asyncio.Event(), asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        while True:
            await connection.read_request()
            reached.set()
            await finish.wait()
            await connection.answer(msgspec.json.encode(ANSWER))

    async with (
        open_raw_upstream(script) as upstream,
        limited(upstream.url, max_in_flight=3, max_key_share=0.4) as (server, _),
    ):
        snapshot = server.runtime.snapshot
        callers = {**snapshot.callers, HASHER.digest(OTHER_KEY): Caller("key_other")}
        server.runtime.snapshot = replace(snapshot, callers=callers)
        first = asyncio.ensure_future(post(server.url, build_chat()))
        await reached.wait()
        for _ in range(2):
            status, headers, answer = await post(server.url, build_chat())
            error = msgspec.json.decode(answer)["error"]
            assert (status, error["type"]) == (503, "overloaded_error")
            assert error["code"] == "server_overloaded"
            assert "its share" in error["message"]
            assert headers["Retry-After"] in {"1", "2", "3", "4", "5"}
        assert (await send_head(server.port)).startswith(b"HTTP/1.1 503 ")
        own = {"Authorization": f"Bearer {OTHER_KEY}"}
        other = asyncio.ensure_future(post(server.url, build_chat(), **own))
        finish.set()
        assert [(await each)[0] for each in (first, other)] == [200, 200]
        assert (await post(server.url, build_chat()))[0] == 200
        assert server.runtime.shed == {"key_share": 3}
        assert server.runtime.in_flight_by_key == {}


async def test_a_small_share_of_few_places_is_one() -> None:
    """However small its share, a key that has nothing under way may ask."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        limited(upstream.url, max_in_flight=3, max_key_share=0.01) as (server, _),
    ):
        assert [(await post(server.url, build_chat()))[0] for _ in range(3)] == [200] * 3


async def test_a_share_is_exact() -> None:
    """29 of 100 places are 0.29 of them, whatever a float makes of it."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        limited(upstream.url, max_in_flight=100, max_key_share=0.29) as (server, _),
    ):
        assert int(100 * 0.29) == 28
        [key] = [
            f"{c.organization_id}:{c.key_id}" for c in server.runtime.snapshot.callers.values()
        ]
        server.runtime.in_flight_by_key[key] = 28
        assert (await post(server.url, build_chat()))[0] == 200
        server.runtime.in_flight_by_key[key] = 29
        assert (await post(server.url, build_chat()))[0] == 503


async def test_beyond_the_ceiling_of_a_late_loop_nobody_begins() -> None:
    """While there is a ceiling it holds over every connection, before the body is read."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        limited(upstream.url) as (server, _),
    ):
        server.runtime.shedding.ceiling = server.runtime.in_flight = 20
        assert (await send_head(server.port)).startswith(b"HTTP/1.1 503 ")
        server.runtime.in_flight = 19
        assert (await post(server.url, build_chat()))[0] == 200
        assert server.runtime.shed == {"late": 1}
        server.runtime.in_flight = 0


async def test_strangers_take_no_place() -> None:
    """A request without a good key is refused as such, also by a server that is full."""
    async with proxying(NOWHERE, max_in_flight=1) as server:
        server.runtime.in_flight = 1
        assert (await post(server.url, b"{", Authorization="Bearer wrong"))[0] == 401
        assert server.runtime.in_flight == 1


async def leave(server: ProxyServer, body: Any, reached: asyncio.Event) -> None:
    """Send a request, and close the connection once the upstream has been reached."""
    async with aiohttp.ClientSession(headers=AUTH) as session:
        task = asyncio.ensure_future(session.post(server.url + "/chat/completions", json=body))
        await reached.wait()
        if body.get("stream"):
            (await task).close()
        else:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def send_head(port: int) -> bytes:
    """Send only the head of a request with a body and return the first line of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    headers = {"Host": "x", **AUTH, "Content-Length": "9"}
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"POST /v1/chat/completions HTTP/1.1\r\n{fields}\r\n".encode())
    async with asyncio.timeout(SECONDS_ALLOWED):
        line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line
