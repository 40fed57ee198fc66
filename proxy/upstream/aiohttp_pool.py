"""Connections to one provider, kept by aiohttp's connector; no bytes are read or written here."""

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from proxy.domain.catalog import Provider
from proxy.domain.exchange import OutboundRequest
from proxy.domain.settings import Clocks
from proxy.upstream.aiohttp_connection import ProviderConnection
from proxy.upstream.aiohttp_tunnel import THE_PROXY, TunnelRequest
from proxy.upstream.connection_cap import ConnectionCap, ConnectionCaps
from proxy.upstream.deadline import Deadline
from proxy.upstream.dialer import NEXT_ADDRESS_S, open_guarded_socket
from proxy.upstream.guard import Guard
from proxy.upstream.origin import MAX_TARGETS
from proxy.upstream.outgoing_proxy import OutgoingProxy, check_target, parse_proxy
from proxy.upstream.resolver import AddressInfo, ResolutionFailed, Resolver
from proxy.upstream.tls import Trust, count_unsent_bytes, shake_hands

_Protocol = TypeVar("_Protocol", bound=asyncio.Protocol)
# Our own clocks run while aiohttp dials: its own begin anew with each address.
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)


class DialTimeout(aiohttp.ClientError):
    """Connecting or the TLS handshake took too long; `code` says which."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Pool:
    """Gives out connections: pooled ones, or on request one that is certainly new."""

    def __init__(
        self, provider: Provider, resolver: Resolver, shared_cap: ConnectionCap | None
    ) -> None:
        limit = provider.pool.max_connections
        own_cap = None if limit is None else ConnectionCap(limit)
        self._caps = ConnectionCaps(own_cap, shared_cap)
        self._is_capped = own_cap is not None or shared_cap is not None
        self._guard = Guard(provider.base_url, provider.private_networks)
        self._proxy = None if provider.proxy is None else parse_proxy(provider.proxy.reveal())
        if self._proxy is None:
            self._pooled = _Connector(provider, resolver, self._guard, self._caps)
        else:
            # What is dialled is the proxy, and nobody else.
            guard = Guard(self._proxy.url, provider.private_networks)
            self._pooled = _ProxiedConnector(provider, resolver, guard, self._caps, self._proxy)
        self._targets: dict[tuple[str, str], tuple[aiohttp.ClientRequest, bytes]] = {}

    @property
    def has_room(self) -> bool:
        """Every cap has a slot: idle connections are counted by none."""
        return self._caps.has_room

    def is_read_by_proxy(self, request: OutboundRequest) -> bool:
        """Tell whether a proxy reads a request, and may answer itself; in a tunnel it cannot."""
        return self._proxy is not None and not self._find_target(request)[0].is_ssl()

    async def connect(self, request: OutboundRequest) -> tuple[Connection, bytes]:
        """
        Return a connection to the request's origin, and the first lines of its head.

        Raises:
            UpstreamPoolFull: no connection became free in time.
            UpstreamTlsError: the provider's `ca_file` cannot be read.
            DialTimeout: dialling took too long.
            aiohttp.ClientError: no connection could be made.
            ResolutionFailed: the host has no address.
        """
        target, first_lines = self._find_target(request)
        while True:
            if self._is_capped:
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
        await self._caps.take()
        try:
            # From here on the connection gives its slots back itself, when it is released.
            return await self._pooled.give(target, clocks, is_new=is_new)
        except BaseException:  # also a cancelled request gives its slots back
            self._caps.give_back()
            raise

    def _find_target(self, request: OutboundRequest) -> tuple[aiohttp.ClientRequest, bytes]:
        """Return what tells aiohttp where to connect, and the head's lines that never change."""
        key = (request.method, request.url)
        target = self._targets.get(key)
        if target is None:
            try:
                url = URL(request.url, encoded=True)
                asked = aiohttp.ClientRequest(request.method, url)
                host, path, more = asked.headers["Host"], url.raw_path_qs, ""
                if self._proxy is not None:
                    check_target(url.raw_host or "", self._guard)
                    if not asked.is_ssl():
                        # The proxy itself reads this request, and passes it on.
                        path, more = f"http://{host}{path}", self._proxy.build_credentials()
                lines = f"{request.method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}"
                target = (asked, lines.encode("ascii"))
            except ValueError as error:
                raise aiohttp.InvalidURL(request.url) from error
            if len(self._targets) >= MAX_TARGETS:
                self._targets.clear()
            self._targets[key] = target
        return target


class _Connector(aiohttp.TCPConnector):
    """aiohttp's pool of idle connections; names, dials, clocks and limits are our own."""

    def __init__(
        self, provider: Provider, resolver: Resolver, guard: Guard, caps: ConnectionCaps
    ) -> None:
        super().__init__(
            limit=0,
            keepalive_timeout=provider.pool.keepalive_s,
            resolver=aiohttp.ThreadedResolver(),  # never asked; the default may open sockets
            socket_factory=partial(open_guarded_socket, guard),
            happy_eyeballs_delay=NEXT_ADDRESS_S,
        )
        self._max_idle = provider.pool.max_keepalive_connections
        self._trust = Trust(provider.ca_file)
        self._names = resolver
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
        tls = self._find_context(target)
        addresses = await self._names.resolve(target.url.raw_host or "", target.port or 0)
        make_protocol = self._factory if tls is None else asyncio.Protocol
        try:
            with Deadline(clocks.connect_s):
                tcp, protocol = await self._wrap_create_connection(
                    make_protocol, addr_infos=addresses, req=target, timeout=_NO_TIMEOUT
                )
        except TimeoutError:
            raise DialTimeout("upstream_connect_timeout") from None
        return protocol if tls is None else await self._secure(tcp, target, tls, clocks)

    async def _secure(
        self,
        tcp: asyncio.Transport,
        target: aiohttp.ClientRequest,
        tls: ssl.SSLContext,
        clocks: Clocks,
    ) -> ResponseHandler:
        """Return a connection over TLS, over one to the target that nothing was said on yet."""
        protocol: ProviderConnection = self._factory()
        try:
            with Deadline(clocks.tls_s):
                host = target.url.raw_host or ""
                secured = await shake_hands(tcp, protocol, tls, host, clocks.tls_s)
        except TimeoutError:
            raise DialTimeout("upstream_tls_timeout") from None
        except OSError as error:
            # Connected, and then hung up on: that is how some servers refuse a handshake.
            raise aiohttp.ClientConnectorSSLError(target.connection_key, error) from error
        protocol.tcp = tcp
        protocol.connection_made(secured)
        return protocol

    def _find_context(self, target: aiohttp.ClientRequest) -> ssl.SSLContext | None:
        return self._trust.find_context() if target.is_ssl() else None

    def _release(self, key: Any, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        transport = protocol.transport
        tcp = protocol.tcp if isinstance(protocol, ProviderConnection) else None
        if transport is not None and count_unsent_bytes(transport, tcp):
            # A request that nobody waits for any more: close() would go on sending it, for as
            # long as the provider likes.
            transport.abort()
            should_close = True
        if self._max_idle is not None and len(self._conns.get(key, ())) >= self._max_idle:
            should_close = True
        if isinstance(protocol, ProviderConnection) and not should_close:
            protocol.was_pooled = True
        super()._release(key, protocol, should_close=should_close)
        self._caps.give_back()


class _ProxiedConnector(_Connector):
    """The same for a provider behind an outgoing proxy: no other address is dialled."""

    def __init__(
        self,
        provider: Provider,
        resolver: Resolver,
        guard: Guard,
        caps: ConnectionCaps,
        proxy: OutgoingProxy,
    ) -> None:
        super().__init__(provider, resolver, guard, caps)
        self._proxy = proxy

    async def _dial(self, target: aiohttp.ClientRequest, clocks: Clocks) -> ResponseHandler:
        tls = self._find_context(target)
        try:
            addresses = await self._names.resolve(self._proxy.host, self._proxy.port)
        except ResolutionFailed as error:
            raise type(error)(f"{THE_PROXY}: {error}") from error
        host, port = target.url.raw_host or "", target.port or 0
        try:
            # Two connections have to open: ours to the proxy, and the proxy's own.
            with Deadline(clocks.connect_s):
                if tls is None:
                    return await self._reach(addresses, target, self._factory)
                request = await self._reach(addresses, target, TunnelRequest)
                tunnel = await request.ask(self._proxy.build_connect(host, port))
        except TimeoutError:
            raise DialTimeout("upstream_connect_timeout") from None
        return await self._secure(tunnel, target, tls, clocks)

    async def _reach(
        self,
        addresses: list[AddressInfo],
        target: aiohttp.ClientRequest,
        make_protocol: Callable[[], _Protocol],
    ) -> _Protocol:
        """Return a new connection to the proxy, over which nothing was said yet."""
        _, protocol = await self._wrap_create_connection(
            make_protocol,
            addr_infos=addresses,
            req=target,
            timeout=_NO_TIMEOUT,
            client_error=aiohttp.ClientProxyConnectionError,
        )
        return cast(_Protocol, protocol)
