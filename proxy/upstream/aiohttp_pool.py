"""Connections to one provider, kept by aiohttp's connector; no bytes are read or written here."""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from proxy.domain.catalog import Provider
from proxy.domain.errors import UpstreamAddressRefused
from proxy.domain.exchange import OutboundRequest
from proxy.domain.settings import Clocks, PoolLimits
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.deadline import Deadline
from proxy.upstream.guard import Guard
from proxy.upstream.resolver import Resolver

POOL_WAIT_S = 2.0
"""How long a request waits for a connection where `max_connections` are in use."""

NEXT_ADDRESS_S = 0.25
"""How long an address may be silent before the next is dialled beside it, of the other family
first; RFC 8305 ("happy eyeballs") calls it the connection attempt delay."""

# Our own clocks run while aiohttp dials: its own begin anew with each address.
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)

STREAM_BUFFER_BYTES = 64 * 1024
"""What the kernel is asked to hold of a stream that we do not read; it allows itself twice as
much, and megabytes if it is not asked. One read takes all of it at once, and so it is also what
a paused stream may still push."""
WHOLE_BUFFER_BYTES = 4 * 1024 * 1024
"""The same for an answer that is read as fast as it comes: with little room a large one from
far away would wait for each of its windows to be acknowledged."""


class PoolFull(aiohttp.ClientError):
    """No connection became free within POOL_WAIT_S."""


class DialTimeout(aiohttp.ClientError):
    """Connecting or the TLS handshake took too long; `code` says which."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class AddressRefused(OSError):
    """The guard let an address not pass; an OSError, so that the next address is tried."""

    def __init__(self, detail: str | None) -> None:
        # Always the same words: aiohttp raises the first as it is if all that failed read alike.
        super().__init__("the address is not one of this provider's")
        self.detail = detail


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


class Pool:
    """Gives out connections: pooled ones, or on request one that is certainly new."""

    def __init__(
        self, provider: Provider, resolver: Resolver, shared_cap: ConnectionCap | None
    ) -> None:
        limit = provider.pool.max_connections
        own_cap = None if limit is None else ConnectionCap(limit)
        # The provider's own first: who waits for it must not hold what others could use.
        self._caps = tuple(cap for cap in (own_cap, shared_cap) if cap is not None)
        guard = Guard(provider.base_url, provider.private_networks)
        self._pooled = _Connector(provider.pool, resolver, guard, self._caps)
        self._targets: dict[tuple[str, str], tuple[aiohttp.ClientRequest, bytes]] = {}

    @property
    def has_room(self) -> bool:
        """Every cap has a slot: idle connections are counted by none."""
        # A generator in all() would be made anew for each attempt.
        for cap in self._caps:  # noqa: SIM110
            if not cap.has_room:
                return False
        return True

    async def connect(self, request: OutboundRequest) -> tuple[Connection, bytes]:
        """
        Return a connection to the request's origin, and the first lines of its head.

        Raises:
            PoolFull: no connection became free in time.
            DialTimeout: dialling took too long.
            aiohttp.ClientError: no connection could be made.
            ResolutionFailed: the host has no address.
        """
        target, first_lines = self._find_target(request)
        while True:
            if self._caps:
                connection = await self._give(target, request.clocks, is_new=False)
            else:
                connection = await self._pooled.give(target, request.clocks, is_new=False)
            protocol = connection.protocol
            if protocol is None or not protocol.should_close:
                return connection, first_lines
            # Bytes came on it while nobody had asked: what answer they belong to is unknown.
            connection.close()

    async def connect_anew(self, request: OutboundRequest) -> tuple[Connection, bytes]:
        """Return a connection that nobody has used before; raises as `connect` does."""
        target, first_lines = self._find_target(request)
        return await self._give(target, request.clocks, is_new=True), first_lines

    def retire(self) -> None:
        """Close the connections that are idle, and every other as soon as it would be."""
        self._pooled.retire()

    async def close(self) -> None:
        """Close every connection."""
        await self._pooled.close()

    async def _give(
        self, target: aiohttp.ClientRequest, clocks: Clocks, *, is_new: bool
    ) -> Connection:
        """Return a connection once every cap has a slot for it."""
        until_s = asyncio.get_running_loop().time() + POOL_WAIT_S
        taken: list[ConnectionCap] = []
        try:
            for cap in self._caps:
                await cap.take(until_s)
                taken.append(cap)
            # From here on the connection gives its slots back itself, when it is released.
            return await self._pooled.give(target, clocks, is_new=is_new)
        except BaseException as error:  # also a cancelled request gives its slots back
            for cap in taken:
                cap.give_back()
            if isinstance(error, TimeoutError) and len(taken) < len(self._caps):
                raise PoolFull from None
            raise

    def _find_target(self, request: OutboundRequest) -> tuple[aiohttp.ClientRequest, bytes]:
        """Return what tells aiohttp where to connect, and the head's lines that never change."""
        key = (request.method, request.url)
        target = self._targets.get(key)
        if target is None:
            try:
                url = URL(request.url, encoded=True)
                asked = aiohttp.ClientRequest(request.method, url)
                host = asked.headers["Host"]
                lines = f"{request.method} {url.raw_path_qs} HTTP/1.1\r\nHost: {host}\r\n"
                target = self._targets[key] = (asked, lines.encode("ascii"))
            except ValueError as error:
                raise aiohttp.InvalidURL(request.url) from error
        return target


class _Connector(aiohttp.TCPConnector):
    """aiohttp's pool of idle connections; names, dials, clocks and limits are our own."""

    def __init__(
        self,
        limits: PoolLimits,
        resolver: Resolver,
        guard: Guard,
        caps: tuple[ConnectionCap, ...],
    ) -> None:
        super().__init__(
            limit=0,
            keepalive_timeout=limits.keepalive_s,
            resolver=aiohttp.ThreadedResolver(),  # never asked; the default may open sockets
            socket_factory=self._open_socket,
            happy_eyeballs_delay=NEXT_ADDRESS_S,
        )
        self._max_idle = limits.max_keepalive_connections
        self._names = resolver
        self._guard = guard
        self._caps = caps
        self._factory: Any = partial(ProviderConnection, loop=self._loop)

    async def give(
        self, target: aiohttp.ClientRequest, clocks: Clocks, *, is_new: bool
    ) -> Connection:
        """Return an idle connection, or dial if there is none or a new one is asked for."""
        key = target.connection_key
        if not is_new and (idle := await self._get(key, [])) is not None:
            return idle
        protocol = await self._dial(target, clocks)
        if self._closed:
            protocol.close()
            raise aiohttp.ClientConnectionError("the transport is closed")
        self._acquired.add(protocol)
        return Connection(self, key, protocol, self._loop)

    def retire(self) -> None:
        """Keep no idle connection from now on."""
        self._max_idle = 0
        while self._conns:
            _, idle = self._conns.popitem()
            for protocol, _ in idle:
                protocol.close()

    async def _dial(self, target: aiohttp.ClientRequest, clocks: Clocks) -> ResponseHandler:
        host = target.url.raw_host or ""
        addresses = await self._names.resolve(host, target.port or 0)
        tls = self._get_ssl_context(target)
        clock = Deadline(clocks.connect_s)
        code = "upstream_connect_timeout"

        def begin_tls() -> ProviderConnection:
            # aiohttp asks for a protocol once TCP has connected, and then shakes hands.
            nonlocal code
            code = "upstream_tls_timeout"
            clock.restart(clocks.tls_s)
            protocol: ProviderConnection = self._factory()
            return protocol

        try:
            with clock:
                _, protocol = await self._wrap_create_connection(
                    self._factory if tls is None else begin_tls,
                    addr_infos=addresses,
                    req=target,
                    timeout=_NO_TIMEOUT,
                    ssl=tls,
                    # Certificates name hosts without the dot that ends a full name.
                    server_hostname=None if tls is None else host.removesuffix("."),
                )
        except TimeoutError:
            raise DialTimeout(code) from None
        except aiohttp.ClientConnectorError as error:
            if code == "upstream_connect_timeout":
                raise
            # Connected, and then hung up on: that is how some servers refuse a handshake.
            raise aiohttp.ClientConnectorSSLError(target.connection_key, error.os_error) from error
        return protocol

    def _open_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Make the socket of one dial; every connection to a provider comes through here."""
        family, kind, protocol, _, address = info
        try:
            self._guard.check(address)
        except UpstreamAddressRefused as error:
            raise AddressRefused(error.detail) from error
        return socket.socket(family, kind, protocol)

    def _release(self, key: Any, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        transport = protocol.transport
        if transport is not None and transport.get_write_buffer_size():
            # A request that nobody waits for any more: close() would go on sending it, for as
            # long as the provider likes.
            transport.abort()
            should_close = True
        if self._max_idle is not None and len(self._conns.get(key, ())) >= self._max_idle:
            should_close = True
        if isinstance(protocol, ProviderConnection) and not should_close:
            protocol.was_pooled = True
        super()._release(key, protocol, should_close=should_close)
        for cap in self._caps:
            cap.give_back()
