"""The loop that probes, believes and tells."""

import asyncio
from typing import Any

import pytest

from health_worker.beliefs import Change
from health_worker.schedule import START_SPREAD_S
from health_worker.targets import Target
from health_worker.verdict import ProbeResult
from health_worker.worker import Watcher
from proxy.domain.health import HealthOrder
from proxy.domain.service_errors import HealthWorkerUnavailable
from tests.health_worker.workers import GOOD, SILENT, WorkerUnderTest, working

pytestmark = pytest.mark.usefixtures("no_leaks")
INTERVAL_S = 60.0


async def see_all(under_test: WorkerUnderTest) -> None:
    """Have everybody probed for the first time, and told."""
    await under_test.move(START_SPREAD_S)
    await under_test.wait_for(lambda: under_test.heard().keys() == under_test.worker.targets.keys())


async def test_everybody_is_probed_and_told() -> None:
    """Each target is asked once, its verdict told with how long it lives, and no more until due."""
    async with working("a", "b", "c") as under_test:
        await see_all(under_test)
        assert under_test.heard() == dict.fromkeys("abc", "healthy")
        assert sorted(under_test.prober.asked) == ["a", "b", "c"]
        verdicts = [v for told in under_test.publisher.told for v in told.verdicts]
        assert {verdict.lives_s for verdict in verdicts} == {3 * INTERVAL_S}
        await under_test.move(1.2 * INTERVAL_S)
        await under_test.wait_for(lambda: len(under_test.prober.asked) == 6)
        assert sorted(under_test.prober.asked) == ["a", "a", "b", "b", "c", "c"]


async def test_a_sign_of_life_is_told_without_news() -> None:
    """Three times in the time that it counts as alive something is told, be it nothing."""
    async with working("a") as under_test:
        await see_all(under_test)
        before = len(under_test.publisher.told)
        await under_test.move(under_test.publisher.lives_s / 3)
        await under_test.wait_for(lambda: len(under_test.publisher.told) > before)
        assert under_test.publisher.told[-1].verdicts == ()


async def test_who_does_not_lead_probes_nobody() -> None:
    """Without the lease nothing is asked and nothing told; with it everything begins."""
    async with working("a", "b") as under_test:
        await under_test.lose_lease()
        assert under_test.worker.verdicts == {}
        under_test.publisher.is_leading = True
        await under_test.move(0.0)
        await under_test.wait_for(lambda: under_test.worker.is_leading)
        await see_all(under_test)
        assert under_test.heard() == dict.fromkeys("ab", "healthy")


async def test_a_lost_lease_ends_probes_that_are_under_way() -> None:
    """Who loses the lease lets go of its probes, of what it believed, and of who waits."""
    async with working("a", "b") as under_test:
        await see_all(under_test)
        under_test.prober.gate.clear()
        under_test.prober.wanted_at_once = 2
        checking = asyncio.create_task(under_test.worker.order("check"))
        await asyncio.wait_for(under_test.prober.are_enough.wait(), 20)
        await under_test.lose_lease()
        with pytest.raises(HealthWorkerUnavailable):
            await asyncio.wait_for(checking, 20)
        assert under_test.prober.at_once == 0


async def test_a_fault_of_one_probe_costs_that_one_only() -> None:
    """An exception of ours while one is asked is no verdict, and the others are told."""
    async with working("a", "b") as under_test:
        under_test.prober.results["a"] = RuntimeError("a fault of ours")
        await under_test.move(START_SPREAD_S)
        await under_test.wait_for(lambda: under_test.heard() == {"b": "healthy"})
        under_test.prober.results["a"] = GOOD
        await under_test.move(1.2 * INTERVAL_S)
        await under_test.wait_for(lambda: "a" in under_test.heard())


async def test_what_is_new_is_probed_at_once() -> None:
    """A provider that an edit adds is asked without delay; one that it takes away no more."""
    async with working("a", "b") as under_test:
        await see_all(under_test)
        under_test.take("b", "c", generation=2)
        await under_test.wait_for(lambda: under_test.heard().get("c") == "healthy")
        assert sorted(under_test.prober.asked) == ["a", "b", "c"]
        assert under_test.prober.kept == ["b", "c"]
        assert under_test.worker.verdicts.keys() == {"b", "c"}


async def test_a_check_asks_everybody_at_the_same_time() -> None:
    """All are asked at once, and the order has come to its end when all is told."""
    names = [f"p{number}" for number in range(20)]
    async with working(*names) as under_test:
        await see_all(under_test)
        under_test.prober.asked.clear()
        under_test.prober.wanted_at_once = len(names)
        under_test.prober.gate.clear()
        checking = asyncio.create_task(under_test.worker.order("check"))
        await asyncio.wait_for(under_test.prober.are_enough.wait(), 20)
        assert not checking.done()
        before = len(under_test.publisher.told)
        under_test.prober.gate.set()
        await asyncio.wait_for(checking, 20)
        assert sorted(under_test.prober.asked) == sorted(names)
        told = {v.provider for t in under_test.publisher.told[before:] for v in t.verdicts}
        assert told == set(names)


async def test_a_check_of_some_asks_these_only() -> None:
    """Names that are known are asked; others cost nothing and hold nobody up."""
    async with working("a", "b", "c") as under_test:
        await see_all(under_test)
        under_test.prober.asked.clear()
        await asyncio.wait_for(under_test.worker.order("check", ("b", "unheard of")), 20)
        assert under_test.prober.asked == ["b"]
        await asyncio.wait_for(under_test.worker.order("check", ("unheard of",)), 20)
        assert under_test.prober.asked == ["b"]


async def test_a_check_of_targets_that_hang_is_answered_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who has asked for it gets what is known by then; those that hang are still being asked."""
    monkeypatch.setattr("health_worker.worker.CHECK_WITHIN_S", 0.05)
    async with working("a", "b") as under_test:
        await see_all(under_test)
        under_test.prober.gate.clear()
        await asyncio.wait_for(under_test.worker.order("check"), 20)
        assert under_test.prober.at_once == 2


async def test_an_order_from_elsewhere_is_told_to_be_answered() -> None:
    """Its name comes with the news that hold what it has asked for."""
    async with working("a") as under_test:
        await see_all(under_test)
        under_test.publisher.on_order("check", ("a",), "order-1")
        await under_test.wait_for(lambda: under_test.publisher.told[-1].answered == ("order-1",))
        assert under_test.prober.asked == ["a", "a"]


async def test_clearing_forgets_and_begins_anew() -> None:
    """What was told is taken back, and everybody is asked again at once."""
    async with working("a", "b") as under_test:
        await see_all(under_test)
        await asyncio.wait_for(under_test.worker.order("clear"), 20)
        assert any(told.is_cleared for told in under_test.publisher.told)
        await under_test.wait_for(lambda: under_test.heard() == dict.fromkeys("ab", "healthy"))
        assert len(under_test.prober.asked) == 4


async def test_a_search_returns_what_it_has_found() -> None:
    """A search is each machine's own: it is made here whether this one leads or not."""

    async def discover() -> dict[str, Any]:
        return {"found": 3}

    delegated: list[HealthOrder] = []

    async def delegate(order: HealthOrder, names: object) -> None:
        delegated.append(order)

    async with working("a", discover=discover, delegate=delegate) as under_test:
        assert await under_test.worker.order("discover") == {"found": 3}
        under_test.publisher.on_order("discover", (), "order-2")
        await under_test.wait_for(lambda: under_test.publisher.told[-1].answered == ("order-2",))
        await under_test.lose_lease()
        assert await under_test.worker.order("discover") == {"found": 3}
        assert await under_test.worker.order("check") == {}
        assert delegated == ["check"]


async def test_a_worker_that_sees_all_fail_tells_no_verdicts() -> None:
    """When everybody falls silent it says that it doubts itself, and nothing of the others."""
    async with working("a", "b", "c") as under_test:
        await see_all(under_test)
        under_test.prober.results = dict.fromkeys("abc", SILENT)
        for _ in range(6):
            await asyncio.wait_for(under_test.worker.order("check"), 20)
        assert under_test.worker.is_suspect
        assert under_test.publisher.told[-1].is_suspect
        assert under_test.heard() == dict.fromkeys("abc", "healthy")
        under_test.prober.results = {}
        await asyncio.wait_for(under_test.worker.order("check"), 20)
        await under_test.wait_for(lambda: not under_test.publisher.told[-1].is_suspect)
        assert under_test.heard() == dict.fromkeys("abc", "healthy")


async def test_one_that_falls_silent_is_told_after_the_others_were_asked() -> None:
    """Before one is told to be down everybody else is looked at, once."""
    async with working("a", "b", "c") as under_test:
        await see_all(under_test)
        under_test.prober.asked.clear()
        under_test.prober.results["a"] = SILENT
        # By then what was seen of the others has grown old.
        await under_test.move(5.0)
        for _ in range(3):
            await asyncio.wait_for(under_test.worker.order("check", ("a",)), 20)
        await under_test.wait_for(lambda: under_test.heard()["a"] == "unhealthy")
        assert sorted(under_test.prober.asked) == ["a", "a", "a", "b", "c"]


async def test_who_watches_hears_of_probes_and_changes() -> None:
    """Each probe is told to the watcher, and each change of a state with what was before."""
    probes: list[str] = []
    changes: list[tuple[str, str, str]] = []

    class Recorder(Watcher):
        def take_probe(self, target: Target, result: ProbeResult) -> None:
            probes.append(target.name)

        def take_change(self, change: Change) -> None:
            changes.append((change.target.name, change.before, change.after))

    async with working("a", watcher=Recorder()) as under_test:
        await see_all(under_test)
    assert (probes, changes) == (["a"], [("a", "unknown", "healthy")])
