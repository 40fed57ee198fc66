"""An outgoing proxy on real sockets: CONNECT and absolute URLs; every name is this machine."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import quote, urlsplit

from msgspec import Struct

from tests.canaries import KEY_MARK

PASSWORD = f"{KEY_MARK}-p@ss:word"
LOGIN = f"someone:{quote(PASSWORD, safe='')}@"
"""What stands in front of a proxy's host in its URL; a canary, that nothing may ever print."""
CREDENTIALS = "Basic " + base64.b64encode(f"someone:{PASSWORD}".encode()).decode()
"""What a proxy is told by it."""

_OPEN = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy.test\r\n\r\n"
_WHO = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
    b'Proxy-Authenticate: Basic realm="p"\r\nContent-Length: 0\r\n\r\n'
)


class Asked(Struct, frozen=True):
    """One request as the proxy has read it."""

    line: str
    headers: dict[str, str]
    """By names in lower case."""


class ForwardProxy:
    """A running proxy: where it is, what it was asked, and how many connections it has had."""

    def __init__(self, credentials: str | None, answer: bytes | None) -> None:
        self.port = 0
        self.asked: list[Asked] = []
        self.was_asked = asyncio.Event()
        self.accepted = 0
        self.open_now = 0
        self.is_idle = asyncio.Event()
        """Nobody is connected any more."""
        self._credentials = credentials
        self._answer = answer

    @property
    def url(self) -> str:
        """What a provider's `proxy` says, without user and password."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, until one of both sides has closed it."""
        self.accepted += 1
        self.open_now += 1
        self.is_idle.clear()
        there: asyncio.StreamWriter | None = None
        pumps: set[asyncio.Task[None]] = set()
        try:
            while True:
                asked, head = await self._read(reader, writer)
                if asked is None:
                    continue
                if self._answer is not None:
                    writer.write(self._answer)
                    await reader.read()
                    return
                if asked.line.startswith("CONNECT "):
                    port = int(asked.line.split()[1].rpartition(":")[2])
                    back, there = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(_OPEN)
                    pumps.add(asyncio.create_task(_pump(back, writer)))
                    await _pump(reader, there)
                    return
                if there is None:
                    port = urlsplit(asked.line.split()[1]).port or 80
                    back, there = await asyncio.open_connection("127.0.0.1", port)
                    pumps.add(asyncio.create_task(_pump(back, writer)))
                there.write(head)
                await _pass_body(reader, there, int(asked.headers.get("content-length", "0")))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            for task in pumps:
                task.cancel()
            for each in (there, writer):
                if each is not None:
                    each.transport.abort()
            self.open_now -= 1
            if not self.open_now:
                self.is_idle.set()

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Asked | None, bytes]:
        """Return a request, and its head as it goes on; None if it was refused here."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rest = head.rstrip().split("\r\n")
        fields = [field.partition(": ") for field in rest]
        asked = Asked(line, {name.lower(): value for name, _, value in fields})
        self.asked.append(asked)
        self.was_asked.set()
        shown = asked.headers.get("proxy-authorization")
        if self._credentials is not None and shown != self._credentials:
            await reader.readexactly(int(asked.headers.get("content-length", "0")))
            writer.write(_WHO)
            return None, b""
        method, url, version = line.split()
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        kept = [f"{n}: {value}\r\n" for n, _, value in fields if not n.lower().startswith("proxy-")]
        return asked, f"{method} {path} {version}\r\n{''.join(kept)}\r\n".encode("latin-1")


@asynccontextmanager
async def open_forward_proxy(
    *, credentials: str | None = None, answer: bytes | None = None
) -> AsyncIterator[ForwardProxy]:
    """
    Run a proxy until the block ends.

    Args:
        credentials: what `Proxy-Authorization` must say; anybody may pass without.
        answer: what each request gets instead of what it has asked for; b"" is silence.
    """
    proxy = ForwardProxy(credentials, answer)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        await proxy.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(list(tasks))
        await server.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
        return
    # What broke there breaks here.
    writer.transport.abort()


async def _pass_body(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left_bytes: int
) -> None:
    while left_bytes:
        data = await reader.read(min(left_bytes, 65536))
        if not data:
            raise asyncio.IncompleteReadError(b"", left_bytes)
        left_bytes -= len(data)
        writer.write(data)
        await writer.drain()
