"""A clock that stands still while this process does: tests' event loops go by it."""

import asyncio
import os
import threading
import time
from contextlib import suppress
from functools import cache
from typing import Any

TICK_S = 0.005
_LOOK_S = 0.001
"""A wait for the CPU that is shorter is counted off with the next one: asking costs time, too."""


class RunningClock:
    """
    Tells how long this process could run: a machine that stood still is nobody's fault.

    A thread wakes each `TICK_S`. What it sleeps beyond that, while this process used no CPU,
    is not counted, nor is what the main thread waits for a CPU that others use. Waiting for
    others is counted, and so is a loop that somebody holds up.
    """

    def __init__(self) -> None:
        """Begin to look on, for as long as this process runs."""
        self._lock = threading.Lock()
        self._stood_s = 0.0
        self._stood_unseen_s = 0.0
        self._told_s = 0.0
        # Not looked up again: tests put clocks of their own in the place of these.
        self._read_clock_s, self._read_cpu_s = time.monotonic, time.process_time
        self._main = threading.main_thread().ident
        self._delays = _open_delays()
        self._looked_s, self._used_s = self._read_clock_s(), self._read_cpu_s()
        self._main_looked_s, self._delayed_s = self._looked_s, self._read_delay_s()
        threading.Thread(target=self._watch, name="running-clock", daemon=True).start()

    def now_s(self) -> float:
        """Return the seconds of a clock that begins anywhere, as `time.monotonic` does."""
        with self._lock:
            now_s, used_s = self._read_clock_s(), self._read_cpu_s()
            idle_s = now_s - self._looked_s - (used_s - self._used_s)
            if idle_s > 2 * TICK_S:
                self._stood_s += idle_s - TICK_S
                self._stood_unseen_s += idle_s - TICK_S
            worked_s = used_s - self._used_s
            self._looked_s, self._used_s = now_s, used_s
            if now_s - self._main_looked_s > _LOOK_S and threading.get_ident() == self._main:
                # The kernel tells of a wait when it is over: only this thread knows of all.
                delayed_s = self._read_delay_s()
                self._stood_s += max(0.0, delayed_s - self._delayed_s - self._stood_unseen_s)
                self._main_looked_s, self._delayed_s, self._stood_unseen_s = now_s, delayed_s, 0.0
            # What has been worked is over, whatever was told to have stood.
            self._told_s = max(self._told_s + worked_s, now_s - self._stood_s)
            return self._told_s

    def _read_delay_s(self) -> float:
        """Return how long the main thread has waited for a CPU, 0 where no kernel tells."""
        return int(os.pread(self._delays, 64, 0).split()[1]) / 1e9 if self._delays else 0.0

    def _watch(self) -> None:
        never = threading.Event()
        while not never.wait(TICK_S):
            self.now_s()


class RunningLoop(asyncio.SelectorEventLoop):
    """The standard library's loop, whose timers do not run out while the machine stands still."""

    def time(self) -> float:
        """Return the seconds that timers and `asyncio.timeout` go by."""
        return _find_clock().now_s()


class RunningTime:
    """Stands in the place of the module `time` where its clock has to be that of the loop."""

    def __getattr__(self, name: str) -> Any:
        """Return what the module has, but for that clock."""
        return getattr(time, name)

    @staticmethod
    def monotonic() -> float:
        """Return what a RunningLoop would."""
        return _find_clock().now_s()


def _open_delays() -> int:
    """Return the file in which the kernel tells what the main thread waits for, 0 if none."""
    with suppress(OSError):
        name = f"/proc/self/task/{threading.main_thread().native_id}/schedstat"
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    return 0


@cache
def _find_clock() -> RunningClock:
    return RunningClock()
