"""One connection to an origin: a request goes out, its response comes in, then the next."""

import asyncio
from typing import Protocol, cast

from proxy.domain.errors import ProxyError, UpstreamDisconnected, UpstreamProtocolError
from proxy.domain.exchange import OutboundRequest
from proxy.upstream.base import BodySink
from proxy.upstream.http_answer import Answer
from proxy.upstream.http_response import ResponseParser
from proxy.upstream.origin import Origin
from proxy.upstream.receive_buffer import size_receive_buffer
from proxy.upstream.tls import count_unsent_bytes

_JOINED_BODY_BYTES = 64 * 1024


class Owner(Protocol):
    """Who keeps connections that are free."""

    def take_back(self, connection: "HttpConnection", *, is_reusable: bool) -> None:
        """Be told, once for each request, that a connection is free or closed."""

    def forget(self, connection: "HttpConnection") -> None:
        """Be told that a connection which was free has closed."""


class HttpConnection(asyncio.Protocol):
    """
    A connection that has at most one request under way, and at most one response.

    Nothing that is unclear goes on: bytes that nobody asked for, a response above our limits, a
    request that its response has overtaken, and a caller that has left, all close it.
    """

    __slots__ = (
        "_answer",
        "_drained",
        "_is_deaf",
        "_is_for_streams",
        "_is_held",
        "_loop",
        "_owner",
        "_parser",
        "_tcp",
        "_transport",
        "free_since_s",
        "has_answered",
        "is_uploading",
        "origin",
        "was_pooled",
    )

    def __init__(self, origin: Origin, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.origin = origin
        self.free_since_s = 0.0
        self.was_pooled = False
        """It has waited in the pool since its last request, and may have died there unnoticed."""
        self.has_answered = False
        """A byte has come since the request was sent: it must not be sent a second time."""
        self._owner = owner
        self._loop = loop
        self._parser = ResponseParser()
        self._answer: Answer | None = None
        self._transport: asyncio.Transport | None = None
        self._tcp: asyncio.Transport | None = None
        self._is_deaf = False
        self._is_for_streams: bool | None = None
        self.is_uploading = False
        """The body of its request is not sent whole: nothing may follow, whatever is answered."""
        self._is_held = False
        self._drained: asyncio.Future[None] | None = None

    def send(self, head: bytes, request: OutboundRequest, sink: BodySink) -> Answer:
        """Send a request, whose head is as it travels; what becomes of it is the answer's."""
        answer = self._answer = Answer(self, sink, self._loop)
        transport = self._transport
        if transport is None:
            self._fail(UpstreamDisconnected())
            return answer
        self.has_answered = False
        self._is_for_streams = size_receive_buffer(transport, self._is_for_streams, request.streams)
        self._parser.begin()
        body = request.body
        if len(body) <= _JOINED_BODY_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        return answer

    async def write(self, data: bytes) -> None:
        """Send bytes of a body that goes out while it comes in (see `upload.Outlet`)."""
        if self._transport is None:
            raise UpstreamDisconnected
        self._transport.write(data)
        if self._is_held:
            self._drained = self._loop.create_future()
            await self._drained

    def disconnect(self) -> None:
        """Close it now; a response under way fails."""
        self._fail(UpstreamDisconnected())

    # For the answer.

    def listen(self) -> None:
        """Go on reading."""
        if self._is_deaf and self._transport is not None:
            self._is_deaf = False
            self._transport.resume_reading()

    def stop_listening(self) -> None:
        """Read no more."""
        if not self._is_deaf and self._transport is not None:
            self._is_deaf = True
            self._transport.pause_reading()

    def abort(self) -> None:
        """Close it at once; nobody waits for its response any more."""
        transport, self._transport = self._transport, None
        answer, self._answer = self._answer, None
        self.resume_writing()
        if transport is not None:
            self._cut(transport)
        if answer is not None:
            self._owner.take_back(self, is_reusable=False)
        elif transport is not None:
            self._owner.forget(self)

    # For the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note that it is open; over TLS once more, with what is to be used."""
        self._transport = cast("asyncio.Transport", transport)
        if self._tcp is None:
            self._tcp = self._transport

    def data_received(self, data: bytes) -> None:
        """Read what has come, and push it; at the end of a response be free for the next."""
        answer = self._answer
        if answer is None:
            # Nobody has asked: what answer this belongs to is unknown.
            self.abort()
            return
        self.has_answered = True
        parser = self._parser
        try:
            parser.feed(data)
        except UpstreamProtocolError as error:
            # Another one: the traceback of this holds all that is here.
            self._fail(UpstreamProtocolError(detail=error.detail))
            return
        if parser.head is None:
            return
        if not answer.has_head:
            answer.take_head(parser.head)
        chunks = parser.chunks
        if parser.is_complete:
            self._complete(answer, chunks)
        elif chunks:
            parser.chunks = []
            answer.take(chunks)

    def pause_writing(self) -> None:
        """Take note that the peer takes less than it is sent."""
        self._is_held = True

    def resume_writing(self) -> None:
        """Take note that more may be sent, or that it is of no use any more."""
        self._is_held = False
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def eof_received(self) -> bool:
        """Take note that nothing more will come; the loop then closes the connection."""
        answer = self._answer
        if answer is not None and self._parser.feed_end():
            self._complete(answer, self._parser.chunks)
        else:
            self.disconnect()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that it has ended, by either side."""
        self._fail(UpstreamDisconnected())

    # Inside.

    def _complete(self, answer: Answer, chunks: list[bytes]) -> None:
        """Be free again, or closed, before anybody is told: they may ask at once."""
        parser, transport = self._parser, self._transport
        self._answer = None
        parser.chunks = []
        is_reusable = (
            transport is not None
            and parser.may_follow
            and not parser.has_surplus
            and not self.is_uploading
            # Else the answer came before its request was sent: what is left of that must not go
            # out in front of another.
            and not count_unsent_bytes(transport, self._tcp)
        )
        if is_reusable:
            self.listen()
        elif transport is not None:
            self._transport = None
            self._cut(transport)
        self._owner.take_back(self, is_reusable=is_reusable)
        answer.end(chunks)

    def _fail(self, error: ProxyError) -> None:
        """Close, and have the response under way fail behind what of it is good."""
        answer = self._answer
        chunks, self._parser.chunks = self._parser.chunks, []
        self.abort()
        if answer is not None:
            answer.end(chunks, error)

    def _cut(self, transport: asyncio.Transport) -> None:
        """
        Close it for good, in the next turn of the loop.

        Not by close(): that would go on sending a request that nobody waits for, and over TLS
        wait for a farewell. And not now: uvloop, which may be in the middle of a read over TLS,
        would write to what has been closed under its hands.
        """
        self._loop.call_soon(transport.abort)
        self._tcp = None
        self._parser.close()
