"""The end of a server: open requests finish, late ones are cancelled, and it waits for both."""

import asyncio
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from proxy.pipeline.context import Runtime
from proxy.server.runner import ServerRunner, find_room
from proxy.stores.memory import MemoryRateStore
from tests.fakes.proxy_server import HASHER, RecordingObserver, build_snapshot
from tests.fakes.raw_client import connecting

pytestmark = pytest.mark.usefixtures("no_leaks")


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
async def serving(endpoint: Endpoint, drain_s: float) -> AsyncIterator[tuple[ServerRunner, str]]:
    """Serve one endpoint; the block cleans the runner up itself."""
    runtime = Runtime(build_snapshot(), HASHER, {}, RecordingObserver(), MemoryRateStore())
    runner = ServerRunner(endpoint.answer, runtime, drain_s)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


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
        serving(Endpoint(), 0.0) as (runner, _),
        connecting(runner.addresses[0][1]),
        connecting(runner.addresses[0][1]) as second,
    ):
        with pytest.raises(ConnectionResetError):
            await second.reader.read()
        assert len(runner.connections) == 1


async def test_an_open_request_is_waited_for() -> None:
    """Cleaning up takes exactly as long as the last request, whose answer is whole."""
    endpoint = Endpoint()
    async with (
        serving(endpoint, drain_s=30.0) as (runner, url),
        aiohttp.ClientSession() as session,
        session.get(url) as answer,
    ):
        cleaning = asyncio.ensure_future(runner.cleanup())
        # More turns of the loop than everything takes that does not wait for the request.
        for _ in range(100):
            await asyncio.sleep(0)
        assert not cleaning.done()
        assert endpoint.ended is None
        endpoint.may_end.set()
        assert await answer.read() == b"start end"
        await cleaning
    assert endpoint.ended == "completed"


async def test_a_late_request_is_cancelled_and_has_its_ending() -> None:
    """After `drain_s` the request is cancelled, and cleaning up waits until it has ended."""
    endpoint = Endpoint()
    async with (
        serving(endpoint, drain_s=0.05) as (runner, url),
        aiohttp.ClientSession() as session,
        session.get(url) as answer,
    ):
        await runner.cleanup()
        assert endpoint.ended == "cancelled"
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_cutting_ends_the_wait() -> None:
    """`cut` cancels what is open, and the cleaning up that waits for it is over at once."""
    endpoint = Endpoint()
    async with (
        serving(endpoint, drain_s=3600.0) as (runner, url),
        aiohttp.ClientSession() as session,
        session.get(url) as answer,
    ):
        cleaning = asyncio.ensure_future(runner.cleanup())
        await asyncio.sleep(0)
        runner.cut()
        await cleaning
        assert endpoint.ended == "cancelled"
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_an_idle_connection_is_not_waited_for() -> None:
    """A client that keeps its connection but asks nothing does not hold up the end."""
    endpoint = Endpoint()
    endpoint.may_end.set()
    async with (
        serving(endpoint, drain_s=3600.0) as (runner, url),
        aiohttp.ClientSession() as session,
    ):
        async with session.get(url) as answer:
            await answer.read()
        await runner.cleanup()


async def test_connections_that_are_open_are_known() -> None:
    """A connection is listed from its acceptance on until it has closed."""
    endpoint = Endpoint()
    async with serving(endpoint, drain_s=0.0) as (runner, _):
        port = runner.addresses[0][1]
        async with connecting(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
            await endpoint.begun.wait()
            (connection,) = runner.connections
            assert connection.task is not None
    assert runner.connections == []
