"""One run of something at a time, however many want it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedRun(Generic[T]):
    """
    Runs something for all who ask for it meanwhile.

    Who asks while it runs gets the result of the next run, so that nobody's is older than his
    question; who stops waiting stops it for nobody else.
    """

    def __init__(self, run: Callable[[], Awaitable[T]]) -> None:
        self._run = run
        self._one = asyncio.Lock()
        self._next: asyncio.Task[T] | None = None
        self._tasks: set[asyncio.Task[T]] = set()

    async def __call__(self) -> T:
        """Return what comes of a run that begins from now on."""
        if self._next is None:
            self._next = asyncio.create_task(self._run_next())
            self._tasks.add(self._next)
            self._next.add_done_callback(self._tasks.discard)
        return await asyncio.shield(self._next)

    async def close(self) -> None:
        """Cancel what runs, and who waits for it."""
        tasks, self._next = list(self._tasks), None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_next(self) -> T:
        async with self._one:
            self._next = None
            return await self._run()
