"""Breakers while Redis is away, slow, full or cut off from some: each process by its own."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.domain.breaker import BreakerChange, Permit
from proxy.stores.breaker_messages import INDEX_KEY, build_keys
from proxy.stores.own_breakers import weaken_rules
from proxy.stores.redis_link import MAX_QUEUED
from tests.fakes.redis_server import RedisServer
from tests.stores.breaker_contract import FAIL, ID, LEASE_S, RULES, Clock
from tests.stores.redis_stores import (
    HASTY_S,
    PATIENT_S,
    WITHIN_S,
    RedisGround,
    opened_store,
    until,
)

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def clock() -> Clock:
    """Return the clock that all stores of a test go by."""
    return Clock()


@pytest.fixture
async def ground(own_redis_server: RedisServer, clock: Clock) -> AsyncIterator[RedisGround]:
    """Return a store that has joined a Redis which may be ended."""
    async with opened_store(own_redis_server.unix_url, clock) as opened:
        yield opened


async def leave(ground: RedisGround) -> None:
    """Have a store notice that its Redis is gone."""
    while ground.store.is_shared:
        await ground.store.read(["acme/other"])


async def test_i1_without_redis_it_works_from_the_start(
    own_redis_server: RedisServer, clock: Clock
) -> None:
    """Redis is away at start: breakers are local at once, and shared soon after it has come."""
    own_redis_server.kill()
    async with opened_store(own_redis_server.unix_url, clock, waits=False) as ground:
        await ground.report(*[FAIL] * 3)
        assert (ground.store.look(ID).state, ground.store.is_shared) == ("open", False)
        assert await ground.store.command("acme/other", "open") is False
        own_redis_server.start()
        await ground.until_shared()
        assert ground.store.look(ID).state == "open"
        reports = await ground.store.read([ID, "acme/other"])
        assert [report.state for report in reports] == ["open", "forced_open"]


async def test_i2_what_is_open_stays_open_when_redis_dies(
    own_redis_server: RedisServer, ground: RedisGround, clock: Clock
) -> None:
    """The rest of each wait goes on locally, operators' words hold, and nobody is told anything."""
    await ground.open()
    await ground.store.command("acme/forced", "open")
    await ground.store.command("acme/disabled", "close")
    clock.now_s += 4
    until_s = ground.store.look(ID).retry_at_s
    told = list(ground.changes)
    own_redis_server.kill()
    await leave(ground)
    view = ground.store.look(ID)
    assert (view.state, view.cause) == ("open", "failures")
    assert abs(view.retry_at_s - until_s) < 0.01
    assert ground.store.look("acme/forced").state == "forced_open"
    assert ground.store.look("acme/disabled").state == "disabled"
    assert not isinstance(await ground.store.acquire(ID, LEASE_S), Permit)
    clock.now_s += 7
    await ground.take_permit()
    assert not isinstance(await ground.store.acquire(ID, LEASE_S), Permit), "one permit locally"
    assert ground.changes[: len(told)] == told
    assert [change.after for change in ground.changes[len(told) :]] == ["half_open"]


async def test_i2_away_three_failures_open_it(
    own_redis_server: RedisServer, ground: RedisGround
) -> None:
    """One process alone opens after three failures in a row, as its first epoch or an older one."""
    await ground.report("fail", "ok")
    assert ground.store.rules_in_force == RULES
    own_redis_server.kill()
    await leave(ground)
    assert ground.store.rules_in_force == weaken_rules(RULES)
    await ground.report("fail", "fail")
    assert ground.store.look(ID).state == "closed"
    ground.store.report(ID, "fail", epoch=0)
    assert ground.store.look(ID).state == "open"
    assert ground.told == [("closed", "open")]


async def test_i2_what_waits_to_be_told_is_not_lost(
    own_redis_server: RedisServer, ground: RedisGround
) -> None:
    """Failures that are on their way when Redis dies count in this process's own machine."""
    own_redis_server.kill()
    for _ in range(3):
        ground.store.report(ID, "fail")
    await leave(ground)
    assert ground.store.look(ID).state == "open"


async def test_i2_attempts_that_began_before_count_after(
    own_redis_server: RedisServer, ground: RedisGround, clock: Clock
) -> None:
    """An attempt that began while a closed-again breaker was shared counts where it ends."""
    await ground.open()
    clock.now_s += 11
    for _ in range(3):
        await ground.give_back(await ground.take_permit(), "ok")
    epoch = ground.store.look(ID).epoch
    own_redis_server.kill()
    await leave(ground)
    for _ in range(3):
        ground.store.report(ID, "fail", epoch=epoch)
    assert ground.store.look(ID).state == "open"


async def test_back_again_redis_learns_what_was_found_out(
    own_redis_server: RedisServer, ground: RedisGround, clock: Clock
) -> None:
    """An opening while Redis was away is in Redis and known to others once it is back."""
    own_redis_server.kill()
    await leave(ground)
    await ground.report("hold", hold_s=100, cause="quota")
    await ground.store.command("acme/forced", "open")
    own_redis_server.start()
    await ground.until_shared()
    async with opened_store(own_redis_server.unix_url, clock) as other:
        view = other.store.look(ID)
        assert (view.state, view.cause) == ("open", "quota")
        assert 100 <= view.retry_at_s - clock.now_s <= 110
        assert other.store.look("acme/forced").state == "forced_open"
    assert ground.store.look(ID).state == "open"
    assert ("closed", "open") in ground.told
    assert len(ground.told) == len(set(ground.changes))


async def test_i1_back_again_it_shares_at_once_however_much_it_has_to_tell(
    own_redis_server: RedisServer, ground: RedisGround, clock: Clock
) -> None:
    """With more openings than the link's queue has places it is shared within two seconds, and
    tells all of them, while each of them holds."""
    own_redis_server.kill()
    await leave(ground)
    ids = [f"acme/{number}" for number in range(MAX_QUEUED + 500)]
    for breaker_id in ids:
        ground.store.report(breaker_id, "hold", hold_s=200, cause="quota")
    own_redis_server.start()
    assert await ground.link.wait_joined(WITHIN_S)
    await ground.until_shared()
    assert ground.link.busy == 0
    assert {ground.store.look(each).state for each in ids} == {"open"}
    # In a quarter of a second it tells a portion; this test has no time for all of them.
    while own_redis_server.command("HLEN", INDEX_KEY) < len(ids):
        assert {ground.store.look(each).state for each in ids[-3:]} == {"open"}
        ground.redis_store._poll()
        await asyncio.sleep(0)
    async with opened_store(own_redis_server.unix_url, clock) as other:
        assert {other.store.look(each).cause for each in ids} == {"quota"}
    assert len(ground.told) == len(ids)


async def test_what_an_own_machine_says_does_not_outlast_the_next_polls(
    own_redis_server: RedisServer, ground: RedisGround, clock: Clock
) -> None:
    """A breaker that this process alone has tried and closed is open again once Redis is heard,
    which knows it as open."""
    await ground.open()
    await until(lambda: ground.redis_store._index._told > 0)
    clock.now_s += 11
    ground.wait_at_most(HASTY_S)
    own_redis_server.command("CLIENT", "PAUSE", 9000, "WRITE")
    permit = await ground.store.acquire(ID, LEASE_S)
    assert isinstance(permit, Permit)
    await ground.settle()
    ground.store.report(ID, "ok", epoch=permit.epoch, token=permit.token)
    assert ground.store.look(ID).state == "closed"
    ground.wait_at_most(PATIENT_S)
    own_redis_server.command("CLIENT", "UNPAUSE")
    async with asyncio.timeout(5):  # long before everything is read again anyway
        await until(lambda: ground.store.look(ID).state != "closed")


async def test_an_own_machine_that_nobody_asks_for_says_nothing_of_the_shared_one(
    ground: RedisGround,
) -> None:
    """That this process forgets its own machine does not close what Redis knows as open."""
    await ground.open()
    ground.redis_store._own.on_change(BreakerChange(ID, "open", "closed", "", 0.0))
    assert ground.store.look(ID).state == "open"
    assert ground.told == [("closed", "open")]


async def test_back_again_it_goes_by_redis(
    own_redis_server: RedisServer, ground: RedisGround, clock: Clock
) -> None:
    """A breaker that Redis has lost with its memory is closed again, and that is told once."""
    await ground.open()
    own_redis_server.kill()
    await leave(ground)
    own_redis_server.start()
    await ground.until_shared()
    # It was taken over and has not moved: there is nothing new to tell, Redis knows better.
    assert ground.store.look(ID).state == "closed"
    assert ground.told == [("closed", "open"), ("open", "closed")]
    await ground.open()


async def test_i3_a_frozen_redis_holds_nobody_up(
    own_redis_server: RedisServer, ground: RedisGround, clock: Clock
) -> None:
    """Frozen: an acquire takes 50 ms at most and then decides locally; it is left, and joined
    again when it goes on."""
    await ground.open()
    clock.now_s += 11
    ground.wait_at_most(HASTY_S)
    own_redis_server.freeze()
    async with asyncio.timeout(20 * HASTY_S):
        first = await ground.store.acquire(ID, LEASE_S)
    assert isinstance(first, Permit)
    assert not isinstance(await ground.store.acquire(ID, LEASE_S), Permit)
    await leave(ground)
    await ground.give_back(first, "ok")
    assert ground.store.look(ID).state == "closed"
    ground.wait_at_most(PATIENT_S)
    own_redis_server.thaw()
    await ground.until_shared()
    assert ground.store.look(ID).state in ("open", "half_open")


async def test_i3_paused_for_a_moment_nothing_is_lost(
    own_redis_server: RedisServer, ground: RedisGround
) -> None:
    """Reports that time out count locally: what opens there is in Redis by the next poll."""
    ground.wait_at_most(HASTY_S)
    own_redis_server.command("CLIENT", "PAUSE", 9000, "WRITE")
    for _ in range(3):
        ground.store.report(ID, "fail")
    await until(lambda: ground.store.look(ID).state == "open")
    ground.wait_at_most(PATIENT_S)
    own_redis_server.command("CLIENT", "UNPAUSE")
    await ground.until_shared()
    await until(lambda: own_redis_server.command("EXISTS", build_keys(ID)[0]) == 1)
    await until(lambda: ground.told[-1] == ("closed", "open"))
    assert (await ground.read()).state == "open"


async def test_i4_a_full_redis_is_as_good_as_none(
    own_redis_server: RedisServer, ground: RedisGround, clock: Clock
) -> None:
    """Redis reads but does not write: failures open it locally, and Redis has it later."""
    own_redis_server.command("CONFIG", "SET", "maxmemory", "1")
    for _ in range(3):
        ground.store.report(ID, "fail")
        await ground.settle()
    assert ground.store.look(ID).state == "open"
    await ground.until_shared(False)
    assert ground.store.look(ID).state == "open"
    own_redis_server.command("CONFIG", "SET", "maxmemory", "0")
    await ground.until_shared()
    await until(lambda: own_redis_server.command("EXISTS", build_keys(ID)[0]) == 1)
    assert ground.told == [("closed", "open")]


async def test_i5_a_redis_that_turns_read_only_is_left(
    own_redis_server: RedisServer, ground: RedisGround
) -> None:
    """As a replica it is no store to share: breakers are local until it is a master again."""
    await ground.open()
    own_redis_server.command("REPLICAOF", "127.0.0.1", "1")
    for _ in range(3):
        ground.store.report("acme/other", "fail")
        await ground.settle()
    await ground.until_shared(False)
    assert ground.store.look(ID).state == "open"
    assert ground.store.look("acme/other").state == "open"
    own_redis_server.command("REPLICAOF", "NO", "ONE")
    await ground.until_shared()
    assert ground.store.look(ID).state == "open"
    assert ground.store.look("acme/other").state == "open"


@pytest.mark.parametrize(("inside_s", "outside_s"), [(30, 100), (100, 30)])
async def test_i9_after_a_partition_the_later_end_wins(
    own_redis_server: RedisServer,
    ground: RedisGround,
    clock: Clock,
    inside_s: float,
    outside_s: float,
) -> None:
    """Two sides open the same breaker, each safe alone; together again both wait for longer."""
    own_redis_server.command("ACL", "SETUSER", "cut", "on", ">pass", "~*", "&*", "+@all")
    url = own_redis_server.url_for("cut", "pass")
    async with opened_store(url, clock) as cut:
        own_redis_server.command("ACL", "SETUSER", "cut", "off")
        own_redis_server.command("CLIENT", "KILL", "USER", "cut")
        await leave(cut)
        await cut.report("hold", hold_s=outside_s, cause="rate_limit")
        await ground.report("hold", hold_s=inside_s, cause="quota")
        own_redis_server.command("ACL", "SETUSER", "cut", "on")
        await cut.until_shared()
        later_s = clock.now_s + max(inside_s, outside_s)
        await until(lambda: ground.store.look(ID).retry_at_s >= later_s)
        for side in (ground, cut):
            assert side.store.look(ID).retry_at_s >= later_s
            assert side.told == [("closed", "open")]


async def test_i9_no_storm_of_probes(own_redis_server: RedisServer, clock: Clock) -> None:
    """Cut off, each process lends one permit and no more."""
    url = own_redis_server.unix_url
    async with opened_store(url, clock) as one, opened_store(url, clock) as two:
        await one.open()
        await until(lambda: two.store.look(ID).state == "open")
        own_redis_server.kill()
        await leave(one)
        await leave(two)
        clock.now_s += 11
        for side in (one, two):
            answers = [await side.store.acquire(ID, LEASE_S) for _ in range(9)]
            assert sum(isinstance(answer, Permit) for answer in answers) == 1


async def test_i9_what_an_operator_reset_meanwhile_stays_reset(
    own_redis_server: RedisServer, ground: RedisGround, clock: Clock
) -> None:
    """A cut-off process that still waits for an old opening does not bring it back."""
    own_redis_server.command("ACL", "SETUSER", "cut", "on", ">pass", "~*", "&*", "+@all")
    async with opened_store(own_redis_server.url_for("cut", "pass"), clock) as cut:
        await ground.open()
        await until(lambda: cut.store.look(ID).state == "open")
        own_redis_server.command("ACL", "SETUSER", "cut", "off")
        own_redis_server.command("CLIENT", "KILL", "USER", "cut")
        await leave(cut)
        assert await ground.store.command(ID, "reset") is True
        assert cut.store.look(ID).state == "open"
        own_redis_server.command("ACL", "SETUSER", "cut", "on")
        await cut.until_shared()
        assert cut.store.look(ID).state == ground.store.look(ID).state == "closed"
