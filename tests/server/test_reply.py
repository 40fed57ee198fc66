"""Requests and replies over real sockets, at the level of bytes."""

import asyncio
import logging

import pytest

from tests.fakes.proxy_server import ANSWER, DONE, build_chunk, proxying
from tests.fakes.raw_client import CHAT, build_request, connecting
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.upstream_scripts import Recorder, answering

pytestmark = [pytest.mark.usefixtures("no_leaks"), pytest.mark.both_connections]

BODY = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'
STREAM = (build_chunk("he"), build_chunk(finish="stop"), DONE)


def build_raw(version: str, body: bytes = BODY, *headers: str) -> bytes:
    """Return a chat request as bytes."""
    line = f"POST /v1/chat/completions HTTP/{version}"
    return build_request(body, *headers, line=line)


async def test_streams_are_chunked_over_http_1_1_and_the_connection_stays() -> None:
    """Each push is one HTTP chunk, the last chunk ends the body, a second request follows."""
    async with open_raw_upstream(Recorder(*STREAM)) as upstream, proxying(upstream.url) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(2):
            writer.write(build_raw("1.1"))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"Transfer-Encoding: chunked" in head
            body = b""
            while size := int((await reader.readline()).strip(), 16):
                body += await reader.readexactly(size)
                assert await reader.readexactly(2) == b"\r\n"
            assert await reader.readexactly(2) == b"\r\n"
            assert body == b"".join(STREAM)
        writer.close()


@pytest.mark.parametrize("headers", [(), ("Connection: keep-alive",)])
async def test_streams_over_http_1_0_end_with_the_connection(headers: tuple[str, ...]) -> None:
    """A client of HTTP/1.0 gets the bare events, and the close tells it that they are over."""
    async with open_raw_upstream(Recorder(*STREAM)) as upstream, proxying(upstream.url) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(build_raw("1.0", BODY, *headers))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"chunked" not in head
        assert await reader.read(-1) == b"".join(STREAM)
        writer.close()


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Two requests sent at once on one connection get two whole answers, one after the other."""
    async with open_raw_upstream(Recorder(*STREAM)) as upstream, proxying(upstream.url) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(build_raw("1.1") + build_raw("1.1", BODY, "Connection: close"))
        received = await reader.read(-1)
        assert received.count(b"HTTP/1.1 200 OK") == 2
        assert received.count(DONE) == 2
        await server.observer.wait_for_records(2)
        writer.close()


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "a\ud800"])
@pytest.mark.parametrize("body", [BODY, CHAT], ids=["stream", "whole"])
async def test_an_answer_that_cannot_be_sent_is_an_error_in_json(
    value: str, body: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A header that would break the head never goes out: the client gets a 500, we get a log."""
    for module in ("chat_endpoints", "lean_connection"):
        name = f"proxy.server.{module}.build_cors_headers"
        monkeypatch.setattr(name, lambda *_: {"x-a": value})
    script = Recorder(*STREAM) if body is BODY else answering(ANSWER)
    with caplog.at_level(logging.ERROR):
        async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
            async with connecting(server.port, build_request(body)) as client:
                answer = await client.read_answer()
                assert (answer.status, answer.error["code"]) == (500, "internal_error")
                assert "x-a" not in answer.headers
                assert answer.headers["x-request-id"].startswith("req_")
                # The connection is still good for the next one.
                await client.send(build_request(body))
                assert (await client.read_answer()).status == 500
            records = await server.observer.wait_for_records(2)
    assert [(r.status, r.error_code) for r in records] == [(500, "internal_error")] * 2
    assert "line break" in caplog.text or "surrogates" in caplog.text


async def test_an_error_goes_out_without_the_header_that_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal keeps its status; only what would break its head is left out."""
    bad = {"x-a": "a\nb", "x-b": "good"}
    for module in ("chat_endpoints", "lean_connection"):
        name = f"proxy.server.{module}.build_cors_headers"
        monkeypatch.setattr(name, lambda *_: bad)
    async with (
        proxying("http://127.0.0.1:1/v1") as server,
        connecting(server.port, build_request(b"{")) as client,
    ):
        answer = await client.read_answer()
    assert (answer.status, answer.error["code"]) == (400, "invalid_json")
    assert (answer.headers.get("x-a"), answer.headers["x-b"]) == (None, "good")


async def test_an_error_in_the_stream_ends_the_body_in_good_order() -> None:
    """After an in-stream error HTTP itself is complete: clients read the error, not a cut."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(build_chunk("he"))
        await connection.chunk(b"")
        await connection.watch()

    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(build_raw("1.1", BODY, "Connection: close"))
        received = await reader.read(-1)
        writer.close()
    assert b"upstream_truncated" in received
    assert received.endswith(b"0\r\n\r\n")
