"""The pipeline's request and reply (see `pipeline/base.py`) over aiohttp's server."""

from collections.abc import Callable, Mapping
from contextlib import suppress

from aiohttp import HttpVersion11, web
from multidict import MultiMapping

from proxy.domain.exchange import Operation
from proxy.domain.settings import Settings
from proxy.server.connection import ClientConnection
from proxy.server.request_body import is_body_coming, read_body
from proxy.server.written_answer import (
    JOINED_BODY_BYTES,
    KEPT,
    LAST,
    UNWANTED_BODY,
    build_reply_head,
)


class AiohttpRequest:
    """An InboundRequest."""

    __slots__ = ("_request", "endpoint", "headers", "model", "operation")

    def __init__(
        self, request: web.Request, operation: Operation, endpoint: str, model: str | None = None
    ) -> None:
        self._request = request
        self.operation: Operation = operation
        self.endpoint = endpoint
        self.headers: MultiMapping[str] = request.headers
        self.model = model

    async def read_body(self, settings: Settings) -> bytes:
        """Return the whole body (see `pipeline/base.py`)."""
        return await read_body(self._request, settings)


class AiohttpReply:
    """
    A ReplyWriter; `response` is what the aiohttp handler must return afterwards.

    Head and body are written straight to the connection: through aiohttp's response objects
    the same bytes cost a fifth of everything else that a request costs.
    """

    __slots__ = (
        "_extra_headers",
        "_is_chunked",
        "_request",
        "_transport",
        "is_open",
        "response",
        "started",
    )

    def __init__(self, request: web.Request, extra_headers: Mapping[str, str]) -> None:
        self._request = request
        self._transport = request.transport
        self._extra_headers = extra_headers
        self._is_chunked = False
        self.response: web.StreamResponse | None = None
        self.started = False
        self.is_open = False

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
        if not self._request.content.is_eof():
            self._leave_body()

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status line and headers of a streamed answer."""
        self._is_chunked = self._request.version >= HttpVersion11
        framing = "Transfer-Encoding: chunked\r\n" if self._is_chunked else ""
        self._write(self._begin(status, headers, framing))
        self.is_open = True

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
        self.end_at_once()
        await self._drain()

    def end_at_once(self) -> None:
        """Complete a streamed answer, whether the client takes it or not."""
        self._forget_flow()
        self.is_open = False
        if self._is_chunked:
            self._write(b"0\r\n\r\n")

    def _begin(self, status: int, headers: Mapping[str, str], framing: str) -> bytes:
        """
        Return the head of an answer (see `build_reply_head` for what it raises).

        `framing` is the field that tells where its body ends.
        """
        request = self._request
        # Without a length and without chunks only the close tells that a body is over.
        keeps_alive = request.keep_alive and bool(framing)
        if not request.content.is_eof() and (
            status in UNWANTED_BODY or not is_body_coming(request)
        ):
            keeps_alive = False
        if not keeps_alive:
            framing += "Connection: close\r\n"
        elif request.version < HttpVersion11:
            framing += "Connection: keep-alive\r\n"
        head = build_reply_head(status, self._extra_headers, headers, framing)
        self.started = True
        self.response = KEPT if keeps_alive else LAST
        return head

    def _leave_body(self) -> None:
        """Take no more of the request's body in, where the connection ends with this answer."""
        if self.response is None or self.response.keep_alive:
            return
        connection, content = self._request.protocol, self._request.content
        # What still comes is dropped unparsed. aiohttp waits for it a while: closing on unread
        # bytes would reset the connection, and take the answer away from a client that sends.
        connection.close()
        if content.exception() is not None:
            content.feed_eof()  # waiting for a broken body would only be told as our fault
        transport = self._transport
        if transport is not None and not transport.is_closing() and transport.can_write_eof():
            with suppress(OSError):  # the client has reset the connection meanwhile
                transport.write_eof()

    def _write(self, data: bytes) -> None:
        # A client that has left gets nothing; its request's task is about to be cancelled.
        transport = self._transport
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
