"""Verdicts in memory: believed for their time, never older than what was heard."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.health import HealthNews, HealthVerdict
from proxy.stores.memory_verdicts import MemoryVerdicts, limit_lives_s
from tests.stores.verdict_contract import (
    WORKER_LIVES_S,
    Clock,
    VerdictContract,
    VerdictGround,
    build_verdict,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

NAMES = ("a", "b", "c")


class MemoryGround(VerdictGround):
    """A store, and a health worker that numbers its news."""

    fence = 1_790_000_000_000
    number = 0

    async def tell(self, *verdicts: HealthVerdict, **more: Any) -> HealthNews:
        """Hand over the next piece of news."""
        self.number += 1
        told = {"lives_s": WORKER_LIVES_S, **more}
        news = HealthNews(self.fence, self.number, verdicts, **told)
        self.store.take(news)
        return news

    async def tell_again(self, news: HealthNews) -> None:
        """Hand it over as it is."""
        self.store.take(news)

    async def replace_worker(self) -> None:
        """Begin anew with the next fence."""
        self.fence, self.number = self.fence + 1, 0


@pytest.fixture
async def ground() -> AsyncIterator[MemoryGround]:
    """Return a store that has heard nothing."""
    clock = Clock()
    ground = MemoryGround(MemoryVerdicts(clock.read_s), clock)
    yield ground
    await ground.store.close()


class TestMemoryVerdicts(VerdictContract):
    """It keeps what every store promises."""


async def test_an_end_is_told_without_anybody_asking() -> None:
    """A timer of the loop tells that a verdict is over."""
    store, told = MemoryVerdicts(), asyncio.Queue[list[str]]()
    store.on_change = lambda names: told.put_nowait(list(names))
    store.take(HealthNews(1, 1, (build_verdict(lives_s=0.01), build_verdict("other"))))
    assert await told.get() == ["acme", "other"]
    assert await told.get() == ["acme"]
    assert len(store) == 1
    await store.close()


@pytest.mark.parametrize("lives_s", [math.nan, -1.0, -math.inf, 0.0])
def test_what_lives_for_no_time_is_over_at_once(lives_s: float) -> None:
    """No number, or one below zero, is no time at all."""
    assert limit_lives_s(lives_s) == 0.0


@st.composite
def _histories(draw: st.DrawFn) -> list[HealthNews]:
    """Return what was heard of what several health workers have told: in any order, any number."""
    told, fence, number = [], 1, 0
    for _ in range(draw(st.integers(1, 12))):
        if draw(st.integers(0, 4)) == 0:
            fence, number = fence + draw(st.integers(1, 3)), 0
        number += 1
        names = draw(st.sets(st.sampled_from(NAMES)))
        verdicts = tuple(build_verdict(name, reason=f"{fence} {number}") for name in names)
        is_cleared = draw(st.integers(0, 5)) == 0
        told.append(HealthNews(fence, number, verdicts, WORKER_LIVES_S, is_cleared=is_cleared))
    return draw(st.lists(st.sampled_from(told), max_size=30))


@given(_histories())
def test_what_is_believed_is_never_older_than_what_was_heard(heard: list[HealthNews]) -> None:
    """However news are lost, doubled and out of order: of each provider what was told last is
    believed, out of all news that were newer than those before them, since the last clearing."""
    asyncio.run(_check_beliefs(heard))


async def _check_beliefs(heard: list[HealthNews]) -> None:
    clock = Clock()
    ground = MemoryGround(MemoryVerdicts(clock.read_s), clock)
    newer: list[HealthNews] = []
    for news in heard:
        await ground.tell_again(news)
        if not newer or (news.fence, news.number) > (newer[-1].fence, newer[-1].number):
            newer = [news] if news.is_cleared else [*newer, news]
        believed = {verdict.provider: verdict for each in newer for verdict in each.verdicts}
        assert {name: ground.find(name) for name in NAMES} == {
            name: believed.get(name) for name in NAMES
        }
    await ground.store.close()
