"""
Counts the tasks of the event loop: one that never ends shows nowhere else.

Made by `wiring.py` for each worker.
"""

import asyncio
from collections.abc import Callable

COUNT_EACH_S = 5.0
"""Seldom enough to cost nothing: with a thousand tasks one count takes a fifth of a millisecond."""


class LoopTasks:
    """Counts from the moment it is made until `close`."""

    def __init__(self, on_count: Callable[[int], None], count_each_s: float = COUNT_EACH_S) -> None:
        """Call `on_count` every so often with how many tasks of the running loop there are."""
        self._loop = asyncio.get_running_loop()
        self._on_count = on_count
        self._count_each_s = count_each_s
        self._count()

    def close(self) -> None:
        """Count no longer."""
        self._timer.cancel()

    def _count(self) -> None:
        self._on_count(len(asyncio.all_tasks(self._loop)))
        self._timer = self._loop.call_later(self._count_each_s, self._count)
