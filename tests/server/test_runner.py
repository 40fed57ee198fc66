"""The end of a server: open requests finish, late ones are cancelled, and it waits for both."""

import asyncio
import os
import resource
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from proxy.server.runner import ServerRunner, find_room
from tests.fakes.proxy_server import build_runtime
from tests.fakes.raw_client import connecting
from tests.leaks import leaving_nothing

ASKED = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

pytestmark = pytest.mark.both_loops


class Endpoint:
    """Streams a start, then waits to be let go on; notes how it ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.ended: str | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"start ")
        self.begun.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            # A record is written on the way out, which may need more than one turn of the loop.
            await asyncio.sleep(0)
            self.ended = "cancelled"
            raise
        await response.write(b"end")
        await response.write_eof()
        self.ended = "completed"
        return response


@asynccontextmanager
async def serving(endpoint: Endpoint) -> AsyncIterator[tuple[ServerRunner, str]]:
    """Serve one endpoint, and look that nothing is left of it."""
    runtime = build_runtime()
    runner = ServerRunner(endpoint.answer, runtime)
    async with leaving_nothing():
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield runner, f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def drain(runner: ServerRunner, within_s: float, idle_grace_s: float = 0.0) -> None:
    """End in good order."""
    runner.begin_drain()
    await runner.stop_listening()
    await runner.finish(within_s, idle_grace_s)


async def until(condition: Callable[[], bool]) -> None:
    """Return in the first turn of the loop in which this is so."""
    while not condition():  # noqa: ASYNC110  nothing announces it
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("limit", "room"),
    [(1024, 896), (200, 100), (resource.RLIM_INFINITY, sys.maxsize)],
)
def test_clients_do_not_get_every_file(
    limit: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """128 open files, or half of a few, are left for providers, logs and the rest."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))
    assert find_room() == room


async def test_clients_above_the_room_are_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few files to have, the cap is lower than the one that is set."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (2, 2))
    async with (
        serving(Endpoint()) as (runner, _),
        connecting(runner.addresses[0][1]),
        connecting(runner.addresses[0][1]) as second,
    ):
        with pytest.raises(ConnectionResetError):
            await second.reader.read()
        assert len(runner.connections) == 1


async def test_an_open_request_is_waited_for() -> None:
    """A drain takes exactly as long as the last request, whose answer is whole."""
    endpoint = Endpoint()
    async with (
        serving(endpoint) as (runner, url),
        aiohttp.ClientSession() as session,
        session.get(url) as answer,
    ):
        draining = asyncio.ensure_future(drain(runner, 30.0))
        # More turns of the loop than everything takes that does not wait for the request.
        for _ in range(100):
            await asyncio.sleep(0)
        assert not draining.done()
        assert endpoint.ended is None
        endpoint.may_end.set()
        assert await answer.read() == b"start end"
        await draining
    assert endpoint.ended == "completed"


async def test_a_late_request_is_cancelled_and_has_its_ending() -> None:
    """After `within_s` the request is cancelled, and the drain waits until it has ended."""
    endpoint = Endpoint()
    async with (
        serving(endpoint) as (runner, url),
        aiohttp.ClientSession() as session,
        session.get(url) as answer,
    ):
        await drain(runner, 0.05)
        assert endpoint.ended == "cancelled"
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_a_drain_can_be_hurried() -> None:
    """What was given an hour is cancelled at once when the time is shortened."""
    endpoint = Endpoint()
    async with (
        serving(endpoint) as (runner, url),
        aiohttp.ClientSession() as session,
        session.get(url) as answer,
    ):
        draining = asyncio.ensure_future(drain(runner, 3600.0))
        await asyncio.sleep(0)
        runner.hurry(0.0)
        await draining
        assert endpoint.ended == "cancelled"
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_cleaning_up_alone_cancels_what_is_open() -> None:
    """Without a drain nothing is waited for but the record of a cancelled request."""
    endpoint = Endpoint()
    async with (
        serving(endpoint) as (runner, url),
        aiohttp.ClientSession() as session,
        session.get(url) as answer,
    ):
        await runner.cleanup()
        assert endpoint.ended == "cancelled"
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_an_idle_connection_is_not_waited_for_beyond_its_grace() -> None:
    """A client that keeps its connection but asks nothing does not hold up the end."""
    endpoint = Endpoint()
    endpoint.may_end.set()
    async with (
        serving(endpoint) as (runner, url),
        aiohttp.ClientSession() as session,
    ):
        async with session.get(url) as answer:
            await answer.read()
        await drain(runner, 3600.0)
        assert runner.connections == []


async def test_without_connections_a_drain_is_over_at_once() -> None:
    """Nobody is there: neither the grace of idle connections nor the time for requests is taken."""
    async with serving(Endpoint()) as (runner, _):
        await asyncio.wait_for(drain(runner, 3600.0, idle_grace_s=3600.0), 5.0)


async def test_a_request_on_an_idle_connection_is_answered_with_a_close() -> None:
    """A connection that was kept gets its last answer within its grace, and knows it is that."""
    endpoint = Endpoint()
    endpoint.may_end.set()
    async with (
        serving(endpoint) as (runner, _),
        connecting(runner.addresses[0][1], ASKED) as client,
    ):
        _, headers = await client.read_head()
        assert "connection" not in headers
        await client.reader.readuntil(b"0\r\n\r\n")
        draining = asyncio.ensure_future(drain(runner, 3600.0, idle_grace_s=3600.0))
        await until(lambda: not runner.addresses)
        await client.send(ASKED)
        _, headers = await client.read_head()
        assert headers["connection"] == "close"
        assert (await client.read_end()).endswith(b"0\r\n\r\n")
        await draining


async def test_an_accepted_connection_that_has_not_asked_yet_is_answered() -> None:
    """Who connected before the end and sends only then is served like everybody else."""
    endpoint = Endpoint()
    endpoint.may_end.set()
    async with (
        serving(endpoint) as (runner, _),
        connecting(runner.addresses[0][1]) as client,
    ):
        # The kernel has the connection, this process not necessarily.
        draining = asyncio.ensure_future(drain(runner, 3600.0, idle_grace_s=3600.0))
        await until(lambda: not runner.addresses)
        await client.send(ASKED)
        status, headers = await client.read_head()
        assert (status, headers["connection"]) == (200, "close")
        assert (await client.read_end()).endswith(b"0\r\n\r\n")
        await draining


async def test_a_head_that_has_begun_is_not_idle() -> None:
    """Half a head holds its connection beyond the grace, until its own clock or its end."""
    endpoint = Endpoint()
    endpoint.may_end.set()
    async with (
        serving(endpoint) as (runner, _),
        connecting(runner.addresses[0][1], ASKED[:10]) as client,
    ):
        await until(lambda: any(not c.is_idle for c in runner.connections))
        draining = asyncio.ensure_future(drain(runner, 3600.0, idle_grace_s=0.0))
        await until(lambda: not runner.addresses)
        await client.send(ASKED[10:])
        assert (await client.read_head())[0] == 200
        assert (await client.read_end()).endswith(b"0\r\n\r\n")
        await draining


async def test_what_has_come_unread_keeps_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection is not closed under bytes that the kernel has and the loop has not read."""
    endpoint = Endpoint()
    endpoint.may_end.set()
    async with (
        serving(endpoint) as (runner, _),
        connecting(runner.addresses[0][1]) as client,
    ):
        await until(lambda: any(c.is_idle for c in runner.connections))
        (connection,) = runner.connections
        sock = client.writer.get_extra_info("socket")
        os.write(sock.fileno(), ASKED)
        connection.close_idle()
        assert (await client.read_head())[0] == 200
        await until(lambda: connection.is_idle)
        connection.close_idle()
        await client.read_end()


async def test_connections_that_are_open_are_known() -> None:
    """A connection is listed from its acceptance on until it has closed."""
    endpoint = Endpoint()
    async with serving(endpoint) as (runner, _):
        port = runner.addresses[0][1]
        async with connecting(port, ASKED):
            await endpoint.begun.wait()
            (connection,) = runner.connections
            assert connection.task is not None
    assert runner.connections == []
