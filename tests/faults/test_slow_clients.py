"""
C4, C10: clients that are slow on purpose end by our clocks, and others are answered meanwhile.

`campaigns/slow_clients.py` does the same with hundreds of them and with slowhttptest.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest

from proxy.domain.settings import ClientClocks
from tests.fakes.proxy_server import ANSWER, ProxyServer, build_chat, build_chunk, proxying
from tests.fakes.raw_client import (
    RawAnswer,
    build_head,
    build_request,
    connecting,
)
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream

pytestmark = [pytest.mark.usefixtures("no_leaks"), pytest.mark.both_connections]

CLIENTS = 10
CLOCK_S = 0.2
SLACK = 30
DRIBBLE_S = 0.02
CLOCKS = ClientClocks(head_s=CLOCK_S, body_s=CLOCK_S, write_stall_s=CLOCK_S)
FLOOD = build_chunk("x" * 60_000)
STREAMED = msgspec.json.encode(build_chat(stream=True))


async def flood_or_answer(connection: UpstreamConnection) -> None:
    """Flood who asks for a stream, and answer everybody else."""
    while True:
        _, _, body = await connection.read_request()
        if b'"stream":true' not in body:
            await connection.answer(msgspec.json.encode(ANSWER))
            continue
        await connection.start_chunked()
        while True:
            await connection.chunk(FLOOD)


@asynccontextmanager
async def serving_beside_a_caller() -> AsyncIterator[ProxyServer]:
    """Serve with hasty clocks; a caller asks all the time, and each time is answered."""
    async with (
        open_raw_upstream(flood_or_answer) as upstream,
        proxying(upstream.url, client_clocks=CLOCKS) as server,
        connecting(server.port) as caller,
    ):

        async def ask_on() -> None:
            while True:
                await caller.send(build_request())
                assert (await caller.read_answer()).status == 200
                answered.set()

        answered = asyncio.Event()
        asking = asyncio.ensure_future(ask_on())
        await answered.wait()
        yield server
        answered.clear()
        await answered.wait()
        assert not asking.done()
        asking.cancel()
        await asyncio.wait([asking])


async def dribble(port: int, beginning: bytes) -> RawAnswer:
    """Send a beginning, then one byte from time to time, and return what is answered."""
    async with connecting(port, beginning) as client:
        answering = asyncio.ensure_future(client.read_answer())
        while not (await asyncio.wait([answering], timeout=DRIBBLE_S))[0]:
            client.writer.write(b"a")
        answer = answering.result()
        with suppress(ConnectionResetError):  # our last byte may come behind the end
            assert await client.read_end() == b""
        return answer


@pytest.mark.parametrize(
    "beginning",
    [
        b"POST /",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-A: ",
        build_head("Content-Length: 9000"),
        build_head("Transfer-Encoding: chunked") + b"2000\r\n",
    ],
    ids=["first line", "head", "body", "chunk"],
)
async def test_slow_requests_end_by_their_clock(beginning: bytes) -> None:
    """One byte from time to time is 408 and the end, and a caller beside it is answered."""
    async with serving_beside_a_caller() as server:
        started_s = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(dribble(server.port, beginning) for _ in range(CLIENTS)))
        took_s = asyncio.get_running_loop().time() - started_s
    assert {(a.status, a.error["code"]) for a in answers} == {(408, "request_timeout")}
    assert CLOCK_S <= took_s < CLOCK_S * SLACK


async def test_readers_that_stop_end_by_their_clock() -> None:
    """Who takes nothing of its stream is cut off, and a caller beside it is answered."""
    async with serving_beside_a_caller() as server:
        started_s = asyncio.get_running_loop().time()
        readers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(CLIENTS)]
        for reader in readers:
            reader.sendall(build_request(STREAMED))
        ended = 0
        async with asyncio.timeout(CLOCK_S * SLACK * 2):
            count = 0
            while ended < CLIENTS:
                count += 1
                records = await server.observer.wait_for_records(count)
                ended = sum(record.ending == "client_closed" for record in records)
        took_s = asyncio.get_running_loop().time() - started_s
        for reader in readers:
            reader.close()
    assert server.observer.connection_faults.count("write_stall") == CLIENTS
    assert CLOCK_S <= took_s < CLOCK_S * SLACK
