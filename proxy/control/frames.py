"""
Messages as frames: a length of four bytes, most significant first, then msgpack.

`FrameReader` is fed bytes however they were split; `Link` speaks frames over asyncio's streams.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

import msgspec

from proxy.control.messages import ClientMessage, ServerMessage

MAX_FRAME_BYTES = 256 * 1024 * 1024
"""A frame announced longer than this is no frame of ours."""

_LENGTH = struct.Struct(">I")
_server_decoder = msgspec.msgpack.Decoder(ServerMessage)
_client_decoder = msgspec.msgpack.Decoder(ClientMessage)
_encoder = msgspec.msgpack.Encoder()

T = TypeVar("T")


class FrameBroken(Exception):
    """What came is no frame of ours."""


def build_frame(message: ServerMessage | ClientMessage) -> bytes:
    """Return a message as it travels."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


class Link(Generic[T]):
    """One end of a connection that carries frames; made by `open_server_end`, `open_client_end`."""

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

    async def flush(self) -> None:
        """Wait until most of what was queued is with the kernel; returns if the other end left."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    async def receive(self) -> AsyncIterator[T]:
        """
        Yield what the other end sends, until it closes.

        Raises:
            FrameBroken: it sent something else.
        """
        while True:
            try:
                (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
                if length > MAX_FRAME_BYTES:
                    raise FrameBroken(f"a frame of {length} bytes was announced")
                body = await self._reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            try:
                message = self._decoder.decode(body)
            except msgspec.MsgspecError as error:
                raise FrameBroken(str(error)) from error
            yield message

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
