"""A real HTTP upstream on raw sockets, which does exactly what a test tells it, byte by byte."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

CRLF = b"\r\n"


class UpstreamConnection:
    """One accepted connection, from the upstream's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.closed_by_peer = asyncio.Event()
        self.closed_at_s: float | None = None
        self.watched_bytes = 0
        """How much has come that no request was read from."""

    async def serve(self, answer: "Callable[[UpstreamConnection], Awaitable[bool]]") -> None:
        """Have request after request answered, as long as that says so and the peer is there."""
        try:
            while await answer(self):
                continue
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side has left
        finally:
            self._writer.close()

    async def read_request(self) -> tuple[str, dict[str, str], bytes]:
        """Return (request line, headers in lower case, body) of the next request."""
        line, headers = await self.read_head()
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return line, headers, body

    async def read_head(self) -> tuple[str, dict[str, str]]:
        """Return (request line, headers in lower case) and leave the body where it is."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rest = head.rstrip().split("\r\n")
        headers = {}
        for field in rest:
            name, _, value = field.partition(":")
            headers[name.lower()] = value.strip()
        return line, headers

    async def read_some(self) -> bytes:
        """Return what has come, or comes next, whatever it is."""
        return await self._reader.read(65536)

    async def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def start_chunked(self, content_type: str = "text/event-stream") -> None:
        """Send the head of a 200 answer with a chunked body."""
        await self.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )

    async def chunk(self, data: bytes) -> None:
        """Send one HTTP chunk; b"" ends the body."""
        await self.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def answer(
        self,
        body: bytes,
        status: int = 200,
        content_type: str = "application/json",
        extra: str = "",
    ) -> None:
        """Send a whole answer with a Content-Length."""
        await self.write(
            f"HTTP/1.1 {status} Status\r\nContent-Type: {content_type}\r\n{extra}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async def wait_closed(self) -> float:
        """Wait until the peer has closed the connection and return the loop's time then."""
        await self.closed_by_peer.wait()
        assert self.closed_at_s is not None
        return self.closed_at_s

    async def watch(self) -> None:
        """Read and drop what still comes until the peer closes."""
        try:
            while data := await self._reader.read(65536):
                self.watched_bytes += len(data)
        except ConnectionError:
            pass
        self.closed_at_s = asyncio.get_running_loop().time()
        self.closed_by_peer.set()

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        """Close the connection in good order."""
        self._writer.close()


Script = Callable[[UpstreamConnection], Awaitable[None]]


class RawUpstream:
    """A running upstream: where it is, and the connections it has had."""

    def __init__(self, scheme: str) -> None:
        self.port = 0
        self.connections: list[UpstreamConnection] = []
        self._scheme = scheme

    @property
    def url(self) -> str:
        """The base URL that a provider is configured with."""
        return f"{self._scheme}://127.0.0.1:{self.port}/v1"


@asynccontextmanager
async def open_raw_upstream(
    script: Script, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawUpstream]:
    """Run `script` for every connection; it is cancelled when the block ends."""
    upstream = RawUpstream("http" if tls is None else "https")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = UpstreamConnection(reader, writer)
        upstream.connections.append(connection)
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(connection)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(list(tasks))
        await server.wait_closed()


async def stay_until_closed(connection: UpstreamConnection) -> None:
    """End of a script: wait for the peer to close."""
    await connection.watch()
