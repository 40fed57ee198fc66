"""The sockets that clients connect to: opened once here, and inherited by every worker."""

import os
import socket
from collections.abc import Sequence

from proxy.control.handover import BACKLOG


def open_listening(addresses: Sequence[tuple[str, int]]) -> list[socket.socket]:
    """
    Return a listening socket for each address, several where a name has several.

    Clients may connect from now on; they wait until a worker accepts them.

    Raises:
        OSError: an address cannot be listened on; the text says how to mend that.
    """
    opened: list[socket.socket] = []
    try:
        for host, port in addresses:
            opened += _open_one(host, port)
    except OSError:
        for sock in opened:
            sock.close()
        raise
    return opened


def describe(listening: Sequence[socket.socket]) -> tuple[str, ...]:
    """Return the URLs of listening sockets, and the paths of those that are in the file system."""
    return tuple(_describe_one(sock) for sock in listening)


def _open_one(host: str, port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            # `localhost` with port 0 is one port on both of its addresses.
            number = sockets[0].getsockname()[1] if sockets and port == 0 else address[1]
            sockets.append(_listen(family, kind, protocol, (address[0], number, *address[2:])))
    except OSError as error:
        for sock in sockets:
            sock.close()
        # Names that do not resolve have an errno of their own kind, below zero.
        is_system = error.errno is not None and error.errno > 0
        reason = os.strerror(error.errno or 0) if is_system else error.strerror
        raise OSError(
            f"{host}:{port} cannot be listened on: {reason}. Stop what uses it, or choose "
            "another address with --host and --port."
        ) from error
    return sockets


def _listen(
    family: socket.AddressFamily,
    kind: socket.SocketKind,
    protocol: int,
    address: tuple[object, ...],
) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Else `::` would take the IPv4 address as well, and fail where that is listened on.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _describe_one(sock: socket.socket) -> str:
    address = sock.getsockname()
    if not isinstance(address, tuple):
        return f"unix:{address}"
    host, port = address[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
