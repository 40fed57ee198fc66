"""What a health worker hears of circuit breakers."""

from typing import Any

import msgspec

from health_worker.api_breakers import FORGET_AFTER_S, SharedBreakers, ToldBreakers
from proxy.domain.breaker import BreakerRules
from proxy.domain.catalog import Provider
from proxy.domain.event import Event
from proxy.stores.memory_breakers import MemoryBreakers

A = Provider("a", "openai", "http://a", models=("m", "n"))


class Clock:
    """Epoch seconds that a test sets."""

    now_at = 1000.0

    def __call__(self) -> float:
        """Return them."""
        return self.now_at


def build_event(breaker_id: str, after: str, **fields: Any) -> Event:
    """Return what a worker tells of a breaker of `a`."""
    data = {"id": breaker_id, "provider": "a", "after": after, "worker": 0, **fields}
    return Event("breaker", 1000.0, msgspec.json.encode(data))


async def read(breakers: ToldBreakers) -> tuple[str, str] | None:
    """Return id and state of the worst that is known of `a`."""
    report = (await breakers.read_worst([A])).get("a")
    return None if report is None else (report.id, report.state)


async def test_the_worst_of_what_was_told_is_kept_until_it_closes() -> None:
    """Worker by worker: what closes in one is still open in the other."""
    breakers = ToldBreakers(Clock())
    assert await read(breakers) is None
    breakers.take([build_event("a/m", "half_open"), build_event("a/n", "open")])
    breakers.take([build_event("a/n", "open", worker=1)])
    assert await read(breakers) == ("a/n", "open")
    breakers.take([build_event("a/n", "closed")])
    assert await read(breakers) == ("a/n", "open")
    breakers.take([build_event("a/n", "closed", worker=1)])
    assert await read(breakers) == ("a/m", "half_open")


async def test_what_was_not_heard_of_for_long_is_forgotten() -> None:
    """But for an operator's order, which has no end."""
    clock = Clock()
    breakers = ToldBreakers(clock)
    breakers.take([build_event("a/m", "open")])
    clock.now_at += FORGET_AFTER_S
    assert await read(breakers) is None
    breakers.take([build_event("a/n", "forced_open")])
    clock.now_at += FORGET_AFTER_S
    assert await read(breakers) == ("a/n", "forced_open")


async def test_breakers_of_a_provider_that_is_gone_are_forgotten() -> None:
    """Of those that are kept everything stays."""
    breakers = ToldBreakers(Clock())
    breakers.take([build_event("a/m", "open")])
    breakers.keep({"a", "b"})
    assert await read(breakers) == ("a/m", "open")
    breakers.keep({"b"})
    assert await read(breakers) is None


async def test_other_events_are_passed_over() -> None:
    """And those that cannot be read."""
    breakers = ToldBreakers(Clock())
    breakers.take([Event("provider", 1.0, b"{}"), Event("breaker", 1.0, b"[]")])
    breakers.take([build_event("a/m", "in_pieces")])
    assert await read(breakers) is None


async def test_shared_breakers_are_those_of_the_store() -> None:
    """The worst of the deployments, the host and the key, with all that is known of it."""
    store = MemoryBreakers(BreakerRules(consecutive=2))
    for _ in range(2):
        store.report("a/n", "fail", epoch=store.look("a/n").epoch)
    report = (await SharedBreakers(store).read_worst([A]))["a"]
    assert (report.id, report.state, report.failure_count) == ("a/n", "open", 2)
