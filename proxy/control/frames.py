"""
Messages as frames: a length of four bytes, most significant first, then msgpack.

`Link` speaks them over asyncio's streams, `receive_frame` reads one from a blocking socket.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

import msgspec

from proxy.control.messages import ClientMessage, ServerMessage

MAX_FRAME_BYTES = 256 * 1024 * 1024
"""A frame announced longer than this is no frame of ours."""

LENGTH = struct.Struct(">I")
_server_decoder = msgspec.msgpack.Decoder(ServerMessage)
_client_decoder = msgspec.msgpack.Decoder(ClientMessage)
_encoder = msgspec.msgpack.Encoder()

T = TypeVar("T")


class FrameBroken(Exception):
    """What came is no frame of ours."""


def build_frame(message: ServerMessage | ClientMessage) -> bytes:
    """Return a message as it travels."""
    body = _encoder.encode(message)
    return LENGTH.pack(len(body)) + body


def receive_frame(connection: socket.socket, kind: type[T]) -> T | None:
    """
    Wait on a blocking socket for one message; None if the other end closes before it begins.

    Args:
        connection: nothing beyond the frame is read from it.
        kind: what may come: one kind of message, or a union of them.

    Raises:
        FrameBroken: something else came, or only a part of it.
        OSError: the connection broke, or its timeout is over.
    """
    head = _receive(connection, LENGTH.size)
    if not head:
        return None
    length = _read_length(head)
    body = _receive(connection, length)
    if len(body) < length:
        raise FrameBroken("a message did not come whole")
    return _decode(msgspec.msgpack.Decoder(kind), body)


class Link(Generic[T]):
    """One end of a connection; made by `build_server_end` and `build_client_end`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        decoder: "msgspec.msgpack.Decoder[T]",
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = decoder

    def send(self, message: ServerMessage | ClientMessage) -> None:
        """Queue a message; one to an end that is gone is dropped."""
        if not self._writer.is_closing():
            self._writer.write(build_frame(message))

    async def receive(self) -> AsyncIterator[T]:
        """
        Yield what the other end sends, until it closes.

        Raises:
            FrameBroken: it sent something else.
        """
        while True:
            try:
                head = await self._reader.readexactly(LENGTH.size)
                body = await self._reader.readexactly(_read_length(head))
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            yield _decode(self._decoder, body)

    async def close(self) -> None:
        """Close this end."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return


def build_server_end(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Link[ClientMessage]:
    """Return the supervisor's end of a connection."""
    return Link(reader, writer, _client_decoder)


def build_client_end(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Link[ServerMessage]:
    """Return a worker's or a command's end of a connection."""
    return Link(reader, writer, _server_decoder)


def _read_length(head: bytes) -> int:
    length: int = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else MAX_FRAME_BYTES + 1
    if length > MAX_FRAME_BYTES:
        raise FrameBroken("what came is not the beginning of a message")
    return length


def _decode(decoder: "msgspec.msgpack.Decoder[T]", body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise FrameBroken(str(error)) from error


def _receive(connection: socket.socket, size_bytes: int) -> bytes:
    """Return so many bytes, fewer only if the other end has closed."""
    received = bytearray()
    while len(received) < size_bytes and (part := connection.recv(size_bytes - len(received))):
        received += part
    return bytes(received)
