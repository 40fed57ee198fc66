"""TLS in front of a server that has none, with the certificate of `tests/fakes/tls`."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

TLS = Path(__file__).parent / "tls"
AUTHORITY = TLS / "ca.pem"
"""What a client has to trust."""


@asynccontextmanager
async def relaying_tls(port: int) -> AsyncIterator[int]:
    """Pass on what comes in over TLS to a port of 127.0.0.1; yield the port that speaks TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    open_ones: set[asyncio.Task[None]] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_ones.add(task)
        task.add_done_callback(open_ones.discard)
        there, back = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, back))
            both.create_task(_pump(there, writer))

    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if open_ones:
            await asyncio.wait(open_ones)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
    except ConnectionError:
        pass  # as good as an end: the other side is told below
    finally:
        writer.close()
