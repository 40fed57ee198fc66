"""The client of campaigns: what it tells of a request that fails."""

import pytest

from campaigns.ground.client import Broken, Client, build_chat_request, build_get_request
from campaigns.programs.flood_upstream import HEAD, SMALL
from tests.fakes.ports import find_port
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


async def test_answers_of_both_framings_are_read_whole() -> None:
    """Chunks and a declared length give the body; the connection is kept for the next request."""

    async def script(connection: UpstreamConnection) -> None:
        for answer in (SMALL, WHOLE):
            await connection.read_request()
            await connection.write(answer)

    async with open_raw_upstream(script) as upstream:
        client = Client(upstream.port)
        stream = await client.ask(build_chat_request("small"))
        whole = await client.ask(build_get_request("/v1/models"))
        client.close()
    assert stream.body.endswith(b"data: [DONE]\n\n")
    assert (whole.status, whole.body) == (200, b"ok")
    assert stream.port == whole.port


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"", "closed before an answer"),
        (WHOLE[:-1], "closed within an answer"),
        (HEAD + b"5\r\nda", "closed within an answer"),
    ],
    ids=["none", "short", "cut"],
)
async def test_half_an_answer_is_broken(answer: bytes, what: str) -> None:
    """It is told whether the answer had begun, and by which port the client came."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.write(answer)
        connection.close()

    async with open_raw_upstream(script) as upstream:
        client = Client(upstream.port)
        with pytest.raises(Broken, match=what) as broken:
            await client.ask(build_get_request("/"))
    assert broken.value.port == client.port


async def test_a_refused_connection_has_no_port() -> None:
    """Where nobody listens there is no connection that could be blamed."""
    with pytest.raises(Broken, match="no connection") as broken:
        await Client(find_port()).ask(build_get_request("/"))
    assert broken.value.port == 0


async def test_a_closed_connection_is_not_used_again() -> None:
    """After `Connection: close` the next request goes by a new connection, and does not fail."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.write(LAST)
        connection.close()

    async with open_raw_upstream(script) as upstream:
        client = Client(upstream.port)
        first = await client.ask(build_get_request("/"))
        second = await client.ask(build_get_request("/"))
        client.close()
    assert first.port != second.port
