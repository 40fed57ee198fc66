"""What our connection does beyond aiohttp's: it sizes its buffer, and is known when it is gone."""

import asyncio
import gc
import socket
import weakref
from functools import partial

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection

from proxy.upstream.aiohttp_connection import ProviderConnection, protocol_of
from proxy.upstream.receive_buffer import STREAM_BUFFER_BYTES
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.upstream.asking import take_turns

pytestmark = pytest.mark.usefixtures("no_leaks")

KEY = ConnectionKey("127.0.0.1", 80, False, True, None, None, None)


async def test_the_kernel_holds_little_of_a_stream() -> None:
    """For a stream the socket's buffer is small, and for any other answer it grows again."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.watch()

    loop = asyncio.get_running_loop()
    async with open_raw_upstream(script) as upstream:
        make = partial(ProviderConnection, loop=loop)
        transport, connection = await loop.create_connection(make, "127.0.0.1", upstream.port)
        sock = transport.get_extra_info("socket")

        def read_size_bytes() -> int:
            size_bytes: int = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            return size_bytes

        by_itself_bytes = read_size_bytes()
        connection.size_buffer(is_for_stream=False)
        assert read_size_bytes() == by_itself_bytes
        connection.size_buffer(is_for_stream=True)
        assert read_size_bytes() == 2 * STREAM_BUFFER_BYTES
        connection.size_buffer(is_for_stream=False)
        assert read_size_bytes() > 2 * STREAM_BUFFER_BYTES
        transport.close()
        connection.size_buffer(is_for_stream=True)


async def test_a_connection_that_is_gone_has_disconnected() -> None:
    """One that aiohttp took back as it changed hands is told as a disconnect."""
    async with aiohttp.TCPConnector() as connector:
        connection = Connection(connector, KEY, None, asyncio.get_running_loop())  # type: ignore[arg-type]
        with pytest.raises(aiohttp.ServerDisconnectedError):
            protocol_of(connection)


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_an_answer_that_nobody_has_read_goes_with_its_connection(end: str) -> None:
    """It came in the turn in which its request was given up, and waits for no collector."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.watch()

    async def leave(port: int) -> weakref.ref[ProviderConnection]:
        loop = asyncio.get_running_loop()
        make = partial(ProviderConnection, loop=loop)
        _, connection = await loop.create_connection(make, "127.0.0.1", port)
        connection.set_response_params(read_until_eof=True, auto_decompress=False)
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        getattr(connection, end)()
        return weakref.ref(connection)

    async with open_raw_upstream(script) as upstream:
        gc.disable()
        try:
            left = await leave(upstream.port)
            await upstream.connections[0].wait_closed()
            await take_turns()
            assert left() is None
        finally:
            gc.enable()
