"""The contract of limits: one provider's connections, and those to all providers together."""

import asyncio

import pytest

from proxy.domain.errors import UpstreamPoolFull, UpstreamProtocolError, UpstreamUnreachable
from proxy.domain.settings import PoolLimits
from proxy.upstream.connection_cap import ConnectionCap
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import Transports, build_request, fetch, take_turns
from tests.upstream.contract_dial import answer_all

ONE = PoolLimits(max_connections=1)


async def hold(connection: UpstreamConnection) -> None:
    """Begin an answer and never end it."""
    await connection.read_request()
    await connection.start_chunked()
    await connection.watch()


class CapContract:
    """How many connections are in use at once; `short_wait` is a fixture as well."""

    @pytest.mark.usefixtures("short_wait")
    async def test_a_full_pool_is_our_own_limit(self, transports: Transports) -> None:
        """With `max_connections` in use a request waits a while; the provider is not blamed."""
        transport = transports.open(pool=ONE)
        async with open_raw_upstream(hold) as upstream:
            held = await transport.open(build_request(upstream), RecordingSink())
            with pytest.raises(UpstreamPoolFull) as caught:
                await transport.open(build_request(upstream), RecordingSink())
            assert (caught.value.status, caught.value.counts_against_health) == (503, False)
            held.close()
            (await transport.open(build_request(upstream), RecordingSink())).close()

    @pytest.mark.usefixtures("short_wait")
    async def test_all_providers_share_one_cap(self, transports: Transports) -> None:
        """With the cap in use by one provider another waits, fails, and is served once it ends."""
        cap = ConnectionCap(2)
        one, other = transports.open(cap=cap), transports.open(cap=cap)
        async with open_raw_upstream(hold) as upstream:
            held = [await one.open(build_request(upstream), RecordingSink()) for _ in range(2)]
            with pytest.raises(UpstreamPoolFull):
                await other.open(build_request(upstream), RecordingSink())
            held[0].close()
            (await other.open(build_request(upstream), RecordingSink())).close()
            held[1].close()

    async def test_a_release_wakes_who_waits_at_another_provider(
        self, transports: Transports
    ) -> None:
        """A connection that one provider lets go of is given to a request for another at once."""
        cap = ConnectionCap(1)
        one, other = transports.open(cap=cap), transports.open(cap=cap)
        async with open_raw_upstream(hold) as upstream, asyncio.timeout(10.0):
            held = await one.open(build_request(upstream), RecordingSink())
            waiting = asyncio.ensure_future(other.open(build_request(upstream), RecordingSink()))
            await take_turns()
            assert not waiting.done()
            held.close()
            (await waiting).close()

    async def test_idle_connections_are_not_counted(self, transports: Transports) -> None:
        """A connection that waits in the pool keeps no other provider from being asked."""
        cap = ConnectionCap(1)
        async with open_raw_upstream(answer_all) as upstream:
            for transport in (transports.open(cap=cap), transports.open(cap=cap)) * 2:
                assert (await fetch(transport, build_request(upstream))).endings == [None]
            assert len(upstream.connections) == 2

    async def test_who_waits_for_one_provider_holds_nothing_of_the_others(
        self, transports: Transports
    ) -> None:
        """A request that waits for a provider's own limit takes no slot of the shared cap."""
        cap = ConnectionCap(2)
        full, free = transports.open(cap=cap, pool=ONE), transports.open(cap=cap)
        async with open_raw_upstream(hold) as upstream, asyncio.timeout(10.0):
            held = await full.open(build_request(upstream), RecordingSink())
            waiting = asyncio.ensure_future(full.open(build_request(upstream), RecordingSink()))
            await take_turns()
            (await free.open(build_request(upstream), RecordingSink())).close()
            held.close()
            (await waiting).close()

    async def test_who_has_no_cap_always_has_room(self, transports: Transports) -> None:
        """Without `max_connections` and a shared cap there is room, however much is in use."""
        transport = transports.open()
        async with open_raw_upstream(hold) as upstream:
            held = [await transport.open(build_request(upstream), RecordingSink()) for _ in "ab"]
            assert transport.has_room
            for response in held:
                response.close()

    async def test_room_is_told_before_anyone_waits(self, transports: Transports) -> None:
        """With `max_connections` in use there is no room, until one of them is let go of."""
        transport, other = transports.open(pool=ONE), transports.open(pool=ONE)
        async with open_raw_upstream(hold) as upstream:
            assert transport.has_room
            held = await transport.open(build_request(upstream), RecordingSink())
            assert (transport.has_room, other.has_room) == (False, True)
            held.close()
            assert transport.has_room

    async def test_an_idle_connection_is_room(self, transports: Transports) -> None:
        """A connection that waits in the pool is one that could be had."""
        transport = transports.open(pool=ONE)
        async with open_raw_upstream(answer_all) as upstream:
            assert (await fetch(transport, build_request(upstream))).endings == [None]
            await take_turns()
            assert transport.has_room

    async def test_the_shared_cap_is_room_for_all(self, transports: Transports) -> None:
        """With the cap of all providers in use none has room, also one that is not in use."""
        cap = ConnectionCap(1)
        one, other = transports.open(cap=cap), transports.open(cap=cap)
        async with open_raw_upstream(hold) as upstream:
            held = await one.open(build_request(upstream), RecordingSink())
            assert (one.has_room, other.has_room) == (False, False)
            held.close()
            assert (one.has_room, other.has_room) == (True, True)

    async def test_no_failure_keeps_a_slot(
        self, transports: Transports, loopback_port: int
    ) -> None:
        """Refused dials, broken heads and cancelled waits all give back what they took."""
        transport = transports.open(cap=ConnectionCap(1), pool=ONE)

        async def script(connection: UpstreamConnection) -> None:
            _, _, body = await connection.read_request()
            if body == b"junk":
                await connection.write(b"junk\r\n\r\n")
            else:
                await connection.start_chunked()
            await connection.watch()

        async with open_raw_upstream(script) as upstream, asyncio.timeout(10.0):
            with pytest.raises(UpstreamUnreachable):
                await transport.open(build_request(loopback_port), RecordingSink())
            with pytest.raises(UpstreamProtocolError):
                await transport.open(build_request(upstream, b"junk"), RecordingSink())
            held = await transport.open(build_request(upstream), RecordingSink())
            waiting = asyncio.ensure_future(
                transport.open(build_request(upstream), RecordingSink())
            )
            await take_turns()
            waiting.cancel()
            await asyncio.wait([waiting])
            held.close()
            (await transport.open(build_request(upstream), RecordingSink())).close()
