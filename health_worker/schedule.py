"""When each target is to be probed next. Pure: time and chance are arguments."""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from health_worker.targets import Target
from health_worker.verdict import Pace
from proxy.domain.health import HealthSettings

START_SPREAD_S = 5.0
"""A worker that starts asks everybody within this time, and not all at the same moment."""
JITTER = 0.2
"""By such a part every wait is longer or shorter, so that several never fall into step."""
MAX_BACK_OFF = 4
MAX_WAIT_S = 300.0
"""What stays down is asked after up to MAX_BACK_OFF intervals, but at least this often."""
LIVES_INTERVALS = 3
"""A verdict outlives two probes that did not come to an end."""


class _Slot(Struct):
    """One target, and when its turn is."""

    target: Target
    due_s: float
    wait_s: float
    """As it is meant, without the jitter."""
    back_off: int = 1
    is_under_way: bool = False


class Schedule:
    """
    Says who is due; whoever probes says when it is done.

    No target is due while a probe of it is under way. A target that has changed is due at once, and
    what comes of a probe that began before the change is not for it.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        """Start with nothing to do; `chance` gives numbers from 0 up to 1."""
        self._chance = chance
        self._settings = HealthSettings()
        self._slots: dict[str, _Slot] = {}

    def update(
        self, targets: Mapping[str, Target], settings: HealthSettings, now_s: float
    ) -> set[str]:
        """
        Go by other targets or settings from now on.

        Returns:
            The names of targets that are gone, or are another endpoint by the same name now.
        """
        is_start = not self._slots
        self._settings = settings
        slots: dict[str, _Slot] = {}
        changed = self._slots.keys() - targets.keys()
        for name, target in targets.items():
            slot = self._slots.get(name)
            interval_s = self._interval_s(target)
            if slot is None:
                spread_s = self._chance() * min(interval_s, START_SPREAD_S) if is_start else 0.0
                slots[name] = _Slot(target, now_s + spread_s, interval_s)
                continue
            slots[name] = slot
            if not slot.target.is_asked_like(target):
                changed.add(name)
                slot.due_s, slot.wait_s, slot.back_off = now_s, interval_s, 1
            elif slot.wait_s > self._longest_s(interval_s):
                slot.wait_s = interval_s
                slot.due_s = min(slot.due_s, now_s + self._jitter(interval_s))
            slot.target = target
        self._slots = slots
        return changed

    def take_due(self, now_s: float) -> list[Target]:
        """Return whose turn it is; each is under way from now on, until `finish`."""
        due = [s for s in self._slots.values() if s.due_s <= now_s and not s.is_under_way]
        for slot in due:
            slot.is_under_way = True
        return [slot.target for slot in due]

    def next_due_s(self) -> float | None:
        """Return when the next turn is; None: not before a probe that is under way has ended."""
        return min((s.due_s for s in self._slots.values() if not s.is_under_way), default=None)

    def due_now(self, names: Iterable[str] | None, now_s: float) -> None:
        """Make these due at once, or all; those under way are asked already."""
        for name in self._slots.keys() if names is None else names:
            slot = self._slots.get(name)
            if slot is not None and not slot.is_under_way:
                slot.due_s = min(slot.due_s, now_s)

    def under_way(self) -> set[str]:
        """Return the names of those that are being asked."""
        return {name for name, slot in self._slots.items() if slot.is_under_way}

    def is_current(self, target: Target) -> bool:
        """Return whether what was asked is still what stands there by that name."""
        slot = self._slots.get(target.name)
        return slot is not None and slot.target.is_asked_like(target)

    def finish(self, target: Target, pace: Pace, now_s: float) -> None:
        """Take note that a probe has ended, and how soon the next one is wanted."""
        slot = self._slots.get(target.name)
        if slot is None:
            return
        slot.is_under_way = False
        if not slot.target.is_asked_like(target):
            slot.due_s = now_s
            return
        interval_s = self._interval_s(slot.target)
        if pace == "down":
            # At least the interval, also where that is longer than any wait ought to be.
            slot.wait_s = max(interval_s, min(interval_s * slot.back_off, MAX_WAIT_S))
            slot.back_off = min(slot.back_off * 2, MAX_BACK_OFF)
        else:
            slot.back_off = 1
            fast_s = self._settings.transition_interval_s
            slot.wait_s = min(fast_s, interval_s) if pace == "transition" else interval_s
        slot.due_s = now_s + self._jitter(slot.wait_s)

    def lives_s(self, name: str) -> float:
        """
        Return for how long a verdict on a target may be believed; 0 if there is no such target.

        Three intervals; of what is asked less often than that, until an interval after the next
        probe must have ended.
        """
        slot = self._slots.get(name)
        if slot is None:
            return 0.0
        interval_s = self._interval_s(slot.target)
        # Not three of the long waits: what a worker that has died said last would outlive it by
        # far, and of all it said only what was bad.
        to_next_s = slot.wait_s * (1.0 + JITTER) + self._settings.timeout_s + interval_s
        return max(LIVES_INTERVALS * interval_s, to_next_s if slot.back_off > 1 else 0.0)

    def _interval_s(self, target: Target) -> float:
        settings = self._settings
        if target.is_local:
            return min(settings.local_interval_s, settings.interval_s)
        return settings.interval_s

    def _longest_s(self, interval_s: float) -> float:
        return max(interval_s, min(interval_s * MAX_BACK_OFF, MAX_WAIT_S))

    def _jitter(self, wait_s: float) -> float:
        return wait_s * (1.0 - JITTER + 2.0 * JITTER * self._chance())
