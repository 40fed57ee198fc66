"""Workers come up, are replaced when they are lost, and are replaced one by one on request."""

import asyncio

import pytest

from proxy.control.messages import BreakerOrder, Publish, Verdicts
from proxy.domain.health import HealthNews
from proxy.supervisor import fleet as fleet_module
from tests.supervisor.fleets import running

pytestmark = pytest.mark.usefixtures("no_leaks")
RESPAWN_PROMISE_S = 1.0
SLACK = 10


async def test_all_of_them_come_up() -> None:
    """Every worker serves, and each serves a snapshot that is published later."""
    async with running("good", count=3) as under_test:
        assert await under_test.fleet.wait_until_ready()
        assert under_test.fleet.ready_count == under_test.fleet.count == 3
        assert await under_test.fleet.publish(Publish(2, ()), 10.0)
        assert len(under_test.fleet.pids) == 3


async def test_a_start_that_fails_is_told() -> None:
    """A worker that dies before it serves makes the start a failure."""
    async with running("dies") as under_test:
        assert not await under_test.fleet.wait_until_ready()


async def test_a_dead_worker_is_replaced() -> None:
    """A worker that is killed has a successor at once, which serves what is in force."""
    async with running("good", count=2) as under_test:
        await under_test.fleet.wait_until_ready()
        killed_s = asyncio.get_running_loop().time()
        under_test.spawned[0].process.kill()
        await under_test.wait_for(lambda: len(under_test.spawned) == 3)
        await under_test.wait_for(lambda: under_test.fleet.ready_count == 2)
        assert asyncio.get_running_loop().time() - killed_s < RESPAWN_PROMISE_S * SLACK
        assert under_test.restarts == ["died"]


async def test_one_that_does_not_answer_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without a sign of life is ended by the watchdog, and replaced."""
    monkeypatch.setattr(fleet_module, "SILENT_FOR_S", 0.2)
    monkeypatch.setattr(fleet_module, "PING_EACH_S", 0.05)
    async with running("deaf", "good") as under_test:
        await under_test.fleet.wait_until_ready()
        await under_test.wait_for(lambda: under_test.restarts == ["unresponsive"])
        await under_test.wait_for(lambda: under_test.fleet.ready_count == 1)


async def test_dying_again_and_again_is_slowed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second early death on a successor waits, each time twice as long."""
    waits: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds != fleet_module.PING_EACH_S:
            waits.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    async with running("dies") as under_test:
        await under_test.wait_for(lambda: len(under_test.restarts) >= 6)
    assert waits[:4] == [0.4, 0.8, 1.6, 3.2]


async def test_a_rolling_restart_replaces_every_worker() -> None:
    """Each has a successor that serves before it leaves; in between none is missing."""
    async with running("good", count=2) as under_test:
        await under_test.fleet.wait_until_ready()
        before = set(under_test.fleet.pids)
        assert await under_test.fleet.roll() == 2
        assert under_test.fleet.ready_count == 2
        for spawned in under_test.spawned[:2]:
            assert await asyncio.to_thread(spawned.process.wait, 20) == 0
        await under_test.wait_for(lambda: not before & set(under_test.fleet.pids))
        assert under_test.restarts == ["asked", "asked"]


async def test_a_rolling_restart_keeps_the_old_ones_if_a_new_one_fails() -> None:
    """A new worker that does not come up costs nothing: the old ones go on serving."""
    async with running("good", "good", "dies", count=2) as under_test:
        await under_test.fleet.wait_until_ready()
        before = {spawned.process.pid for spawned in under_test.spawned}
        assert await under_test.fleet.roll() == 0
        assert under_test.fleet.ready_count == 2
        assert before <= set(under_test.fleet.pids)


async def test_one_that_overstays_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drain has an end, also where a worker does not end by itself."""
    monkeypatch.setattr(fleet_module, "KILL_AFTER_S", 0.1)
    async with running("stays") as under_test:
        await under_test.fleet.wait_until_ready()
        under_test.fleet.drain(0.1, 0.0)
        await under_test.fleet.wait_until_ended()
        assert under_test.spawned[0].process.poll() == -9


async def test_a_snapshot_that_is_not_taken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a worker does not acknowledge in time, publishing says so and goes on."""
    async with running("slow") as under_test:
        await under_test.fleet.wait_until_ready()
        assert not await under_test.fleet.publish(Publish(2, ()), 0.1)


async def test_what_is_published_while_workers_change_reaches_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A snapshot that comes into force while a successor starts is served by the successor."""
    async with running("good", count=2) as under_test:
        await under_test.fleet.wait_until_ready()
        published: list[asyncio.Task[bool]] = []

        def publish() -> None:
            under_test.publish = Publish(len(published) + 2, ())
            published.append(
                asyncio.create_task(under_test.fleet.publish(under_test.publish, 10.0))
            )

        under_test.on_spawn = publish
        assert await under_test.fleet.roll() == 2
        assert await asyncio.gather(*published) == [True, True]
        assert under_test.fleet.served_generations == (3, 3)


async def test_a_drain_reaches_a_worker_that_is_just_coming() -> None:
    """Told to end while a successor of a lost worker starts, all of them end by themselves."""
    async with running("good") as under_test:
        await under_test.fleet.wait_until_ready()
        under_test.on_spawn = lambda: under_test.fleet.drain(5.0, 0.0)
        under_test.spawned[0].process.kill()
        await under_test.wait_for(lambda: len(under_test.spawned) == 2)
        async with asyncio.timeout(15):
            await under_test.fleet.wait_until_ended()
        assert under_test.spawned[1].process.poll() == 0


async def test_a_drain_during_a_rolling_restart_ends_all() -> None:
    """Told to end in the middle of a rolling restart, old and new workers end by themselves."""
    async with running("good", count=2) as under_test:
        await under_test.fleet.wait_until_ready()
        under_test.on_spawn = lambda: under_test.fleet.drain(5.0, 0.0)
        assert await under_test.fleet.roll() == 0
        async with asyncio.timeout(15):
            await under_test.fleet.wait_until_ended()
        assert {spawned.process.poll() for spawned in under_test.spawned} == {0}


async def test_an_order_for_breakers_reaches_all_and_those_that_come_later() -> None:
    """Each worker gets it once; what is in force is among the first things a successor hears."""
    order = BreakerOrder("up/m", "open")
    async with running("good", count=2) as under_test:
        await under_test.fleet.wait_until_ready()
        assert under_test.fleet.order(order) == 2
        await under_test.wait_for(lambda: len(under_test.asked) == 2)
        under_test.breakers = (order, BreakerOrder("key:up", "close"))
        under_test.spawned[0].process.kill()
        await under_test.wait_for(lambda: len(under_test.asked) == 4)
    bodies = [ask.body for ask in under_test.asked]
    assert bodies == [b"open up/m", b"open up/m", b"open up/m", b"close key:up"]


async def test_what_one_worker_tells_the_others_hear() -> None:
    """An event is passed on to every worker but the one that it comes from."""
    async with running("good", "good", "tells", count=3) as under_test:
        await under_test.wait_for(lambda: len(under_test.asked) == 2)
        await under_test.fleet.wait_until_ready()
        assert [(ask.what, ask.body) for ask in under_test.asked] == [
            ("heard", b"what happened"),
            ("heard", b"what happened"),
        ]
        # So does whoever listens beside the workers: the health worker.
        assert [event.name for told in under_test.events for event in told.events] == ["breaker"]


async def test_verdicts_reach_all_and_those_that_come_later() -> None:
    """Each worker hears what is told of providers, and a successor what is still believed."""
    async with running("good", count=2) as under_test:
        await under_test.fleet.wait_until_ready()
        under_test.fleet.tell(Verdicts(HealthNews(1, 1)))
        await under_test.wait_for(lambda: len(under_test.asked) == 2)
        under_test.verdicts = Verdicts(HealthNews(1, 2))
        under_test.spawned[0].process.kill()
        await under_test.wait_for(lambda: len(under_test.asked) == 3)
    assert [ask.body for ask in under_test.asked] == [b"1", b"1", b"2"]


async def test_a_lost_worker_and_a_rolling_restart_fill_one_place_once() -> None:
    """A worker that dies while all are replaced has one successor, not one from each."""
    async with running("good") as under_test:
        await under_test.fleet.wait_until_ready()
        for _ in range(2):
            under_test.spawned[-1].process.kill()
            await under_test.fleet.roll()
            await under_test.wait_for(lambda: under_test.fleet.ready_count == 1)
        await under_test.wait_for(lambda: len(under_test.fleet.pids) == 1)


async def test_an_end_that_comes_with_the_news_ends_the_waiting() -> None:
    """Who is cancelled in the same turn as what it waits for comes is cancelled all the same."""
    event = asyncio.Event()
    waiting = asyncio.create_task(fleet_module._wait(event, 10.0))
    await asyncio.sleep(0)
    event.set()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
