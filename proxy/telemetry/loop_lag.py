"""
Notices that the event loop stands still, and where.

Whatever holds the loop up holds up every request of the process, and leaves no trace once it is
over. A thread of its own looks from outside. Made by `wiring.py` for each worker.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterable
from itertools import islice
from types import FrameType

import structlog

from proxy.telemetry.error_place import shorten_path

BLOCKED_AFTER_S = 1.0
LOOKS = 4
"""How often the loop is looked at within that time."""
SHOWN_PLACES = 3

_log = structlog.get_logger("llm_proxy.telemetry.loop")


class LoopLag:
    """Watches the running loop from the moment it is made until `close`."""

    def __init__(
        self, on_blocked: Callable[[], None], blocked_after_s: float = BLOCKED_AFTER_S
    ) -> None:
        """Call `on_blocked`, from a thread, each time the loop did not turn for so long."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._on_blocked = on_blocked
        self._look_each_s = blocked_after_s / LOOKS
        self._ended = threading.Event()
        self._beat()
        self._thread = threading.Thread(target=self._watch, name="loop-lag", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no longer."""
        self._timer.cancel()
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        self._turned_s = time.monotonic()
        self._timer = self._loop.call_later(self._look_each_s, self._beat)

    def _watch(self) -> None:
        reported_s: float | None = None
        seen_s, looks = self._turned_s, 0
        while not self._ended.wait(self._look_each_s):
            turned_s = self._turned_s
            # Looks are counted, not seconds: while the machine stands still, nobody looks.
            looks = looks + 1 if turned_s == seen_s else 0
            seen_s = turned_s
            if reported_s is not None and turned_s != reported_s:
                _log.info("the event loop turns again", stood_s=round(turned_s - reported_s, 2))
                reported_s = None
            if reported_s is None and looks >= LOOKS:
                reported_s = turned_s
                self._report()

    def _report(self) -> None:
        # Places only: a line of the log may not hold what the program works on.
        places = _list_places(sys._current_frames().get(self._loop_thread))
        _log.error(
            "the event loop stands still: this is a fault of ours",
            where=_join(place for place, _ in places),
            called_from=_join(place for place, is_ours in places if is_ours),
        )
        self._on_blocked()


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
