"""aiohttp's connection, and what it does not tell or do by itself."""

import socket
from collections.abc import Callable

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

STREAM_BUFFER_BYTES = 64 * 1024
"""What the kernel is asked to hold of a stream that we do not read; it allows itself twice as
much, and megabytes if it is not asked. One read takes all of it at once, and so it is also what
a paused stream may still push."""
WHOLE_BUFFER_BYTES = 4 * 1024 * 1024
"""The same for an answer that is read as fast as it comes: with little room a large one from
far away would wait for each of its windows to be acknowledged."""


class ProviderConnection(ResponseHandler):
    """aiohttp's connection, which also tells when a read has been parsed."""

    was_pooled = False
    """It has waited in the pool since its last request, and may have died there unnoticed."""
    has_answered = False
    """A byte has come since the request was written: it must not be sent a second time."""
    _is_for_streams: bool | None = None
    on_read: Callable[[], None] | None = None
    """Called after each read: everything that it held has been pushed by then."""

    def data_received(self, data: bytes) -> None:
        """Called by the loop with what has come."""
        self.has_answered = True
        super().data_received(data)
        if self.on_read is not None:
            self.on_read()

    def size_buffer(self, is_for_stream: bool) -> None:
        """Have the kernel hold little of a stream and much of any other answer."""
        if self._is_for_streams is is_for_stream or self.transport is None:
            return
        if is_for_stream or self._is_for_streams:  # by itself it holds much
            size_bytes = STREAM_BUFFER_BYTES if is_for_stream else WHOLE_BUFFER_BYTES
            sock = self.transport.get_extra_info("socket")
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes)
            except OSError:
                return  # it has just closed, which writing to it will tell
        self._is_for_streams = is_for_stream

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
