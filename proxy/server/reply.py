"""The pipeline's request and reply (see `pipeline/base.py`) over aiohttp's server."""

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import HttpVersion11, web

from proxy.domain.errors import BodyTooLarge, RequestTimeout, UnsupportedMediaType
from proxy.domain.exchange import Operation
from proxy.server.protocol import ClientConnection

BODY_S = 30.0
SERVER_NAME = "llm-proxy-api"


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
    """A ReplyWriter; `response` is what the aiohttp handler must return afterwards."""

    __slots__ = ("_extra_headers", "_request", "_writes_chunks", "response", "started")

    def __init__(self, request: web.Request, extra_headers: Mapping[str, str]) -> None:
        self._request = request
        self._extra_headers = extra_headers
        self._writes_chunks = False
        self.response: web.StreamResponse | None = None
        self.started = False

    @property
    def is_client_gone(self) -> bool:
        """The client has closed the connection; that we have closed it does not count."""
        connection = self._request.protocol
        return isinstance(connection, ClientConnection) and connection.is_lost

    async def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a complete answer."""
        self.response = response = web.Response(
            status=status, body=body, headers=self._build_headers(headers)
        )
        try:
            await response.prepare(self._request)
            self.started = True
            await response.write_eof()
        except ConnectionError:
            # The client has left: there is nobody to tell, and the record says so.
            self.started = True

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status line and headers of a streamed answer."""
        self.started = True
        self.response = response = web.StreamResponse(
            status=status, headers=self._build_headers(headers)
        )
        if self._request.version < HttpVersion11:
            # Without chunks only the close tells the client that its answer is over.
            response.force_close()
        try:
            writer = await response.prepare(self._request)
        except ConnectionError:
            return
        self._writes_chunks = writer is not None and getattr(writer, "chunked", False)

    def data(self, chunk: bytes) -> None:
        """Write the next bytes of a streamed answer: one write, no waiting."""
        transport = self._request.transport
        if transport is not None and chunk:
            if self._writes_chunks:
                transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            else:
                transport.write(chunk)

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
        if self.response is not None:
            try:
                await self.response.write_eof()
            except ConnectionError:
                return

    def abort(self) -> None:
        """Close the connection in the middle of the answer."""
        self._forget_flow()
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    def _forget_flow(self) -> None:
        connection = self._request.protocol
        if isinstance(connection, ClientConnection):
            connection.on_pause = connection.on_resume = None

    def _build_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {"Server": SERVER_NAME, **self._extra_headers, **headers}


def _too_large(limit_bytes: int) -> str:
    return f"The request body is larger than the {limit_bytes} bytes that are taken here."
