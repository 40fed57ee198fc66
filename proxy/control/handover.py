"""
How a worker gets what it starts with: its listening sockets, then its first message.

Both ends are plain blocking sockets here: a worker reads its Start before it has a loop.
"""

import socket
import struct
from collections.abc import Sequence

import msgspec

from proxy.control.frames import MAX_FRAME_BYTES, FrameBroken, build_frame
from proxy.control.messages import ServerMessage, Start

MAX_SOCKETS = 64
_LENGTH = struct.Struct(">I")


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
            start = _receive_message(connection)
    finally:
        if start is None:
            for sock in listening:
                sock.close()
    return None if start is None else (start, listening)


def _receive_message(connection: socket.socket) -> Start | None:
    head = _receive_exactly(connection, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    body = _receive_exactly(connection, length) if length <= MAX_FRAME_BYTES else None
    if body is None:
        raise FrameBroken("the first message did not come whole")
    try:
        message = msgspec.msgpack.decode(body, type=ServerMessage)
    except msgspec.MsgspecError as error:
        raise FrameBroken(str(error)) from error
    if not isinstance(message, Start):
        raise FrameBroken("the first message was another one")
    return message


def _receive_exactly(connection: socket.socket, size_bytes: int) -> bytes | None:
    received = bytearray()
    while len(received) < size_bytes:
        part = connection.recv(size_bytes - len(received))
        if not part:
            return None
        received += part
    return bytes(received)
