"""One health worker leads at a time, and what another one says counts for nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.domain.health import HealthNews
from proxy.stores.verdict_lease import VerdictLease
from proxy.stores.verdict_messages import FENCE_KEY, LEASE_KEY, VERDICTS_KEY
from tests.fakes.redis_server import RedisServer
from tests.stores.links import PATIENT_S, Watched, linked
from tests.stores.verdict_contract import Clock, build_verdict

pytestmark = pytest.mark.usefixtures("no_leaks")

LEASE_S = 10.0


class Ground:
    """A Redis, a link to it, and two that want to lead; each has a clock of its own."""

    def __init__(self, server: RedisServer, watched: Watched) -> None:
        self.server = server
        self.link = watched.link
        self.clocks = Clock(), Clock()
        self.first, self.second = (
            VerdictLease(self.link, name, lease_s=LEASE_S, read_clock_s=clock.read_s)
            for name, clock in zip(("first", "second"), self.clocks, strict=True)
        )

    def end_lease(self) -> None:
        """Have its time be over in Redis."""
        assert self.server.command("DEL", LEASE_KEY) == 1

    def count_stored(self) -> int:
        """Return how many fields the hash of verdicts has."""
        return int(self.server.command("HLEN", VERDICTS_KEY))


async def say(lease: VerdictLease, number: int = 1, fence: int | None = None) -> bool:
    """Have one tell a verdict."""
    fence = lease.fence if fence is None else fence
    return await lease.publish(HealthNews(fence, number, (build_verdict(),), 30.0))


@pytest.fixture
async def ground(redis_server: RedisServer) -> AsyncIterator[Ground]:
    """Return two that want to lead over a link that has joined an empty Redis."""
    async with linked(redis_server.unix_url) as watched:
        yield Ground(redis_server, watched)


async def test_one_leads_and_the_other_waits(ground: Ground) -> None:
    """The first to ask leads, also when both ask at once; it goes on with the same fence."""
    assert not ground.first.is_held
    leads = await asyncio.gather(*(each.lead() for each in (ground.first, ground.second)))
    assert leads == [True, False]
    fence = ground.first.fence
    assert await ground.first.lead()
    assert (ground.first.fence, ground.second.fence) == (fence, 0)
    assert not await ground.second.lead()


async def test_a_lease_that_is_not_renewed_goes_to_the_next(ground: Ground) -> None:
    """In Redis it has an end; the next one leads with a greater fence, and neither is alone."""
    assert await ground.first.lead()
    assert 0 < ground.server.command("PTTL", LEASE_KEY) <= LEASE_S * 1000
    ground.end_lease()
    assert await ground.second.lead()
    assert ground.second.fence > ground.first.fence
    ground.end_lease()
    assert await ground.first.lead()
    assert ground.first.fence > ground.second.fence
    assert not ground.first.was_alone


async def test_a_lease_ends_by_ones_own_clock_without_redis(ground: Ground) -> None:
    """Whoever is cut off from Redis stops in time, counted from before it asked."""
    assert await ground.first.lead()
    ground.clocks[0].now_s += LEASE_S - 0.001
    assert ground.first.is_held
    ground.clocks[0].now_s += 0.001
    assert not ground.first.is_held
    assert not await say(ground.first)
    assert ground.count_stored() == 0
    assert await ground.first.lead()
    assert ground.first.was_alone, "nobody else has led since"


async def test_telling_renews_it(ground: Ground) -> None:
    """Whoever tells something leads on, here and in Redis."""
    assert await ground.first.lead()
    ground.server.command("PEXPIRE", LEASE_KEY, 500)
    ground.clocks[0].now_s += LEASE_S - 1
    assert await say(ground.first)
    ground.clocks[0].now_s += LEASE_S - 1
    assert ground.first.is_held
    assert ground.server.command("PTTL", LEASE_KEY) > 500


async def test_i34_a_late_publication_is_refused(ground: Ground) -> None:
    """One that stood still between its last look at the clock and its word, while another took
    over, changes nothing, and leads no more."""
    assert await ground.first.lead()
    ground.end_lease()
    assert await ground.second.lead()
    assert await say(ground.second)
    stored = ground.server.command("HGETALL", VERDICTS_KEY)
    assert ground.first.is_held, "as far as it knows"
    assert not await say(ground.first, number=99)
    assert not ground.first.is_held
    assert ground.server.command("HGETALL", VERDICTS_KEY) == stored
    assert await say(ground.second, number=2)


async def test_news_of_an_older_fence_are_refused(ground: Ground) -> None:
    """What was begun under an earlier lease of one's own is not told under the next."""
    assert await ground.first.lead()
    before = ground.first.fence
    ground.server.command("DEL", LEASE_KEY)
    assert await ground.first.lead()
    assert ground.first.fence > before
    assert not await say(ground.first, fence=before)
    assert ground.first.is_held
    assert ground.count_stored() == 0


async def test_after_flushdb_the_fence_has_grown(ground: Ground) -> None:
    """Redis may lose everything at any time, again and again: no fence is ever given twice."""
    fences = []
    for _ in range(20):
        assert await ground.first.lead()
        fences.append(ground.first.fence)
        assert await say(ground.first)
        ground.server.command("FLUSHDB")
        assert not await say(ground.first, number=2)
        assert not ground.first.is_held
        assert await ground.second.lead()
        fences.append(ground.second.fence)
        ground.server.command("FLUSHDB")
    assert fences == sorted(set(fences))


async def test_who_was_told_of_another_leader_is_not_alone_without_redis_memory(
    ground: Ground,
) -> None:
    """What FLUSHDB takes from Redis the worker itself still knows, until it leads again."""
    assert await ground.first.lead()
    ground.end_lease()
    assert await ground.second.lead()
    assert not await ground.first.lead()
    ground.server.command("FLUSHDB")
    assert await ground.first.lead()
    assert not ground.first.was_alone, "the other one's word was the newer one"
    ground.server.command("FLUSHDB")
    assert await ground.first.lead()
    assert ground.first.was_alone


async def test_a_fence_grows_also_where_the_clock_of_redis_was_set_back(ground: Ground) -> None:
    """As long as the last one is known the next is greater, whatever the time is."""
    future = 2**52
    ground.server.command("SET", FENCE_KEY, future)
    assert await ground.first.lead()
    assert ground.first.fence == future + 1


@pytest.mark.parametrize("key", [LEASE_KEY, FENCE_KEY, VERDICTS_KEY])
async def test_what_stands_in_its_place_does_no_harm(ground: Ground, key: str) -> None:
    """A key of another type, or with nonsense, is as good as none."""
    ground.server.command("RPUSH", key, "x")
    assert await ground.first.lead()
    assert await say(ground.first)
    assert ground.count_stored() == 2
    ground.server.command("DEL", key)
    ground.server.command("RPUSH", key, "x")
    if not await say(ground.first, number=2):
        assert await ground.first.lead()
        assert await say(ground.first, number=3)


async def test_who_ends_well_makes_room_at_once(ground: Ground) -> None:
    """A release lets the next one lead; of one who does not lead it changes nothing."""
    assert await ground.first.lead()
    await ground.second.release()
    assert not await ground.second.lead()
    await ground.first.release()
    assert not ground.first.is_held
    assert await ground.second.lead()
    await ground.first.release()
    assert await ground.second.lead()


async def test_without_redis_nobody_begins_to_lead(own_redis_server: RedisServer) -> None:
    """Who leads does so to the end of the lease, others wait; afterwards one leads again."""
    async with linked(own_redis_server.unix_url) as watched:
        ground = Ground(own_redis_server, watched)
        assert await ground.first.lead()
        own_redis_server.kill()
        assert await ground.first.lead(), "it holds the lease still"
        assert not await say(ground.first)
        assert ground.first.is_held
        assert not await ground.second.lead()
        ground.clocks[0].now_s += LEASE_S
        assert not await ground.first.lead()
        await ground.first.release()
        own_redis_server.start()
        assert await watched.link.wait_joined(PATIENT_S)
        assert await ground.second.lead()


async def test_what_is_over_is_dropped_now_and_then(ground: Ground) -> None:
    """Providers that are gone do not stay in Redis, and in the end nothing does."""
    assert await ground.first.lead()
    gone = tuple(build_verdict(f"pod-{number}", lives_s=0.0) for number in range(20))
    assert await ground.first.publish(HealthNews(ground.first.fence, 1, gone, 30.0))
    assert ground.count_stored() == 21
    assert await say(ground.first, number=16)
    assert ground.count_stored() == 2
    assert 30_000 < ground.server.command("PTTL", VERDICTS_KEY) <= 180_000
