"""What the kernel tells about a connection."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from proxy.server.tcp_state import has_unread, hold_little, is_peer_gone, read_acked_bytes, reset

pytestmark = pytest.mark.usefixtures("no_leaks")

Pair = tuple[asyncio.Transport, socket.socket]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """Both ends of a connection: a transport that does not read, and a socket."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        other = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, accepted)
    transport.pause_reading()
    yield transport, other
    transport.abort()
    other.close()


async def test_a_peer_that_left_is_seen_behind_its_unread_bytes(pair: Pair) -> None:
    """Its end is known although what it sent before was never read."""
    transport, other = pair
    other.sendall(b"x" * 1000)
    assert not is_peer_gone(transport)
    other.close()
    assert is_peer_gone(transport)


async def test_what_has_come_and_was_not_read_is_seen(pair: Pair) -> None:
    """Bytes that wait with the kernel are known; before them, and once it is closed, none are."""
    transport, other = pair
    assert not has_unread(transport)
    other.sendall(b"x")
    assert has_unread(transport)
    transport.abort()
    await asyncio.sleep(0)
    assert not has_unread(transport)


async def test_a_peer_that_reset_is_seen(pair: Pair) -> None:
    """A reset is known without a read or a write that would meet it."""
    transport, other = pair
    other.sendall(b"x" * 1000)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    other.close()
    assert is_peer_gone(transport)


async def test_what_was_acknowledged_is_counted(pair: Pair) -> None:
    """The count grows with what the other side has taken."""
    transport, other = pair
    before = read_acked_bytes(transport)
    transport.write(b"x" * 1000)
    loop = asyncio.get_running_loop()
    other.setblocking(False)
    assert len(await loop.sock_recv(other, 1000)) == 1000
    after = read_acked_bytes(transport)
    assert before is not None
    assert after is not None
    assert after - before == 1000


async def test_the_kernel_holds_little_for_who_does_not_read(pair: Pair) -> None:
    """After a few hundred kilobytes the kernel takes no more, and what is written waits here."""
    transport, other = pair
    other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    hold_little(transport, 128 * 1024)
    transport.write(bytes(4 * 2**20))
    assert transport.get_write_buffer_size() > 3 * 2**20


async def test_a_reset_is_one(pair: Pair) -> None:
    """The other side gets no clean end."""
    transport, other = pair
    reset(transport)
    await asyncio.sleep(0)
    with pytest.raises(ConnectionResetError):
        other.recv(1)


def test_nothing_is_known_without_a_socket() -> None:
    """A transport over something else is neither gone nor counted."""
    transport = asyncio.Transport()
    assert not is_peer_gone(transport)
    assert read_acked_bytes(transport) is None
