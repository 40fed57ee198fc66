"""Frames over real sockets, at every split of the bytes, and what is no frame."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from proxy.control.frames import (
    MAX_FRAME_BYTES,
    FrameBroken,
    Link,
    build_client_end,
    build_frame,
    build_server_end,
)
from proxy.control.messages import Ack, ClientMessage, Ping, Publish, Ready, ServerMessage

pytestmark = pytest.mark.usefixtures("no_leaks")


class Pair:
    """Two ends of one connection; one is a plain socket for what no end of ours would send."""

    def __init__(self, link: Link[ClientMessage], raw: socket.socket) -> None:
        self.link = link
        self.raw = raw


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A supervisor's end, and the bare other side of it."""
    ours, theirs = socket.socketpair()
    streams = await asyncio.open_unix_connection(sock=ours)
    link = build_server_end(*streams)
    with theirs:
        yield Pair(link, theirs)
    await link.close()


async def collect(link: Link[ClientMessage]) -> list[ClientMessage]:
    """Return everything until the other end closes."""
    return [message async for message in link.receive()]


async def test_messages_arrive_in_order_whatever_the_split(pair: Pair) -> None:
    """Sent byte by byte, three messages are three messages."""
    sent: list[ClientMessage] = [Ready(), Ack(1), Ack(70_000)]
    for byte in b"".join(map(build_frame, sent)):
        pair.raw.sendall(bytes([byte]))
        await asyncio.sleep(0)
    pair.raw.close()
    assert await collect(pair.link) == sent


async def test_an_end_in_the_middle_of_a_frame_is_an_end(pair: Pair) -> None:
    """A process that dies while it writes leaves no half message."""
    pair.raw.sendall(build_frame(Ready()) + build_frame(Ack(5))[:-1])
    pair.raw.close()
    assert await collect(pair.link) == [Ready()]


@pytest.mark.parametrize(
    "data",
    [
        (MAX_FRAME_BYTES + 1).to_bytes(4, "big"),
        b"\x00\x00\x00\x01\xc1",
        build_frame(Ping(1)),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["too-long", "not-msgpack", "wrong-way", "http"],
)
async def test_what_is_no_frame_of_ours_is_told(pair: Pair, data: bytes) -> None:
    """Another protocol, or a message that goes the other way, raises FrameBroken."""
    pair.raw.sendall(data)
    with pytest.raises(FrameBroken):
        await collect(pair.link)


async def test_both_ends_speak_to_each_other() -> None:
    """A snapshot of megabytes goes one way, its acknowledgement the other."""
    ours, theirs = socket.socketpair()
    server = build_server_end(*await asyncio.open_unix_connection(sock=ours))
    client = build_client_end(*await asyncio.open_unix_connection(sock=theirs))
    publish = Publish(2, (b"x" * 3_000_000,))

    async def answer() -> list[ServerMessage]:
        heard: list[ServerMessage] = []
        async for message in client.receive():
            heard.append(message)
            client.send(Ack(2))
        return heard

    answering = asyncio.create_task(answer())
    server.send(publish)
    async for message in server.receive():
        assert message == Ack(2)
        break
    await server.close()
    assert await answering == [publish]
    await client.close()


async def test_sending_to_an_end_that_is_gone_fails_nobody(pair: Pair) -> None:
    """A worker that has died does not make its supervisor fail."""
    pair.raw.close()
    assert await collect(pair.link) == []
    for number in range(100):
        pair.link.send(Ping(number))
        await asyncio.sleep(0)
