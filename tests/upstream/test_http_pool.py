"""What a pool keeps: no more than allowed, for no longer than allowed, the last one first."""

import asyncio

import pytest
from msgspec.structs import replace

from proxy.domain.errors import UpstreamDisconnected
from proxy.domain.settings import PoolLimits
from proxy.upstream.http_pool import HttpPool
from proxy.upstream.httptools_transport import HttptoolsTransport
from proxy.upstream.resolver import Resolver
from tests.fakes.proxy_server import build_provider
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import build_request, fetch
from tests.upstream.pools import count_busy

pytestmark = pytest.mark.usefixtures("no_leaks")


class Gate:
    """Answers each request once so many have come at the same time."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._arrived = 0
        self._all_arrived = asyncio.Event()

    async def run(self, connection: UpstreamConnection) -> None:
        """Answer for as long as the peer asks."""
        try:
            while True:
                await connection.read_request()
                self._arrived += 1
                if self._arrived >= self.count:
                    self._all_arrived.set()
                await self._all_arrived.wait()
                await connection.answer(b"{}")
        except asyncio.IncompleteReadError:
            connection.closed_by_peer.set()


def _open(url: str, **limits: float) -> HttptoolsTransport:
    pool = PoolLimits(**limits)  # type: ignore[arg-type]
    return HttptoolsTransport(build_provider(url, pool=pool), Resolver())


def _pool(transport: HttptoolsTransport) -> HttpPool:
    return transport._pool


async def test_no_more_free_connections_are_kept_than_allowed() -> None:
    """With `max_keepalive_connections: 1` the second of two that become free is closed."""
    async with open_raw_upstream(Gate(2).run) as upstream:
        transport = _open(upstream.url, max_keepalive_connections=1)
        await asyncio.gather(*(fetch(transport, build_request(upstream)) for _ in range(2)))
        closings = [
            asyncio.ensure_future(each.closed_by_peer.wait()) for each in upstream.connections
        ]
        done, others = await asyncio.wait(closings, return_when=asyncio.FIRST_COMPLETED)
        assert (len(done), len(others)) == (1, 1)
        await transport.close()
        await asyncio.wait(others)


async def test_what_was_free_for_too_long_is_closed_without_being_asked_for() -> None:
    """After `keepalive_s` connections close by themselves, and nothing goes on looking."""
    async with open_raw_upstream(Gate(3).run) as upstream:
        transport = _open(upstream.url, keepalive_s=0.05)
        await asyncio.gather(*(fetch(transport, build_request(upstream)) for _ in range(3)))
        for connection in upstream.connections:
            await connection.closed_by_peer.wait()
        assert _pool(transport)._sweeper is None
        assert _pool(transport)._free == {}
        await transport.close()


async def test_what_is_over_is_not_given_out() -> None:
    """A connection whose time is up when it is asked for is closed, and another one dialled."""
    async with open_raw_upstream(Gate(1).run) as upstream:
        transport = _open(upstream.url)
        await fetch(transport, build_request(upstream))
        ((free,),) = _pool(transport)._free.values()
        free.free_since_s -= 3600
        sink = await fetch(transport, build_request(upstream))
        assert sink.endings == [None]
        assert len(upstream.connections) == 2
        await upstream.connections[0].closed_by_peer.wait()
        await transport.close()


async def test_the_last_one_used_is_the_next_one() -> None:
    """Under less load fewer connections are used, so that the others can end."""
    async with open_raw_upstream(Gate(2).run) as upstream:
        transport = _open(upstream.url)
        await asyncio.gather(*(fetch(transport, build_request(upstream)) for _ in range(2)))
        (free,) = _pool(transport)._free.values()
        first_s, last_s = (each.free_since_s for each in free)
        await fetch(transport, build_request(upstream))
        after_s = [each.free_since_s for each in free]
        assert after_s[0] == first_s
        assert after_s[1] > last_s
        await transport.close()


async def test_a_closed_pool_opens_nothing() -> None:
    """A request to a transport that has been closed leaves no connection behind."""
    async with open_raw_upstream(Gate(1).run) as upstream:
        transport = _open(upstream.url)
        await transport.close()
        with pytest.raises(UpstreamDisconnected):
            await transport.open(build_request(upstream), RecordingSink())
        assert count_busy(transport) == 0


async def test_connections_to_one_origin_serve_no_other() -> None:
    """Two ports of a host have connections of their own."""
    async with (
        open_raw_upstream(Gate(1).run) as one,
        open_raw_upstream(Gate(1).run) as other,
    ):
        transport = _open(one.url)
        for upstream in (one, other, one, other):
            assert (await fetch(transport, build_request(upstream))).endings == [None]
        assert (len(one.connections), len(other.connections)) == (1, 1)
        await transport.close()


async def test_one_address_takes_several_methods() -> None:
    """A GET and a POST to the same URL each go out as what they are."""
    lines: list[str] = []

    async def script(connection: UpstreamConnection) -> None:
        for _ in range(2):
            line, _, _ = await connection.read_request()
            lines.append(line)
            await connection.answer(b"{}")
        await connection.watch()

    async with open_raw_upstream(script) as upstream:
        transport = _open(upstream.url)
        for method in ("POST", "GET"):
            await fetch(transport, replace(build_request(upstream), method=method))
        await transport.close()
    assert lines == [f"{m} /v1/chat/completions HTTP/1.1" for m in ("POST", "GET")]
