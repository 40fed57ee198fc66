"""Requests and replies over real sockets, at the level of bytes."""

import asyncio

import pytest

from tests.fakes.proxy_server import AUTH, DONE, build_chunk, proxying
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.upstream_scripts import Recorder

pytestmark = pytest.mark.usefixtures("no_leaks")

BODY = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'
STREAM = (build_chunk("he"), build_chunk(finish="stop"), DONE)


def build_raw(version: str, body: bytes = BODY, *headers: str) -> bytes:
    """Return a chat request as bytes."""
    lines = [
        f"POST /v1/chat/completions HTTP/{version}",
        "Host: x",
        f"Authorization: {AUTH['Authorization']}",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


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


async def test_a_body_that_stops_coming_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that never finishes its body gets 408 after the body clock."""
    monkeypatch.setattr("proxy.server.reply.BODY_S", 0.05)
    async with proxying("http://127.0.0.1:1/v1") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(build_raw("1.1", BODY)[:-5])
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        writer.close()


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
