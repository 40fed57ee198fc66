"""Breakers in memory: the store's promises, and only what says something is kept."""

import pytest

from proxy.domain.breaker import CLOSED, BreakerChange, Permit
from proxy.stores.memory_breakers import FEWEST_KEPT, MOST_FORGOTTEN, MemoryBreakers
from tests.stores.breaker_contract import ID, RULES, BreakerContract, Clock, Ground


@pytest.fixture
def ground() -> Ground:
    """Return a store that nothing was reported to."""
    clock = Clock()
    return Ground(MemoryBreakers(RULES, clock.read_s, clock.read_s), clock)


class TestMemoryBreakers(BreakerContract):
    """It keeps what every store promises."""


def test_nobody_shares_it(ground: Ground) -> None:
    """It says of itself that no other process sees it."""
    assert not ground.store.is_shared


async def test_breakers_that_say_nothing_are_forgotten() -> None:
    """However many models are named, no more are kept than twice those that say something."""
    clock = Clock()
    store = MemoryBreakers(RULES, clock.read_s, clock.read_s)
    for number in range(10 * FEWEST_KEPT):
        clock.now_s += 0.1
        store.report(f"acme/{number}", "ok")
    assert len(store) <= 2 * FEWEST_KEPT
    store.report(ID, "hold", hold_s=300)
    for number in range(5 * FEWEST_KEPT):
        clock.now_s += 0.01
        store.report(f"acme/{number}", "ok")
    assert store.look(ID).state == "open"


async def test_open_ones_that_nobody_asks_for_are_forgotten() -> None:
    """Thousands that were opened once go a few at a time, and whoever watches hears it of each."""
    clock, changes = Clock(), list[BreakerChange]()
    store = MemoryBreakers(RULES, clock.read_s, clock.read_s)
    store.on_change = changes.append
    store.command_now("acme/forced", "open")
    for number in range(3 * FEWEST_KEPT):
        store.report(f"acme/{number}", "hold", hold_s=300, cause="quota")
    assert len(store) == 3 * FEWEST_KEPT + 1
    clock.now_s += 3600
    for number in range(3 * FEWEST_KEPT):
        before = len(changes)
        store.report(f"other/{number}", "fail")
        clock.now_s += 0.1
        assert len(changes) - before <= MOST_FORGOTTEN
    assert len(store) <= 2 * FEWEST_KEPT
    assert store.look("acme/7") is CLOSED
    assert store.look("acme/forced").state == "forced_open"
    closed = [change.id for change in changes if change.after == "closed"]
    assert closed == [f"acme/{number}" for number in range(3 * FEWEST_KEPT)]


async def test_old_failures_are_forgotten() -> None:
    """A model that has failed once, and was never asked again, takes room for a window."""
    clock = Clock()
    store = MemoryBreakers(RULES, clock.read_s, clock.read_s)
    for number in range(10 * FEWEST_KEPT):
        clock.now_s += 0.1
        store.report(f"acme/{number}", "fail")
    assert len(store) <= 2 * FEWEST_KEPT


async def test_the_wall_clock_is_read_once() -> None:
    """Whatever the wall clock is set to, an open breaker waits for as long as it was to."""
    clock, wall = Clock(), Clock()
    store = MemoryBreakers(RULES, clock.read_s, wall.read_s)
    store.report(ID, "hold", hold_s=30)
    wall.now_s -= 3_600_000_000.0
    clock.now_s += 20
    assert not isinstance(await store.acquire(ID, 65), Permit)
    wall.now_s = 0.0
    clock.now_s += 14
    assert isinstance(await store.acquire(ID, 65), Permit)


async def test_what_others_knew_can_be_taken_over_and_told() -> None:
    """Adopted openings are open for the rest of their time, and can be told again."""
    clock = Clock()
    store = MemoryBreakers(RULES, clock.read_s, clock.read_s)
    store.adopt(ID, 12.5, 2, "failures")
    store.report("acme/closed", "fail")
    assert store.describe(ID) == (ID, 12.5, 2, "failures")
    clock.now_s += 10
    assert store.describe(ID) == (ID, 2.5, 2, "failures")
    store.forget()
    assert (store.look(ID), len(store)) == (CLOSED, 0)
