"""Connections to a provider: limits of the pool, and none that cannot be trusted."""

import asyncio

import pytest

from proxy.domain.errors import UpstreamPoolFull
from proxy.domain.settings import PoolLimits
from proxy.upstream import aiohttp_pool
from proxy.upstream.aiohttp_transport import AiohttpTransport
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.contract import build_request

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.mark.parametrize("when", ["with the body", "later"])
async def test_bytes_that_nobody_asked_for_never_answer_the_next_request(when: str) -> None:
    """A connection on which more came than one answer is not used again."""
    sent = asyncio.Event()
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        good = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
        if when == "with the body":
            await connection.write(good + forged)
        else:
            await connection.write(good)
            await may_forge.wait()
            await connection.write(forged)
        sent.set()
        await connection.watch()

    may_forge = asyncio.Event()
    transport = AiohttpTransport(PoolLimits())
    async with open_raw_upstream(script) as upstream:
        for _ in range(2):
            sink = RecordingSink()
            (await transport.open(build_request(upstream), sink)).resume()
            await sink.over.wait()
            assert (sink.body, sink.endings) == (b"good", [None])
            may_forge.set()
            await sent.wait()
            for _ in range(20):
                await asyncio.sleep(0)
        assert len(upstream.connections) == 2
        await transport.close()


async def test_a_full_pool_is_our_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `max_connections` in use a request waits POOL_WAIT_S; the provider is not blamed."""
    monkeypatch.setattr(aiohttp_pool, "POOL_WAIT_S", 0.05)
    transport = AiohttpTransport(PoolLimits(max_connections=1))

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.watch()

    async with open_raw_upstream(script) as upstream:
        held = await transport.open(build_request(upstream), RecordingSink())
        with pytest.raises(UpstreamPoolFull) as caught:
            await transport.open(build_request(upstream), RecordingSink())
        assert (caught.value.status, caught.value.counts_against_health) == (503, False)
        held.close()
        await transport.close()


async def test_no_more_idle_connections_are_kept_than_allowed() -> None:
    """With `max_keepalive_connections: 1` the second of two idle connections is closed."""
    transport = AiohttpTransport(PoolLimits(max_keepalive_connections=1))
    both_arrived = asyncio.Event()
    arrived = 0

    async def script(connection: UpstreamConnection) -> None:
        nonlocal arrived
        await connection.read_request()
        arrived += 1
        if arrived == 2:
            both_arrived.set()
        await both_arrived.wait()
        await connection.answer(b"{}")
        await connection.watch()

    try:
        async with open_raw_upstream(script) as upstream:
            sinks = [RecordingSink(), RecordingSink()]

            async def ask(sink: RecordingSink) -> None:
                (await transport.open(build_request(upstream), sink)).resume()
                await sink.over.wait()

            await asyncio.gather(*map(ask, sinks))
            first, second = (
                asyncio.ensure_future(connection.wait_closed())
                for connection in upstream.connections
            )
            done, open_still = await asyncio.wait(
                {first, second}, return_when=asyncio.FIRST_COMPLETED
            )
            assert (len(done), len(open_still)) == (1, 1)
            for task in open_still:
                task.cancel()
    finally:
        await transport.close()
