"""The control socket answers who may ask, and is gone with the server."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.control.client import ask_supervisor
from proxy.control.messages import Answer, Ask
from proxy.control.socket_path import NAME, connect_to
from proxy.supervisor import control_server as control_module
from proxy.supervisor.control_server import ControlServer, read_peer_uid

pytestmark = pytest.mark.usefixtures("no_leaks")


async def echo(ask: Ask) -> Answer:
    """Answer with what was asked for."""
    return Answer(ask.id, b'{"what": "%b", "by": "%b"}' % (ask.what.encode(), ask.by.encode()))


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Path]:
    """Where a control server listens."""
    server = ControlServer(tmp_path / "run", echo)
    await server.open()
    yield tmp_path / "run"
    await server.close()
    assert not (tmp_path / "run" / NAME).exists()


async def test_what_is_asked_is_answered(directory: Path) -> None:
    """Several commands at the same time get each its own answer."""
    asks = [asyncio.to_thread(ask_supervisor, directory, f"thing-{n}", {}, "me") for n in range(8)]
    answers = await asyncio.gather(*asks)
    assert answers == [{"what": f"thing-{n}", "by": "me"} for n in range(8)]


async def test_a_stranger_is_not_answered(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's connection is closed without a word, whatever the socket's mode allowed."""
    monkeypatch.setattr(control_module, "read_peer_uid", lambda sock: os.geteuid() + 1)
    connection = await asyncio.to_thread(connect_to, directory, 5.0)
    assert connection is not None
    with connection:
        assert await asyncio.to_thread(connection.recv, 1) == b""


async def test_what_is_no_message_ends_only_its_connection(directory: Path) -> None:
    """Junk closes the connection that it came on; the next one is answered."""
    connection = await asyncio.to_thread(connect_to, directory, 5.0)
    assert connection is not None
    with connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert await asyncio.to_thread(connection.recv, 1) == b""
    assert await asyncio.to_thread(ask_supervisor, directory, "more", {}, "me") is not None


async def test_a_connection_that_only_waits_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Closing the server closes who is still connected."""
    server = ControlServer(tmp_path, echo)
    await server.open()
    connection = await asyncio.to_thread(connect_to, tmp_path, 5.0)
    assert connection is not None
    with connection:
        await asyncio.sleep(0)
        await server.close()
        assert await asyncio.to_thread(connection.recv, 1) == b""


def test_the_kernel_tells_who_is_there() -> None:
    """The user at the other end of a socket is this process's own."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert read_peer_uid(ours) == os.geteuid()


async def test_a_successor_keeps_its_socket(tmp_path: Path) -> None:
    """A server that ends after another has begun does not take the other's socket with it."""
    first, second = ControlServer(tmp_path, echo), ControlServer(tmp_path, echo)
    await first.open()
    await second.open()
    await first.close()
    assert await asyncio.to_thread(ask_supervisor, tmp_path, "more", {}, "me") is not None
    await second.close()
