"""Connections to one provider as they are made: name, guard, TCP, TLS, each under its clock."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

import aiohappyeyeballs

from proxy.domain.errors import UpstreamAddressRefused, UpstreamTimeout, UpstreamTlsError
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
from proxy.upstream.tls import build_context

NEXT_ADDRESS_S = 0.25
"""How long an address may be silent before the next is dialled beside it, of the other family
first; RFC 8305 ("happy eyeballs") calls it the connection attempt delay."""
_HANDSHAKE_S = 3600.0
"""asyncio's own clock over a handshake: never before ours."""

_Protocol = TypeVar("_Protocol", bound=asyncio.Protocol)


class Dialer:
    """Makes connections; every address is shown to the guard in the moment it is dialled."""

    def __init__(self, resolver: Resolver, guard: Guard, ca_file: str | None = None) -> None:
        self._resolver = resolver
        self._guard = guard
        self._ca_file = ca_file

    async def dial(
        self, origin: Origin, clocks: Clocks, make_protocol: Callable[[], _Protocol]
    ) -> _Protocol:
        """
        Return the protocol of a new connection, which is ready for its first request.

        Args:
            origin: where to; the name is resolved anew, at most some seconds ago.
            clocks: `connect_s` for all addresses together, `tls_s` for the handshake.
            make_protocol: called once TCP has connected.

        Raises:
            UpstreamError: no connection; see `Transport.open`. Nothing is left open.
        """
        context = self._find_context() if origin.scheme == "https" else None
        try:
            addresses = await self._resolver.resolve(origin.host, origin.port)
        except ResolutionFailed as error:
            raise describe_lookup(error) from error
        sock = await self._connect(addresses, clocks.connect_s)
        try:
            if context is None:
                _, protocol = await asyncio.get_running_loop().create_connection(
                    make_protocol, sock=sock
                )
                return protocol
            return await _shake_hands(origin, clocks.tls_s, context, make_protocol, sock)
        except BaseException:  # also cancelled, it leaves no descriptor
            sock.close()
            raise

    async def _connect(self, addresses: list[AddressInfo], within_s: float) -> socket.socket:
        try:
            with Deadline(within_s):
                return await aiohappyeyeballs.start_connection(
                    addresses,
                    happy_eyeballs_delay=NEXT_ADDRESS_S,
                    socket_factory=self._open_socket,
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

    def _open_socket(self, info: AddressInfo) -> socket.socket:
        """Make the socket of one dial; every connection to a provider comes through here."""
        family, kind, protocol, _, address = info
        try:
            self._guard.check(address)
        except UpstreamAddressRefused as error:
            raise AddressRefused(error.detail) from error
        return socket.socket(family, kind, protocol)

    def _find_context(self) -> ssl.SSLContext:
        try:
            return build_context(self._ca_file)
        except OSError as error:
            detail = "the provider's ca_file cannot be read, or holds no certificate"
            raise UpstreamTlsError(detail=detail) from error


async def _shake_hands(
    origin: Origin,
    within_s: float,
    context: ssl.SSLContext,
    make_protocol: Callable[[], _Protocol],
    sock: socket.socket,
) -> _Protocol:
    try:
        with Deadline(within_s):
            _, protocol = await asyncio.get_running_loop().create_connection(
                make_protocol,
                sock=sock,
                ssl=context,
                # Certificates name hosts without the dot that ends a full name.
                server_hostname=origin.host.removesuffix("."),
                ssl_handshake_timeout=_HANDSHAKE_S,
            )
            return protocol
    except TimeoutError:
        raise UpstreamTimeout(code="upstream_tls_timeout") from None
    except OSError as error:
        # Connected, and then hung up on: that is how some servers refuse a handshake.
        raise describe_handshake(error) from error
