"""The pipeline's request and reply (see `pipeline/base.py`) over aiohttp's server."""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time

from proxy.domain.errors import BodyTooLarge, RequestTimeout, UnsupportedMediaType
from proxy.domain.exchange import Operation
from proxy.server.protocol import ClientConnection

BODY_S = 30.0
SERVER_NAME = "llm-proxy-api"
REASONS = {status.value: status.phrase for status in HTTPStatus}
JOINED_BODY_BYTES = 64 * 1024
"""Up to here copying a body behind its head costs less than a second write."""


class AiohttpRequest:
    """An InboundRequest."""

    __slots__ = ("_request", "endpoint", "headers", "operation")

    def __init__(self, request: web.Request, operation: Operation, endpoint: str) -> None:
        self._request = request
        self.operation: Operation = operation
        self.endpoint = endpoint
        self.headers: Mapping[str, str] = request.headers

    async def read_body(self, limit_bytes: int) -> bytes:
        """Return the whole body (see `pipeline/base.py`)."""
        request = self._request
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType()
        if (request.content_length or 0) > limit_bytes:
            raise BodyTooLarge(_too_large(limit_bytes))
        content = request.content
        if content.is_eof():
            # Nearly every body has come with its head: no clock, no loop, no copy.
            body = content.read_nowait(-1)
        else:
            body = await self._read_rest(limit_bytes)
        if len(body) > limit_bytes:
            raise BodyTooLarge(_too_large(limit_bytes))
        return body

    async def _read_rest(self, limit_bytes: int) -> bytes:
        parts, size_bytes = [], 0
        try:
            async with asyncio.timeout(BODY_S):
                while part := await self._request.content.readany():
                    parts.append(part)
                    size_bytes += len(part)
                    if size_bytes > limit_bytes:
                        break
        except TimeoutError:
            raise RequestTimeout() from None
        return b"".join(parts)


class AiohttpReply:
    """
    A ReplyWriter; `response` is what the aiohttp handler must return afterwards.

    Head and body are written straight to the connection: through aiohttp's response objects
    the same bytes cost a fifth of everything else that a request costs.
    """

    __slots__ = ("_extra_headers", "_is_chunked", "_request", "response", "started")

    def __init__(self, request: web.Request, extra_headers: Mapping[str, str]) -> None:
        self._request = request
        self._extra_headers = extra_headers
        self._is_chunked = False
        self.response: web.StreamResponse | None = None
        self.started = False

    @property
    def is_client_gone(self) -> bool:
        """The client has closed the connection; that we have closed it does not count."""
        connection = self._request.protocol
        return isinstance(connection, ClientConnection) and connection.is_lost

    async def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a complete answer."""
        head = self._begin(status, headers, f"Content-Length: {len(body)}\r\n")
        if len(body) <= JOINED_BODY_BYTES:
            self._write(head + body)
        else:
            self._write(head)
            self._write(body)
            await self._drain()

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status line and headers of a streamed answer."""
        self._is_chunked = self._request.version >= HttpVersion11
        framing = "Transfer-Encoding: chunked\r\n" if self._is_chunked else ""
        self._write(self._begin(status, headers, framing))

    def data(self, chunk: bytes) -> None:
        """Write the next bytes of a streamed answer: one write, no waiting."""
        if chunk:
            self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._is_chunked else chunk)

    def on_flow(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Have `pause` and `resume` called as the client's reading asks for it."""
        connection = self._request.protocol
        if isinstance(connection, ClientConnection):
            connection.on_pause, connection.on_resume = pause, resume
            if connection.writing_paused:
                pause()

    async def end(self) -> None:
        """Complete a streamed answer."""
        self._forget_flow()
        if self._is_chunked:
            self._write(b"0\r\n\r\n")
        await self._drain()

    def _begin(self, status: int, headers: Mapping[str, str], framing: str) -> bytes:
        """Return the head of an answer; `framing` is the field that tells where its body ends."""
        self.started = True
        # Without a length and without chunks only the close tells that a body is over.
        keeps_alive = self._request.keep_alive and bool(framing)
        self.response = _WrittenResponse(keeps_alive)
        fields = [f"{name}: {value}\r\n" for name, value in self._extra_headers.items()]
        fields += [f"{name}: {value}\r\n" for name, value in headers.items()]
        text = "".join(fields)
        if text.count("\n") != len(fields) or "\0" in text:
            raise ValueError("a header of an answer holds a line break")
        if not keeps_alive:
            framing += "Connection: close\r\n"
        elif self._request.version < HttpVersion11:
            framing += "Connection: keep-alive\r\n"
        return (
            f"HTTP/1.1 {status} {REASONS.get(status, '')}\r\nServer: {SERVER_NAME}\r\n"
            f"Date: {rfc822_formatted_time()}\r\n{text}{framing}\r\n"
        ).encode()

    def _write(self, data: bytes) -> None:
        # A client that has left gets nothing; its request's task is about to be cancelled.
        transport = self._request.transport
        if transport is not None and not transport.is_closing():
            transport.write(data)

    async def _drain(self) -> None:
        connection = self._request.protocol
        if isinstance(connection, ClientConnection) and connection.writing_paused:
            await connection.drain()

    def _forget_flow(self) -> None:
        connection = self._request.protocol
        if isinstance(connection, ClientConnection):
            connection.on_pause = connection.on_resume = None


class _WrittenResponse(web.StreamResponse):
    """Tells aiohttp that an answer has been written, and whether its connection may go on."""

    def __init__(self, keeps_alive: bool) -> None:
        super().__init__()
        self._keep_alive = keeps_alive

    @property
    def prepared(self) -> bool:
        """The head is out."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Do nothing: the head is out."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the body is out."""


def _too_large(limit_bytes: int) -> str:
    return f"The request body is larger than the {limit_bytes} bytes that are taken here."
