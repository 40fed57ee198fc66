"""How much the kernel holds of an answer that we do not read."""

import asyncio
import socket

STREAM_BUFFER_BYTES = 64 * 1024
"""What the kernel is asked to hold of a stream that we do not read; it allows itself twice as
much, and megabytes if it is not asked. One read takes all of it at once, and so it is also what
a paused stream may still push."""
WHOLE_BUFFER_BYTES = 4 * 1024 * 1024
"""The same for an answer that is read as fast as it comes: with little room a large one from
far away would wait for each of its windows to be acknowledged."""


def size_receive_buffer(
    transport: asyncio.BaseTransport, was_for_streams: bool | None, is_for_stream: bool
) -> bool | None:
    """
    Have the kernel hold little of a stream and much of any other answer.

    Args:
        transport: of the connection that a request goes out on.
        was_for_streams: what this has returned for it before; None at first.
        is_for_stream: whether the answer will be a stream.

    Returns:
        What it is sized for now.
    """
    if was_for_streams is is_for_stream:
        return was_for_streams
    if is_for_stream or was_for_streams:  # by itself it holds much
        size_bytes = STREAM_BUFFER_BYTES if is_for_stream else WHOLE_BUFFER_BYTES
        try:
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes
            )
        except OSError:
            return was_for_streams  # it has just closed, which writing to it will tell
    return is_for_stream
