"""Breakers in Redis: the store's promises, whoever else shares it."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from proxy.domain.breaker import CLOSED, BreakerResult, BreakerRules, Permit
from proxy.stores.breaker_messages import CHANNEL, INDEX_KEY, ORDER_KEY, build_keys
from tests.fakes.redis_server import RedisServer
from tests.stores.breaker_contract import FAIL, ID, LEASE_S, BreakerContract, Clock
from tests.stores.redis_stores import RedisGround, opened_store, until

pytestmark = pytest.mark.usefixtures("no_leaks")

KEY, *_ = build_keys(ID)
HOUR_S = 3600.0


@pytest.fixture
def clock() -> Clock:
    """Return the clock that all stores of a test go by."""
    return Clock()


@pytest.fixture
async def ground(redis_server: RedisServer, clock: Clock) -> AsyncIterator[RedisGround]:
    """Return a store that has joined an empty Redis."""
    async with opened_store(redis_server.unix_url, clock) as opened:
        yield opened


@pytest.fixture
async def other(redis_server: RedisServer, clock: Clock) -> AsyncIterator[RedisGround]:
    """Return a store that shares that Redis, as another process would."""
    async with opened_store(redis_server.unix_url, clock) as opened:
        yield opened


class TestRedisBreakers(BreakerContract):
    """It keeps what every store promises."""


async def test_each_process_is_told_of_each_change_once(
    ground: RedisGround, other: RedisGround, clock: Clock
) -> None:
    """Whoever changes it, both are told of the same changes in the same order, none twice."""
    await ground.open()
    clock.now_s += 11
    permits = [await ground.take_permit() for _ in range(3)]
    for permit in permits:
        await ground.give_back(permit, "ok")
    await ground.store.command(ID, "open")
    await until(lambda: len(other.told) >= 4)
    heard_by_poll = len(other.told)
    # Two polls later neither has been told anything again.
    await _poll_twice(ground, other)
    assert (
        other.told
        == ground.told
        == [
            ("closed", "open"),
            ("open", "half_open"),
            ("half_open", "closed"),
            ("closed", "forced_open"),
        ]
    )
    assert heard_by_poll == 4


async def test_others_know_at_once(
    ground: RedisGround, other: RedisGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure that opens a breaker is known to another process that does not poll."""
    monkeypatch.setattr("proxy.stores.redis_breakers.POLL_S", HOUR_S)
    other.redis_store._poll()
    await until(lambda: not other.redis_store._is_polling)
    for number in range(9):
        for _ in range(5):
            ground.store.report(f"acme/{number}", "fail")
        await until(partial(_is_open, other, f"acme/{number}"))


async def test_a_dead_provider_costs_five_attempts_of_all_together(
    redis_server: RedisServer, clock: Clock
) -> None:
    """Requests that come one by one, to four processes in turn: five fail, the rest go by."""
    stores = [opened_store(redis_server.unix_url, clock) for _ in range(4)]
    async with stores[0] as a, stores[1] as b, stores[2] as c, stores[3] as d:
        attempts = 0
        for number in range(40):
            ground = (a, b, c, d)[number % 4]
            view = ground.store.look(ID)
            if view.state == "closed":
                attempts += 1
                ground.store.report(ID, "fail", epoch=view.epoch)
                await ground.settle()
                await until(lambda: len({g.store.look(ID).state for g in (a, b, c, d)}) == 1)
        assert attempts == 5


async def test_it_costs_five_attempts_after_it_was_closed_again_too(
    redis_server: RedisServer, ground: RedisGround, clock: Clock
) -> None:
    """A process that joins later counts from its first report: it knows the epoch by the poll."""
    await ground.open()
    clock.now_s += 11
    for _ in range(3):
        await ground.give_back(await ground.take_permit(), "ok")
    async with opened_store(redis_server.unix_url, clock) as late:
        assert late.store.look(ID).epoch == ground.store.look(ID).epoch > 0
        await late.report(*[FAIL] * 5)
        assert late.store.look(ID).state == "open"


async def test_good_attempts_travel_together(ground: RedisGround) -> None:
    """A thousand good attempts are told with one script, and all of them count."""
    before = ground.link.ops
    for _ in range(1000):
        ground.store.report(ID, "ok")
    await ground.settle()
    assert ground.link.ops - before <= 3  # a poll may have come between
    assert (await ground.read()).calls == 1000


async def test_many_breakers_are_told_before_the_timer(
    ground: RedisGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 32 to tell they are told in the next turn of the loop, and no timer is waited for."""
    monkeypatch.setattr("proxy.stores.redis_breakers.FLUSH_S", HOUR_S)
    for number in range(31):
        ground.store.report(f"acme/{number}", "ok")
    assert ground.redis_store.unsent == 31
    await asyncio.sleep(0)
    assert ground.redis_store.unsent == 31
    ground.store.report("acme/31", "ok")
    await ground.settle()


async def test_what_is_good_and_what_is_not_stay_in_order(ground: RedisGround) -> None:
    """Reports of one turn of the loop are judged in the order in which they were made."""
    results: list[BreakerResult] = [*[FAIL] * 4, "ok", "ok", FAIL, FAIL]
    for result in results:
        ground.store.report(ID, result)
    await ground.settle()
    assert (ground.store.look(ID).state, ground.store.look(ID).failures) == ("closed", 2)


async def test_a_longer_hold_is_known_to_others_by_the_poll(
    ground: RedisGround, other: RedisGround, clock: Clock
) -> None:
    """A hold during another is no change of state; others hear of its end within one poll."""
    await ground.report("hold", hold_s=10, cause="rate_limit")
    await ground.report("hold", hold_s=200, cause="quota")
    await until(lambda: other.store.look(ID).cause == "quota")
    assert other.store.look(ID).retry_at_s - clock.now_s >= 200
    assert other.told == [("closed", "open")]


async def test_whoever_is_cancelled_gives_its_permit_back(
    ground: RedisGround, clock: Clock
) -> None:
    """A request that ends while it asks leaves no permit out: three can still be had."""
    await ground.open()
    clock.now_s += 11
    for _ in range(20):
        asking = asyncio.create_task(ground.store.acquire(ID, LEASE_S))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    await until(lambda: ground.store.look(ID).state == "half_open")
    await ground.settle()
    for _ in range(3):
        await ground.take_permit()
    assert (await ground.read()).permits_in_use == 3


async def test_what_was_reported_is_told_before_the_end(
    redis_server: RedisServer, ground: RedisGround, clock: Clock
) -> None:
    """Good attempts that wait for the timer reach Redis when their process ends."""
    async with opened_store(redis_server.unix_url, clock) as ending:
        for _ in range(7):
            ending.store.report(ID, "ok")
    assert (await ground.read()).calls == 7


async def test_a_failure_is_forgotten_after_a_window(ground: RedisGround, clock: Clock) -> None:
    """A model that has failed once and is not asked for any more takes no room in the views."""
    await ground.report("fail")
    assert ground.store.look(ID).failures == 1
    clock.now_s += 31
    await until(lambda: ground.store.look(ID) is CLOSED)


async def test_i4_flushed_it_begins_closed(
    redis_server: RedisServer, ground: RedisGround, other: RedisGround, clock: Clock
) -> None:
    """After FLUSHALL breakers are closed everywhere within a poll, and old permits are worth 0."""
    await ground.open()
    clock.now_s += 11
    permit = await ground.take_permit()
    await until(lambda: other.store.look(ID).state == "half_open")
    redis_server.command("FLUSHALL")
    await until(lambda: {g.store.look(ID).state for g in (ground, other)} == {"closed"})
    assert ground.told[-1] == other.told[-1] == ("half_open", "closed")
    await ground.give_back(permit, "fail")
    assert (await ground.read()).failure_count == 0
    await ground.open()


async def test_i6_a_script_flush_is_not_seen(
    redis_server: RedisServer, ground: RedisGround
) -> None:
    """Redis that has forgotten the scripts is given them again, and nothing is lost."""
    await ground.report("fail", "fail")
    redis_server.command("SCRIPT", "FLUSH")
    await ground.report("fail", "fail", "fail")
    assert ground.store.look(ID).state == "open"
    assert ground.store.is_shared


@pytest.mark.parametrize(
    "foreign",
    [
        ("SET", KEY, "not msgpack \xff"),
        ("SET", KEY, ""),
        ("SET", KEY, b"\xc1"),
        ("SET", KEY, b"\x9f" + b"\x01" * 15),
        ("SET", KEY, b"\x91" * 2000),
        ("SET", KEY, b"\x93\x01\x02\xa6closed"),
        ("SET", KEY, "x" * 1_000_000),
        ("LPUSH", KEY, "a"),
        ("HSET", KEY, "a", "b"),
        ("SET", INDEX_KEY, "a"),
        ("HSET", INDEX_KEY, "a", "b", "c", ""),
        ("LPUSH", INDEX_KEY, "a"),
        ("SET", ORDER_KEY, "a"),
        ("HSET", ORDER_KEY, "a", "b"),
        ("ZADD", ORDER_KEY, "inf", "a"),
        ("ZADD", ORDER_KEY, "9", ""),
        ("ZADD", ORDER_KEY, "9", "", "10", "a"),
    ],
    ids=lambda words: f"{words[0]} {words[1][-4:]} {len(words[-1])}",
)
async def test_foreign_values_are_as_good_as_none(
    redis_server: RedisServer, ground: RedisGround, foreign: tuple[Any, ...]
) -> None:
    """Whatever stands where a breaker should, it is closed, works, and writes over it."""
    redis_server.command(*foreign)
    assert (await ground.read()).state == "closed"
    await ground.open()
    assert (await ground.read()).state == "open"
    assert redis_server.command("TYPE", KEY) == b"string"
    assert redis_server.command("TYPE", INDEX_KEY) == b"hash"
    assert redis_server.command("TYPE", ORDER_KEY) == b"zset"
    assert ground.store.is_shared


async def test_foreign_entries_and_messages_change_nothing(
    redis_server: RedisServer, ground: RedisGround, other: RedisGround
) -> None:
    """What cannot be read in the index or on the channel is passed over; the rest is heard."""
    redis_server.command("SET", KEY[:-2] + "zz", "x")
    redis_server.command("HSET", INDEX_KEY, KEY.rpartition(":")[2][:-2] + "zz", "\xff junk")
    messages: list[Any] = ["", "junk", b"\xc1", b"\x98" + b"\x01" * 8, "x" * 100_000]
    for junk in messages:
        redis_server.command("PUBLISH", CHANNEL, junk)
    await ground.open()
    await until(lambda: other.store.look(ID).state == "open")
    assert other.told == [("closed", "open")]


async def test_what_is_kept_outlives_every_wait(
    redis_server: RedisServer, ground: RedisGround
) -> None:
    """A breaker is kept for an hour after its last report, or twice its longest wait, or for
    good where an operator has spoken."""
    await ground.open()
    assert 3595 <= redis_server.command("TTL", KEY) <= 3600
    ground.store.rules = BreakerRules(open_ms=4_000_000)
    await ground.report("hold", hold_s=300)
    assert 7995 <= redis_server.command("TTL", KEY) <= 8000
    await ground.store.command(ID, "open")
    assert redis_server.command("TTL", KEY) == -1
    await ground.store.command(ID, "reset")
    assert redis_server.command("TTL", KEY) > 3595


async def test_i17_redis_clock_may_jump(redis_server: RedisServer, ground: RedisGround) -> None:
    """Set back by an hour or to 1970 it holds nothing open for longer than any wait can be;
    set forward it lets a probe in earlier. Nobody is let in without a permit."""
    clock = ground.clock
    for jump_s in (-HOUR_S, HOUR_S, -clock.now_s + 1):
        await ground.store.command(ID, "reset")
        await ground.open()
        clock.now_s += jump_s
        for _ in range(40):
            answer = await ground.store.acquire(ID, LEASE_S)
            if isinstance(answer, Permit):
                break
            assert answer.state == "open"
            assert answer.retry_at_s - clock.now_s <= 330
            clock.now_s += 10
        else:
            pytest.fail("it was never tried again")
        await ground.give_back(answer, "ok")


async def test_i17_views_go_by_the_monotonic_clock(redis_server: RedisServer) -> None:
    """How far Redis's clock is from this process's own does not matter: only waits are told."""
    own = Clock()
    own.now_s = 5.0
    async with opened_store(redis_server.unix_url, own, redis_clock=Clock()) as ground:
        await ground.open()
        assert 14.0 <= ground.store.look(ID).retry_at_s <= 15.0


def _is_open(ground: RedisGround, breaker_id: str) -> bool:
    return ground.store.look(breaker_id).state == "open"


async def _poll_twice(*grounds: RedisGround) -> None:
    """Wait until each has asked for the index twice more."""
    for ground in grounds:
        for _ in range(2):
            before = ground.link.ops
            await until(lambda g=ground, b=before: g.link.ops > b)  # type: ignore[misc]
