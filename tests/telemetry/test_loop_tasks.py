"""The tasks of the event loop are counted every so often, until the end."""

import asyncio

import pytest

from proxy.telemetry.loop_tasks import LoopTasks

pytestmark = pytest.mark.both_loops


class Counts:
    """Keeps what it is told, and lets a test wait for more."""

    def __init__(self) -> None:
        self.all: list[int] = []
        self._more = asyncio.Event()

    def take(self, count: int) -> None:
        """Keep one."""
        self.all.append(count)
        self._more.set()

    async def wait_for_more(self) -> int:
        """Return the next count."""
        self._more.clear()
        await asyncio.wait_for(self._more.wait(), 20.0)
        return self.all[-1]


async def test_tasks_are_counted_until_they_have_ended() -> None:
    """A task counts for one from its beginning to its end."""
    counts, go_on = Counts(), asyncio.Event()
    before = len(asyncio.all_tasks())
    tasks = LoopTasks(counts.take, count_each_s=0.001)
    assert counts.all == [before]
    running = asyncio.create_task(go_on.wait())
    # One more is there while this test waits in a task of its own.
    while await counts.wait_for_more() <= before + 1:
        continue
    go_on.set()
    await running
    while await counts.wait_for_more() > before + 1:
        continue
    tasks.close()


async def test_nothing_is_counted_behind_the_end() -> None:
    """After `close` nobody is told anything any more."""
    counts = Counts()
    tasks = LoopTasks(counts.take, count_each_s=0.0)
    await counts.wait_for_more()
    tasks.close()
    told = len(counts.all)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(counts.all) == told
