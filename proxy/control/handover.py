"""
How a worker gets what it starts with: its listening sockets, then its first message.

Both ends are plain blocking sockets here: a worker reads its Start before it has a loop.
"""

import socket
from collections.abc import Sequence

from proxy.control.frames import build_frame, receive_frame
from proxy.control.messages import Start

MAX_SOCKETS = 64
BACKLOG = 4096
"""Connections that wait in the kernel until a worker accepts them."""


def send_start(connection: socket.socket, start: Start, listening: Sequence[socket.socket]) -> None:
    """
    Hand over listening sockets, which stay open here as well, and the first message.

    Raises:
        OSError: the worker is gone.
    """
    # One byte has to travel with the descriptors.
    socket.send_fds(connection, [b"\0"], [sock.fileno() for sock in listening])
    connection.sendall(build_frame(start))


def receive_start(connection: socket.socket) -> tuple[Start, list[socket.socket]] | None:
    """
    Wait for the first message and the sockets; None if the supervisor left before it sent them.

    Raises:
        FrameBroken: something else came.
    """
    carrier, descriptors, _, _ = socket.recv_fds(connection, 1, MAX_SOCKETS)
    listening = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    start: Start | None = None
    try:
        if carrier:
            start = receive_frame(connection, Start)
    finally:
        if start is None:
            for sock in listening:
                sock.close()
    return None if start is None else (start, listening)
