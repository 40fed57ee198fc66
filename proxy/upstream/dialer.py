"""Connections to one provider as they are made: name, guard, TCP, TLS, each under its clock."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import aiohappyeyeballs

from proxy.domain.errors import UpstreamAddressRefused, UpstreamTimeout
from proxy.domain.settings import Clocks
from proxy.upstream.deadline import Deadline
from proxy.upstream.dial_faults import (
    AddressRefused,
    describe_dial,
    describe_handshake,
    describe_lookup,
)
from proxy.upstream.guard import Guard
from proxy.upstream.origin import Origin
from proxy.upstream.resolver import AddressInfo, ResolutionFailed, Resolver
from proxy.upstream.tls import Trust, shake_hands

NEXT_ADDRESS_S = 0.25
"""How long an address may be silent before the next is dialled beside it, of the other family
first; RFC 8305 ("happy eyeballs") calls it the connection attempt delay."""

_Protocol = TypeVar("_Protocol", bound=asyncio.Protocol)


class Dialer:
    """Makes connections; every address is shown to the guard in the moment it is dialled."""

    def __init__(self, resolver: Resolver, guard: Guard, ca_file: str | None = None) -> None:
        self._resolver = resolver
        self._guard = guard
        self._trust = Trust(ca_file)

    async def dial(
        self, origin: Origin, clocks: Clocks, make_protocol: Callable[[], _Protocol]
    ) -> _Protocol:
        """
        Return the protocol of a new connection, which is ready for its first request.

        Args:
            origin: where to; an answer for its name may be up to `REUSE_S` old, longer while the
                name servers are silent.
            clocks: `connect_s` for all addresses together, `tls_s` for the handshake.
            make_protocol: called once TCP has connected. With TLS what it makes is told of a
                connection twice: of TCP's, and of the one over it that is to be used.

        Raises:
            UpstreamError: no connection; see `Transport.open`. Nothing is left open.
        """
        context = self._trust.find_context() if origin.scheme == "https" else None
        try:
            addresses = await self._resolver.resolve(origin.host, origin.port)
        except ResolutionFailed as error:
            raise describe_lookup(error) from error
        sock = await self._connect(addresses, clocks.connect_s)
        loop = asyncio.get_running_loop()
        try:
            transport, protocol = await loop.create_connection(make_protocol, sock=sock)
        except BaseException:  # also cancelled, it leaves no descriptor
            sock.close()
            raise
        if context is not None:
            await _secure(origin, clocks.tls_s, context, transport, protocol)
        return protocol

    async def _connect(self, addresses: list[AddressInfo], within_s: float) -> socket.socket:
        try:
            with Deadline(within_s):
                return await aiohappyeyeballs.start_connection(
                    addresses,
                    happy_eyeballs_delay=NEXT_ADDRESS_S,
                    socket_factory=partial(open_guarded_socket, self._guard),
                )
        except TimeoutError as error:
            if error.errno is not None:  # the kernel has given up before us
                raise describe_dial(error) from error
            raise UpstreamTimeout(code="upstream_connect_timeout") from None
        except OSError as error:
            raise describe_dial(error) from error
        except RuntimeError as error:
            # uvloop's word for a socket that was closed while it was connecting.
            raise describe_dial(OSError(str(error))) from error


def open_guarded_socket(guard: Guard, info: AddressInfo) -> socket.socket:
    """
    Make the socket of one dial; every connection to a provider comes through here.

    Raises:
        AddressRefused: the guard lets the address not pass.
    """
    family, kind, protocol, _, address = info
    try:
        guard.check(address)
    except UpstreamAddressRefused as error:
        raise AddressRefused(error.detail) from error
    return socket.socket(family, kind, protocol)


async def _secure(
    origin: Origin,
    within_s: float,
    context: ssl.SSLContext,
    tcp: asyncio.Transport,
    protocol: asyncio.Protocol,
) -> None:
    try:
        with Deadline(within_s):
            secured = await shake_hands(tcp, protocol, context, origin.host, within_s)
    except BaseException as error:  # also cancelled, it is told that it has no connection
        protocol.connection_lost(None)
        if isinstance(error, TimeoutError):
            raise UpstreamTimeout(code="upstream_tls_timeout") from None
        if isinstance(error, OSError):
            # Connected, and then hung up on: that is how some servers refuse a handshake.
            raise describe_handshake(error) from error
        raise
    protocol.connection_made(secured)
