"""Connections to one provider, kept by aiohttp's connector; no bytes are read or written here."""

import asyncio
import socket
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from proxy.domain.exchange import OutboundRequest
from proxy.domain.settings import Clocks, PoolLimits

POOL_WAIT_S = 2.0
"""How long a request waits for a connection where `max_connections` are in use."""


class PoolFull(aiohttp.ClientError):
    """No connection became free within POOL_WAIT_S."""


class ProviderConnection(ResponseHandler):
    """aiohttp's connection, which also tells when a read has been parsed."""

    has_answered = False
    """A byte has come since the request was written: it must not be sent a second time."""
    on_read: Callable[[], None] | None = None
    """Called after each read: everything that it held has been pushed by then."""

    def data_received(self, data: bytes) -> None:
        """Called by the loop with what has come."""
        self.has_answered = True
        super().data_received(data)
        if self.on_read is not None:
            self.on_read()


class Dials:
    """How many sockets one request has made: none means that it was given a pooled one."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


_dials: ContextVar[Dials] = ContextVar("dials")


class Pool:
    """Gives out connections: pooled ones, or on request one that is certainly new."""

    def __init__(self, limits: PoolLimits) -> None:
        self._pooled = _Connector(limits)
        self._fresh: _Connector | None = None
        self._targets: dict[str, tuple[aiohttp.ClientRequest, bytes]] = {}
        self._timeouts: dict[tuple[Clocks, str], aiohttp.ClientTimeout] = {}

    async def connect(self, request: OutboundRequest, dials: Dials) -> tuple[Connection, bytes]:
        """
        Return a connection to the request's origin, and the first lines of its head.

        Raises:
            PoolFull: no connection became free in time.
            aiohttp.ClientError: no connection could be made.
            TimeoutError: dialling took too long.
        """
        _dials.set(dials)
        target, first_lines = self._find_target(request)
        timeout = self._find_timeout(request)
        while True:
            connection = await self._pooled.connect(target, [], timeout)
            protocol = connection.protocol
            if protocol is None or not protocol.should_close:
                return connection, first_lines
            # Bytes came on it while nobody had asked: what answer they belong to is unknown.
            connection.close()

    async def connect_anew(self, request: OutboundRequest) -> tuple[Connection, bytes]:
        """Return a connection that nobody has used before; raises as `connect` does."""
        if self._fresh is None:
            self._fresh = _Connector(PoolLimits(), force_close=True)
        target, first_lines = self._find_target(request)
        return await self._fresh.connect(target, [], self._find_timeout(request)), first_lines

    async def close(self) -> None:
        """Close every connection."""
        await self._pooled.close()
        if self._fresh is not None:
            await self._fresh.close()

    def _find_target(self, request: OutboundRequest) -> tuple[aiohttp.ClientRequest, bytes]:
        """Return what tells aiohttp where to connect, and the head's lines that never change."""
        target = self._targets.get(request.url)
        if target is None:
            url = URL(request.url, encoded=True)
            asked = aiohttp.ClientRequest(request.method, url)
            lines = (
                f"{request.method} {url.raw_path_qs} HTTP/1.1\r\nHost: {asked.headers['Host']}\r\n"
            )
            target = self._targets[request.url] = (asked, lines.encode("ascii"))
        return target

    def _find_timeout(self, request: OutboundRequest) -> aiohttp.ClientTimeout:
        scheme = request.url.partition(":")[0]
        timeout = self._timeouts.get((request.clocks, scheme))
        if timeout is None:
            clocks = request.clocks
            dial_s = clocks.connect_s + (clocks.tls_s if scheme == "https" else 0.0)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=dial_s)
            self._timeouts[request.clocks, scheme] = timeout
        return timeout


class _Connector(aiohttp.TCPConnector):
    """aiohttp's pool, with our connections, our waits, and a bound on idle ones."""

    def __init__(self, limits: PoolLimits, *, force_close: bool = False) -> None:
        super().__init__(
            limit=limits.max_connections or 0,
            keepalive_timeout=None if force_close else limits.keepalive_s,
            force_close=force_close,
            socket_factory=_open_socket,
        )
        self._max_idle = limits.max_keepalive_connections
        self._factory: Any = partial(ProviderConnection, loop=self._loop)

    async def _wait_for_available_connection(self, key: Any, traces: Any) -> None:
        try:
            async with asyncio.timeout(POOL_WAIT_S):
                await super()._wait_for_available_connection(key, traces)
        except TimeoutError:
            raise PoolFull from None

    def _release(self, key: Any, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        if self._max_idle is not None and len(self._conns.get(key, ())) >= self._max_idle:
            should_close = True
        super()._release(key, protocol, should_close=should_close)


def _open_socket(address: tuple[Any, ...]) -> socket.socket:
    """Make the socket of one dial; every connection to a provider comes through here."""
    dials = _dials.get(None)
    if dials is not None:
        dials.count += 1
    family, kind, protocol, *_ = address
    return socket.socket(family, kind, protocol)
