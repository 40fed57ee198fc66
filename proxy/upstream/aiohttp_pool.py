"""Connections to one provider, kept by aiohttp's connector; no bytes are read or written here."""

import socket
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from proxy.domain.exchange import OutboundRequest
from proxy.domain.settings import Clocks, PoolLimits

POOL_WAIT_S = 2.0


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
        self._fresh: aiohttp.TCPConnector | None = None
        self._wait_s = POOL_WAIT_S if limits.max_connections else None
        self._targets: dict[str, tuple[aiohttp.ClientRequest, bytes]] = {}
        self._timeouts: dict[tuple[Clocks, str], aiohttp.ClientTimeout] = {}

    async def connect(self, request: OutboundRequest, dials: Dials) -> tuple[Connection, bytes]:
        """
        Return a connection to the request's origin, and the first lines of its head.

        Raises:
            aiohttp.ClientError: no connection could be made.
            TimeoutError: dialling, or waiting for a place in the pool, took too long.
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
            self._fresh = aiohttp.TCPConnector(
                force_close=True, limit=0, socket_factory=_open_socket
            )
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
            wait_s = None if self._wait_s is None else self._wait_s + dial_s
            timeout = aiohttp.ClientTimeout(total=None, connect=wait_s, sock_connect=dial_s)
            self._timeouts[request.clocks, scheme] = timeout
        return timeout


class _Connector(aiohttp.TCPConnector):
    """aiohttp's pool, which also knows how many idle connections are enough."""

    def __init__(self, limits: PoolLimits) -> None:
        super().__init__(
            limit=limits.max_connections or 0,
            keepalive_timeout=limits.keepalive_s,
            socket_factory=_open_socket,
        )
        self._max_idle = limits.max_keepalive_connections

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
