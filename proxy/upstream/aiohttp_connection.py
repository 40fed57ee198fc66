"""aiohttp's connection, and what it does not tell or do by itself."""

import asyncio
from collections.abc import Callable

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from proxy.domain.errors import UpstreamDisconnected
from proxy.upstream.receive_buffer import size_receive_buffer


class ProviderConnection(ResponseHandler):
    """aiohttp's connection, which also tells when a read has been parsed."""

    was_pooled = False
    """It has waited in the pool since its last request, and may have died there unnoticed."""
    has_answered = False
    """A byte has come since the request was written: it must not be sent a second time."""
    tcp: asyncio.Transport | None = None
    """What TLS goes over, if it does."""
    _is_for_streams: bool | None = None
    on_read: Callable[[], None] | None = None
    """Called after each read: everything that it held has been pushed by then."""

    def data_received(self, data: bytes) -> None:
        """Called by the loop with what has come."""
        self.has_answered = True
        super().data_received(data)
        if self.on_read is not None:
            self.on_read()

    def close(self) -> None:
        """Close it, and drop an answer that nobody has read: it holds this connection, a ring."""
        super().close()
        self._buffer.clear()

    def abort(self) -> None:
        """Cut it off, and drop the same."""
        super().abort()
        self._buffer.clear()

    def size_buffer(self, is_for_stream: bool) -> None:
        """Have the kernel hold little of a stream and much of any other answer."""
        if self.transport is not None:
            self._is_for_streams = size_receive_buffer(
                self.transport, self._is_for_streams, is_for_stream
            )

    async def write(self, data: bytes) -> None:
        """Send bytes of a body that goes out while it comes in (see `upload.Outlet`)."""
        if self.transport is None:
            raise UpstreamDisconnected
        self.transport.write(data)
        try:
            await self._drain_helper()
        except (ConnectionError, aiohttp.ClientError):
            raise UpstreamDisconnected from None

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Take note that the connection broke, or that what came on it is not HTTP."""
        body = self._payload
        super().set_exception(exc, *cause)
        if body is not None and body.exception() is None and not body.is_eof():
            # aiohttp forgets the body whose chunks it could not read: it would never end.
            body.set_exception(exc)


def protocol_of(connection: Connection) -> ProviderConnection:
    """
    Return the connection that aiohttp has given out.

    Raises:
        aiohttp.ServerDisconnectedError: it was closed while it changed hands.
    """
    protocol = connection.protocol
    if not isinstance(protocol, ProviderConnection):
        raise aiohttp.ServerDisconnectedError
    return protocol
