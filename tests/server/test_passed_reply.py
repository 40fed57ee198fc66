"""Request and reply of what passes, over aiohttp's connections."""

import pytest

from tests.fakes.raw_client import build_request, connecting
from tests.fakes.raw_upstream import UpstreamConnection
from tests.fakes.upstream_scripts import Recorder
from tests.pipeline.passing import passing

pytestmark = pytest.mark.usefixtures("no_leaks")

SPEAK = b'{"model":"m","input":"x","voice":"v"}'
SPEECH = "POST /v1/audio/speech HTTP/1.1"


async def test_a_length_that_is_known_is_told_and_the_connection_goes_on() -> None:
    """Bytes of known length need no chunks, and another request may follow them."""
    script = Recorder(b"abc", content_type="audio/mpeg")
    request = build_request(SPEAK, line=SPEECH)
    async with passing(script) as (server, _), connecting(server.port, request) as client:
        for _ in range(2):
            answer = await client.read_answer()
            assert (answer.status, answer.body) == (200, b"abc")
            assert "transfer-encoding" not in answer.headers
            await client.send(request)


async def test_a_length_that_is_not_known_is_told_by_chunks() -> None:
    """To a client of HTTP/1.1 in chunks, to one of HTTP/1.0 by the end of the connection."""

    async def script(connection: UpstreamConnection) -> None:
        while True:
            await connection.read_request()
            await connection.start_chunked("audio/mpeg")
            await connection.chunk(b"abc")
            await connection.chunk(b"")

    async with passing(script) as (server, _):
        for version, body in (("1.1", b"3\r\nabc\r\n0\r\n\r\n"), ("1.0", b"abc")):
            line = SPEECH.replace("1.1", version)
            request = build_request(SPEAK, "Connection: close", line=line)
            async with connecting(server.port, request) as client:
                status, headers = await client.read_head()
                assert (status, "content-length" in headers) == (200, False)
                assert await client.read_end() == body


async def test_an_answer_that_breaks_closes_the_connection() -> None:
    """What is cut off upstream ends early here, and nothing follows it."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        connection.close()

    request = build_request(SPEAK, line=SPEECH)
    async with passing(script) as (server, _), connecting(server.port, request * 2) as client:
        assert (await client.read_head())[1]["content-length"] == "9"
        assert await client.read_end() == b"abc"
