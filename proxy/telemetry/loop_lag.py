"""
Measures how late the event loop is, and notices that it stands still, and where.

Whatever holds the loop up holds up every request of the process, and leaves no trace once it is
over. A thread of its own looks from outside. Made by `wiring.py` for each worker.

A loop that waits (for a file, a lock) is seen by a thread that looks on and sees it not turn. A
loop that computes in C keeps the interpreter, so nobody looks; it is known by the processor time
that went by. Of a process that was stopped, or a machine that was frozen, neither is true.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterable
from itertools import islice
from types import FrameType
from typing import NamedTuple

import structlog

from proxy.telemetry.error_place import shorten_path

BEAT_S = 0.025
"""Often enough for five beats to tell a load from a hiccup within 0.2 s."""
BLOCKED_AFTER_S = 1.0
LOOKS = 4
"""How often the loop is looked at within that time."""
WORKED_SHARE = 0.5
"""How much of that time has to be processor time, where nobody could look."""
SHOWN_PLACES = 3

_log = structlog.get_logger("llm_proxy.telemetry.loop")


class _Turn(NamedTuple):
    """When the loop turned, and how much processor time the process had used by then."""

    at_s: float
    worked_s: float


_NEVER = _Turn(0.0, 0.0)


class LagMeter:
    """Measures the running loop from the moment it is made until `close`, beat by beat."""

    def __init__(
        self, on_beat: Callable[[float, float, float], None], beat_s: float = BEAT_S
    ) -> None:
        """
        Call `on_beat` with each beat.

        It is told by how much that is late, how much of this is the loop's own work, and when it
        is by the monotonic clock, all in seconds. What its thread was without the processor since
        the beat before, asleep or because others had it, is not its own.
        """
        self._loop = asyncio.get_running_loop()
        self._on_beat = on_beat
        self._beat_s = beat_s
        self._at_s, self._worked_s = time.monotonic(), time.thread_time()
        self._plan()

    def close(self) -> None:
        """Measure no longer."""
        self._timer.cancel()

    def _plan(self) -> None:
        # Not by the loop's own clock: uvloop's stands still while callbacks run.
        self._due_s = self._at_s + self._beat_s
        self._timer = self._loop.call_later(self._beat_s, self._beat)

    def _beat(self) -> None:
        now_s, worked_s = time.monotonic(), time.thread_time()
        lag_s = max(0.0, now_s - self._due_s)
        away_s = (now_s - self._at_s) - (worked_s - self._worked_s)
        self._at_s, self._worked_s = now_s, worked_s
        self._on_beat(lag_s, max(0.0, lag_s - away_s), now_s)
        self._plan()


class LoopLag:
    """Watches the running loop from the moment it is made until `close`."""

    def __init__(
        self, on_blocked: Callable[[], None], blocked_after_s: float = BLOCKED_AFTER_S
    ) -> None:
        """Call `on_blocked`, from a thread, each time the loop did not turn for so long."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._on_blocked = on_blocked
        self._blocked_after_s = blocked_after_s
        self._look_each_s = blocked_after_s / LOOKS
        self._ended = threading.Event()
        self._turn, self._held = _read_turn(), _NEVER
        self._beat()
        self._thread = threading.Thread(target=self._watch, name="loop-lag", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no longer."""
        self._timer.cancel()
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        before, self._turn = self._turn, _read_turn()
        if self._has_worked(before, self._turn):
            self._held = before
        self._timer = self._loop.call_later(self._look_each_s, self._beat)

    def _has_worked(self, since: _Turn, until: _Turn) -> bool:
        least_s = self._blocked_after_s * WORKED_SHARE
        return (
            until.at_s - since.at_s > self._blocked_after_s
            and until.worked_s - since.worked_s > least_s
        )

    def _watch(self) -> None:
        """Tell each turn after which the loop stood still, once, and when it turned again."""
        told, stands = _NEVER, False
        seen, looks = self._turn, 0
        while not self._ended.wait(self._look_each_s):
            turn = self._turn
            # Looks are counted, not seconds: while the machine stands still, nobody looks.
            looks = looks + 1 if turn is seen else 0
            seen = turn
            if not stands and (looks >= LOOKS or self._has_worked(turn, _read_turn())):
                told, stands = turn, True
                self._report(sys._current_frames().get(self._loop_thread))
            elif self._held.at_s > told.at_s:
                # It let go of the interpreter and turned before this thread had its turn.
                told, stands = self._held, True
                self._report(None)
            if stands and turn is not told:
                _log.info("the event loop turns again", stood_s=round(turn.at_s - told.at_s, 2))
                stands = False

    def _report(self, frame: FrameType | None) -> None:
        # Places only: a line of the log may not hold what the program works on.
        places = _list_places(frame)
        _log.error(
            "the event loop stands still: this is a fault of ours",
            where=_join(place for place, _ in places),
            called_from=_join(place for place, is_ours in places if is_ours),
        )
        self._on_blocked()


def _read_turn() -> _Turn:
    return _Turn(time.monotonic(), time.process_time())


def _list_places(frame: FrameType | None) -> list[tuple[str, bool]]:
    """Return where a thread is, innermost first: `file:line:function`, and whether it is ours."""
    places = []
    while frame is not None:
        file, is_ours = shorten_path(frame.f_code.co_filename)
        places.append((f"{file}:{frame.f_lineno}:{frame.f_code.co_name}", is_ours))
        frame = frame.f_back
    return places


def _join(places: Iterable[str]) -> str:
    """Return as many as a field of the log has room for."""
    return " < ".join(islice(places, SHOWN_PLACES))
