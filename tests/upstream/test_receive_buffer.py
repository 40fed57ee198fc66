"""The kernel holds little of a stream, and is asked only when that changes."""

import asyncio
import socket

from proxy.upstream.receive_buffer import (
    STREAM_BUFFER_BYTES,
    WHOLE_BUFFER_BYTES,
    size_receive_buffer,
)


class FakeTransport(asyncio.BaseTransport):
    """Is its own socket, and writes down what it is told."""

    def __init__(self, error: OSError | None = None) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self._error = error

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return the socket."""
        return self

    def setsockopt(self, level: int, option: int, size_bytes: int) -> None:
        """Take note, or fail."""
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_RCVBUF)
        if self._error is not None:
            raise self._error
        self.sizes.append(size_bytes)


def test_it_is_sized_when_the_kind_of_answer_changes() -> None:
    """Nothing for a whole answer at first, then once for each change."""
    transport, kind = FakeTransport(), None
    for is_for_stream in (False, True, True, False, False):
        kind = size_receive_buffer(transport, kind, is_for_stream)
        assert kind is is_for_stream
    assert transport.sizes == [STREAM_BUFFER_BYTES, WHOLE_BUFFER_BYTES]


def test_a_socket_that_has_closed_stays_as_it_was() -> None:
    """The error is none of the request's: writing will tell it."""
    assert size_receive_buffer(FakeTransport(OSError()), None, True) is None
