"""One run at a time, shared by all who ask for the next."""

import asyncio

import pytest

from health_worker.discovery.shared_run import SharedRun


class Work:
    """Something that runs until a test lets it go, and then returns its number."""

    def __init__(self) -> None:
        self.begun = 0
        self.goes_on = asyncio.Semaphore(0)
        self.news = asyncio.Condition()

    async def __call__(self) -> int:
        """Run once."""
        self.begun += 1
        number = self.begun
        async with self.news:
            self.news.notify_all()
        await self.goes_on.acquire()
        return number

    async def wait_for(self, begun: int) -> None:
        """Return once so many runs have begun."""
        async with self.news:
            await self.news.wait_for(lambda: self.begun >= begun)


async def test_all_who_ask_meanwhile_share_the_next_run() -> None:
    """However many ask there are two runs at most: the one under way, and the next."""
    work = Work()
    shared = SharedRun(work)
    first = [asyncio.create_task(shared()) for _ in range(100)]
    await work.wait_for(1)
    late = [asyncio.create_task(shared()) for _ in range(100)]
    work.goes_on.release()
    assert await asyncio.gather(*first) == [1] * 100
    await work.wait_for(2)
    work.goes_on.release()
    assert await asyncio.gather(*late) == [2] * 100
    assert work.begun == 2


async def test_who_stops_waiting_stops_it_for_nobody_else() -> None:
    """One that goes away leaves those who wait for the same run."""
    work = Work()
    shared = SharedRun(work)
    first, second = asyncio.create_task(shared()), asyncio.create_task(shared())
    await work.wait_for(1)
    first.cancel()
    work.goes_on.release()
    assert await second == 1


async def test_the_end_leaves_nobody_waiting() -> None:
    """Whoever still waits is cancelled, for the run under way and for the next."""
    work = Work()
    shared = SharedRun(work)
    first = asyncio.create_task(shared())
    await work.wait_for(1)
    second = asyncio.create_task(shared())
    await asyncio.sleep(0)
    await shared.close()
    for task in (first, second):
        with pytest.raises(asyncio.CancelledError):
            await task
