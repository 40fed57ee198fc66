"""Bodies that are no request are refused before anything goes upstream."""

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.fakes.proxy_server import ANSWER, AUTH, ProxyServer, build_chat, proxying
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering

pytestmark = pytest.mark.usefixtures("no_leaks")


async def post_raw(server: ProxyServer, data: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    """Return (status, error object) of a body given as bytes or as an async generator."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            server.url + "/chat/completions", data=data, headers={**AUTH, **headers}
        ) as answer,
    ):
        return answer.status, msgspec.json.decode(await answer.read())["error"]


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        (b"", 400, None, "invalid_json"),
        (b"{", 400, None, "invalid_json"),
        (b"[]", 400, None, "invalid_json"),
        (b'{"model":"m"}', 400, "messages", None),
        (msgspec.json.encode(build_chat(temperature=3)), 400, "temperature", None),
        (b'{"model":"nope","messages":[{"role":"user"}]}', 404, "model", "model_not_found"),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", 400, None, "json_too_deep"),
    ],
)
async def test_a_bad_body_is_the_clients_error(
    body: bytes, status: int, param: str | None, code: str | None
) -> None:
    """Each is a 4xx with `param`, and nothing goes upstream."""
    script = answering(ANSWER)
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        found, error = await post_raw(server, body)
    assert (found, error["param"], error["code"]) == (status, param, code)
    assert script.requests == []


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_above_the_cap_is_refused(declared: bool) -> None:
    """A body that passes `max_body_bytes` is 413, whether its size was declared or not."""

    async def chunks() -> Any:
        for _ in range(20):
            yield b" " * 100

    async with proxying("http://127.0.0.1:1/v1", max_body_bytes=1000) as server:
        status, error = await post_raw(server, b" " * 2000 if declared else chunks())
        (record,) = await server.observer.wait_for_records()
    assert (status, error["code"]) == (413, "request_too_large")
    assert "1000 bytes" in error["message"]
    assert record.status == 413


async def test_a_compressed_body_is_refused() -> None:
    """A compressed body is 415, in words that say what to send."""
    async with proxying("http://127.0.0.1:1/v1") as server:
        status, error = await post_raw(server, b"\x1f\x8b", **{"Content-Encoding": "gzip"})
    assert (status, error["code"]) == (415, "unsupported_encoding")
    assert "uncompressed" in error["message"]


async def test_a_body_in_many_chunks_arrives_whole() -> None:
    """A chunked request body is put together before it is parsed."""
    body = msgspec.json.encode(build_chat())

    async def pieces() -> Any:
        for position in range(0, len(body), 7):
            yield body[position : position + 7]

    script = answering(ANSWER)
    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url) as server,
        aiohttp.ClientSession() as session,
        session.post(server.url + "/chat/completions", data=pieces(), headers=AUTH) as answer,
    ):
        assert answer.status == 200
    assert script.body() == build_chat()


async def test_a_body_without_end_is_refused_at_the_cap() -> None:
    """Nobody reads on past `max_body_bytes`: the answer comes while the client still sends."""

    async def endless() -> Any:
        yield b" " * 5000
        await asyncio.Event().wait()

    async with proxying("http://127.0.0.1:1/v1", max_body_bytes=1000) as server:
        status, error = await post_raw(server, endless())
    assert (status, error["code"]) == (413, "request_too_large")
