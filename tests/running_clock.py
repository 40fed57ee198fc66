"""A clock that stands still while this process does: tests' event loops go by it."""

import asyncio
import threading
import time
from functools import cache

TICK_S = 0.005


class RunningClock:
    """
    Tells how long this process could run: a machine that stood still is nobody's fault.

    A thread wakes each `TICK_S`. What it sleeps beyond that, while this process used no CPU,
    is not counted. Waiting for others is counted, and so is a loop that somebody holds up.
    """

    def __init__(self) -> None:
        """Begin to look on, for as long as this process runs."""
        self._lock = threading.Lock()
        self._stood_s = 0.0
        # Not looked up again: tests put clocks of their own in the place of these.
        self._read_clock_s, self._read_cpu_s = time.monotonic, time.process_time
        self._looked_s, self._used_s = self._read_clock_s(), self._read_cpu_s()
        threading.Thread(target=self._watch, name="running-clock", daemon=True).start()

    def now_s(self) -> float:
        """Return the seconds of a clock that begins anywhere, as `time.monotonic` does."""
        with self._lock:
            now_s, used_s = self._read_clock_s(), self._read_cpu_s()
            idle_s = now_s - self._looked_s - (used_s - self._used_s)
            if idle_s > 2 * TICK_S:
                self._stood_s += idle_s - TICK_S
            self._looked_s, self._used_s = now_s, used_s
            return now_s - self._stood_s

    def _watch(self) -> None:
        never = threading.Event()
        while not never.wait(TICK_S):
            self.now_s()


class RunningLoop(asyncio.SelectorEventLoop):
    """The standard library's loop, whose timers do not run out while the machine stands still."""

    def time(self) -> float:
        """Return the seconds that timers and `asyncio.timeout` go by."""
        return _find_clock().now_s()


@cache
def _find_clock() -> RunningClock:
    return RunningClock()
