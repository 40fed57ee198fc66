"""Verdicts in Redis: the store's promises, whatever becomes of Redis and of health workers."""

import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.domain.health import HealthNews, HealthState
from proxy.domain.service_errors import HealthWorkerUnavailable
from proxy.stores.redis_link import RedisLink
from proxy.stores.verdict_messages import NEWS_CHANNEL, ORDERS_CHANNEL, VERDICTS_KEY, read_order
from tests.fakes.redis_server import RedisServer
from tests.stores.links import PATIENT_S
from tests.stores.redis_stores import until
from tests.stores.redis_verdicts import RedisVerdictGround, opened_verdicts
from tests.stores.verdict_contract import (
    LIVES_S,
    WORKER_LIVES_S,
    Clock,
    VerdictContract,
    build_verdict,
)
from tests.stores.verdict_walk import STEPS, walk

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
async def ground(redis_server: RedisServer) -> AsyncIterator[RedisVerdictGround]:
    """Return a store that has joined an empty Redis, and two health workers."""
    async with opened_verdicts(redis_server, Clock()) as opened:
        yield opened


@pytest.fixture
async def own_ground(own_redis_server: RedisServer) -> AsyncIterator[RedisVerdictGround]:
    """Return the same with a Redis that may be ended."""
    async with opened_verdicts(own_redis_server, Clock()) as opened:
        yield opened


class TestRedisVerdicts(VerdictContract):
    """It keeps what every store promises."""


async def test_who_joins_late_knows_what_was_told(ground: RedisVerdictGround) -> None:
    """The first poll brings all that is still believed, each with the time that is left of it,
    and nothing that was cleared."""
    await ground.tell(build_verdict("gone"))
    await ground.tell(build_verdict(), is_cleared=True)
    await ground.tell(build_verdict("other", "unhealthy"), is_suspect=True)
    async with opened_verdicts(ground.server, Clock()) as late:
        await until(lambda: len(late.store) == 2)
        assert late.store.is_alive and late.store.is_suspect
        assert (late.find_state(), late.find_state("other")) == ("healthy", "unhealthy")
        late.clock.now_s += WORKER_LIVES_S
        assert not late.store.is_alive
        late.clock.now_s += LIVES_S - WORKER_LIVES_S - PATIENT_S
        assert late.find_state() == "healthy"
        late.clock.now_s += PATIENT_S
        assert late.find_state() is None


async def test_news_are_known_within_a_second_without_the_channel(
    ground: RedisVerdictGround,
) -> None:
    """A store that hears nothing polls: verdicts, a clearing, and that it is suspect."""
    ground.redis_store.is_deaf = True
    await ground.tell(build_verdict("early"))
    took_s = []
    for state in ("unhealthy", "degraded", "healthy"):
        began_s = time.monotonic()
        assert await ground.worker.tell(build_verdict(state=state))
        await until(lambda expected=state: ground.find_state() == expected)  # type: ignore[misc]
        took_s.append(time.monotonic() - began_s)
    assert min(took_s) < 10  # ten times what is promised
    assert ground.find_state("early") == "healthy"
    await ground.tell(build_verdict("other"), is_cleared=True, is_suspect=True)
    assert (ground.find_state(), ground.find_state("early")) == (None, None)
    assert ground.find_state("other") == "healthy"
    assert ground.store.is_suspect


async def test_a_number_that_was_missed_is_asked_for_at_once(ground: RedisVerdictGround) -> None:
    """After a loss the next news are believed at once, and what was lost follows by a poll."""
    await ground.tell(build_verdict(), build_verdict("other"))
    ground.redis_store.is_deaf = True
    assert await ground.worker.tell(build_verdict("other", "unhealthy"))
    ground.redis_store.is_deaf = False
    heard = ground.redis_store.heard
    news = await ground.worker.tell(build_verdict(state="degraded"))
    await until(lambda: ground.redis_store.heard > heard)
    assert ground.find_state() == "degraded"
    assert news is not None
    await ground.until_known(news)
    assert (ground.find_state(), ground.find_state("other")) == ("degraded", "unhealthy")


async def test_what_was_forgotten_does_not_come_back_by_a_poll(
    ground: RedisVerdictGround,
) -> None:
    """A provider that has changed stays unknown although Redis still has its last verdict."""
    first = await ground.tell(build_verdict(), build_verdict("other"))
    ground.redis_store._known = (first.fence, 0)
    ground.store.forget(["acme"])
    await ground.until_known(first)
    assert (ground.find_state(), ground.find_state("other")) == (None, "healthy")
    ground.redis_store.is_deaf = True
    await ground.tell(build_verdict(state="degraded"))
    assert ground.find_state() == "degraded"


async def test_nothing_new_costs_one_small_read(ground: RedisVerdictGround) -> None:
    """A poll of one who knows everything is told no verdict."""
    await ground.tell(*(build_verdict(f"acme-{number}") for number in range(50)))
    heard = ground.redis_store.heard
    ground.server.command("CONFIG", "RESETSTAT")
    before_bytes = _read_sent_bytes(ground.server)
    ground.redis_store._poll()
    await until(lambda: not ground.redis_store._is_polling)
    assert _read_sent_bytes(ground.server) - before_bytes < 5000
    assert ground.redis_store.heard == heard


@pytest.mark.parametrize(
    "words",
    [("FLUSHALL",), ("DEL", VERDICTS_KEY), ("SET", VERDICTS_KEY, "x"), ("HDEL", VERDICTS_KEY, "")],
    ids=" ".join,
)
async def test_what_redis_loses_is_still_believed_and_told_anew(
    ground: RedisVerdictGround, words: tuple[str, ...]
) -> None:
    """Nobody forgets for it; the next news, with a greater fence if need be, count as ever."""
    first = await ground.tell(build_verdict(), build_verdict("other"))
    ground.server.command(*words)
    ground.redis_store._poll()
    await until(lambda: not ground.redis_store._is_polling)
    assert ground.find_state() == "healthy"
    if (again := await ground.worker.tell(build_verdict(state="degraded"))) is None:
        again = await ground.tell(build_verdict(state="degraded"))
        assert again.fence > first.fence
    await ground.until_known(again)
    assert (ground.find_state(), ground.find_state("other")) == ("degraded", "healthy")
    async with opened_verdicts(ground.server, Clock()) as late:
        await until(lambda: late.find_state() == "degraded")


@pytest.mark.parametrize("is_deaf", [True, False])
async def test_a_fence_that_was_too_great_is_outlived(
    ground: RedisVerdictGround, is_deaf: bool
) -> None:
    """Whoever has spoken with it is believed for its time; then those are who speak now, by polls
    as by the channel, with all that they have told."""
    ground.store.take(HealthNews(2**53, 1, (build_verdict(state="unhealthy"),), WORKER_LIVES_S))
    ground.redis_store.is_deaf = is_deaf
    assert await ground.worker.tell(build_verdict(), build_verdict("other"))
    await until(lambda: ground.find_state("other") == "healthy")
    assert ground.find_state() == "unhealthy"
    ground.clock.now_s += LIVES_S
    assert await ground.worker.tell(build_verdict("third"))
    await until(lambda: ground.find_state("third") == "healthy" and ground.store.is_alive)
    await until(lambda: ground.find_state() == "healthy")


async def test_redis_away_and_back(own_ground: RedisVerdictGround) -> None:
    """While it is away what is believed ages, and no order waits; afterwards all goes on."""
    ground = own_ground
    await ground.tell(build_verdict(), build_verdict("other", lives_s=60))
    ground.server.kill()
    with pytest.raises(HealthWorkerUnavailable):
        await ground.redis_store.order("check", (), PATIENT_S)
    assert ground.find_state() == "healthy"
    ground.clock.now_s += 60
    assert (ground.find_state(), ground.find_state("other")) == ("healthy", None)
    ground.server.start()
    for each in (ground.redis_store._link, ground.worker.link):
        assert await each.wait_joined(PATIENT_S)
    assert await ground.worker.tell() is None, "it lost the lease with everything else"
    await ground.tell(build_verdict("other", "warming"))
    assert (ground.find_state(), ground.find_state("other")) == ("healthy", "warming")


async def test_an_order_is_done_when_its_news_are_here(ground: RedisVerdictGround) -> None:
    """It reaches whoever leads, and returns when its verdicts are believed, with the channel and
    without."""
    asked: asyncio.Queue[bytes] = asyncio.Queue()
    link = RedisLink(ground.server.unix_url, operation_s=PATIENT_S)
    link.subscribe(ORDERS_CHANNEL, asked.put_nowait)
    link.start()
    await until(lambda: ground.server.command("PUBSUB", "NUMSUB", ORDERS_CHANNEL)[1] > 0)
    for is_deaf in (False, True):
        ground.redis_store.is_deaf = is_deaf
        waiting = asyncio.create_task(ground.redis_store.order("check", ("acme",), PATIENT_S))
        order = read_order(await asked.get())
        assert order is not None
        assert (order.order, order.names) == ("check", ("acme",))
        assert not waiting.done()
        state: HealthState = "degraded" if is_deaf else "healthy"
        assert await ground.worker.tell(build_verdict(state=state), answered=(order.id,))
        # By then another number may have been told: its id is still among those answered.
        assert await ground.worker.tell()
        await waiting
        assert ground.find_state() == state
    await link.close()


async def test_an_order_that_nobody_carries_out_says_so(ground: RedisVerdictGround) -> None:
    """Without a health worker it ends when its time is over, as 503 with a code of its own."""
    with pytest.raises(HealthWorkerUnavailable) as refused:
        await ground.redis_store.order("clear", (), 0.3)
    assert (refused.value.status, refused.value.code) == (503, "health_worker_unavailable")
    assert not ground.redis_store._orders


async def test_what_nobody_can_read_is_passed_over(ground: RedisVerdictGround) -> None:
    """Anybody may write to Redis: of what is no news and no verdict nothing is believed, and the
    rest still counts."""
    news = await ground.tell(build_verdict())
    for junk in (b"", b"\xc1", b"\x80", b"\x82\xa5fence\xff\xa6number\x01"):
        ground.server.command("PUBLISH", NEWS_CHANNEL, junk)
    ground.server.command("HSET", VERDICTS_KEY, "junk", "x")
    ground.server.command(
        "HSET", VERDICTS_KEY, "more", b"\x94\xcf\x00\x20\0\0\0\0\0\0\x02\x02\xa1{"
    )
    ground.redis_store._known = (news.fence, 0)
    await ground.tell(build_verdict("other"))
    assert (ground.find_state(), ground.find_state("other")) == ("healthy", "healthy")
    assert len(ground.store) == 2


async def test_after_its_end_it_hears_nothing(ground: RedisVerdictGround) -> None:
    """A reply that is still under way when it is closed starts nothing anew."""
    ground.redis_store._poll()
    await ground.redis_store.close()
    await until(lambda: not ground.redis_store._is_polling)
    assert await ground.worker.tell(build_verdict())
    assert ground.redis_store._poll_timer is None
    assert ground.find() is None


def _read_sent_bytes(server: RedisServer) -> int:
    info = server.command("INFO", "stats").decode()
    (line,) = (line for line in info.splitlines() if line.startswith("total_net_output_bytes:"))
    return int(line.partition(":")[2])


def test_beliefs_never_go_back_and_end_at_what_was_told(redis_server: RedisServer) -> None:
    """News lost, doubled and late, polls that are answered late, health workers that take turns
    and a Redis that loses everything: of no provider anything is believed that is older than
    what was believed of it before; and once a poll is through it is all that Redis knows."""
    with redis.Redis(unix_socket_path=str(redis_server.path), protocol=2) as client:

        @settings(max_examples=150)
        @given(
            st.lists(st.sampled_from(STEPS), min_size=20, max_size=60),
            st.randoms(use_true_random=False),
        )
        def check(steps: list[str], chance: random.Random) -> None:
            client.flushdb()
            asyncio.run(walk(client, steps, chance))

        check()
