"""
What the kernel knows about a connection and its transport does not tell.

Linux fills `struct tcp_info`; elsewhere nothing is known, and callers do without.
"""

import asyncio
import fcntl
import socket
import struct
import termios

_TCP_INFO = getattr(socket, "TCP_INFO", None)
_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)
_GONE = (7, 8)
"""Its states CLOSE, after a reset, and CLOSE_WAIT."""
_ACKED_AT = 120
"""Where `tcpi_bytes_acked` stands in the structure: part of the kernel's interface since 4.1."""
_LINGER_NOT = struct.pack("ii", 1, 0)


def hold_little(transport: asyncio.BaseTransport, unsent_bytes: int) -> None:
    """
    Have the kernel take no more than about this much that it cannot send yet.

    By itself it takes megabytes for a client that does not read, which nobody sees in this
    process's memory: thousands of such clients would fill the machine's.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None and _NOTSENT_LOWAT is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, unsent_bytes)


def is_peer_gone(transport: asyncio.BaseTransport) -> bool:
    """
    Return whether the other side has closed or reset the connection, read to the end or not.

    A transport that does not read cannot see it: the end stands behind what is unread.
    """
    info = _read_info(transport, 1)
    return bool(info) and info[0] in _GONE


def has_unread(transport: asyncio.BaseTransport) -> bool:
    """Return whether something has come that nobody has read yet."""
    sock = transport.get_extra_info("socket")
    try:
        waiting = fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)) if sock else bytes(4)
    except (OSError, ValueError):
        return False  # closed meanwhile
    return any(waiting)


def read_acked_bytes(transport: asyncio.BaseTransport) -> int | None:
    """Return how many bytes the other side has taken so far, None where nobody knows."""
    info = _read_info(transport, _ACKED_AT + 8)
    if len(info) < _ACKED_AT + 8:
        return None
    acked: int = struct.unpack_from("=Q", info, _ACKED_AT)[0]
    return acked


def reset(transport: asyncio.Transport) -> None:
    """Break the connection at once: the other side sees a reset, and nothing stays behind."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()


def _read_info(transport: asyncio.BaseTransport, size_bytes: int) -> bytes:
    sock = transport.get_extra_info("socket")
    if sock is None or _TCP_INFO is None:
        return b""
    try:
        info: bytes = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, size_bytes)
    except OSError:
        return b""  # closed meanwhile, or no TCP socket
    return info
