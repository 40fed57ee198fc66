"""
A tunnel through an outgoing proxy: CONNECT, and then TLS with the provider inside of it.

aiohttp can do this itself, but only with its client session: the proxy's answer there is a
response like any other, and the clocks are others than ours.
"""

import asyncio
import re
from typing import cast

import aiohttp

MAX_HEAD_BYTES = 16 * 1024
"""What a proxy may say before its tunnel is open."""
THE_PROXY = "the outgoing proxy"
"""What it is called in a log; never by its URL, which may hold a password."""
_HAS_CLOSED = "closed the connection"
_HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\r\n")


class ProxyRefused(aiohttp.ClientError):
    """The proxy let nothing through; `detail` says what it answered, in words of our own."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class TunnelRequest(asyncio.Protocol):
    """Asks for a tunnel on a new connection to a proxy; TLS takes the connection over then."""

    def __init__(self) -> None:
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop: the proxy has been reached."""
        self._transport = cast(asyncio.Transport, transport)

    async def ask(self, request: bytes) -> asyncio.Transport:
        """
        Send a CONNECT, and return the connection when it has become a tunnel.

        Nothing is read of what comes through the tunnel. Whatever goes wrong, and also a
        cancellation, closes the connection.

        Raises:
            ProxyRefused: the proxy has answered otherwise, or not at all.
        """
        transport = self._transport
        if transport is None:
            raise ProxyRefused(f"{THE_PROXY} {_HAS_CLOSED}")
        try:
            transport.write(request)
            await self._answered
        except BaseException:  # also a cancelled request leaves no connection
            transport.abort()
            raise
        return transport

    def data_received(self, data: bytes) -> None:
        """Called by the loop with what the proxy has sent."""
        if self._answered.done():
            return
        head = self._head
        head += data
        while (end := head.find(_HEAD_END)) >= 0:
            status = _STATUS.match(head)
            if status is None:
                self._refuse("answered with something that is not HTTP/1.1")
            elif status[1].startswith(b"1") and status[1] != b"101":
                del head[: end + len(_HEAD_END)]  # an interim answer: the real one follows
                continue
            elif not status[1].startswith(b"2"):
                self._refuse(f"answered {status[1].decode('ascii')} to CONNECT")
            elif len(head) > end + len(_HEAD_END):
                # A server of TLS never speaks first: these bytes are not the provider's.
                self._refuse("sent more than the head of its answer to CONNECT")
            elif self._transport is not None:
                # What comes from here on is for TLS to read.
                self._transport.pause_reading()
                self._answered.set_result(None)
            return
        if len(head) > MAX_HEAD_BYTES:
            self._refuse("answered CONNECT with a head without an end")

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: the connection has gone."""
        self._transport = None
        self._refuse(_HAS_CLOSED)

    def _refuse(self, what: str) -> None:
        if not self._answered.done():
            self._answered.set_exception(ProxyRefused(f"{THE_PROXY} {what}"))
            self._answered.exception()  # if nobody waits any more, nobody needs to be told
