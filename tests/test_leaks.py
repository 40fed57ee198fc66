"""The leak check finds what it is there to find, and lets pass what closes in time."""

import asyncio
import socket

import pytest

from tests.leaks import leaving_nothing


async def test_a_task_that_runs_on_is_named() -> None:
    """A task that outlives the block fails it, by name."""
    never = asyncio.Event()
    task = None
    with pytest.raises(AssertionError, match="runs-on"):
        async with leaving_nothing(grace_s=0.01):
            task = asyncio.create_task(never.wait(), name="runs-on")
    assert task is not None
    task.cancel()


async def test_an_open_socket_is_named() -> None:
    """A socket that is still open after the block fails it."""
    left = None
    with pytest.raises(AssertionError, match="socket:"):
        async with leaving_nothing(grace_s=0.01):
            left = socket.socket()
    assert left is not None
    left.close()


async def test_what_ends_within_the_grace_is_no_leak() -> None:
    """A task and a connection that end shortly after the block do not fail it."""
    async with leaving_nothing():
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        ending = asyncio.create_task(reader.read())
        writer.close()
        server.close()
    assert ending.done()


async def test_the_fixture_lets_a_clean_test_pass(no_leaks: None) -> None:
    """A test that leaves nothing behind passes under the fixture."""
    await asyncio.create_task(asyncio.sleep(0))
