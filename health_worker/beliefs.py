"""
What is believed of all targets together, and whether what is seen may be believed. Pure.

`verdict.py` decides on one target; here is what one target says about the others: a worker whose
own network is gone sees all of them fail.
"""

import math
from collections.abc import Iterable

from msgspec import Struct

from health_worker.suspicion import Sight, is_cut_off
from health_worker.targets import Target
from health_worker.verdict import Pace, ProbeResult, VerdictMachine
from proxy.domain.health import HealthState, HealthVerdict

WITNESS_S = 2.0
"""Whoever was looked at within this time has said what a witness could say."""


class Change(Struct, frozen=True):
    """A target that is in another state now."""

    target: Target
    before: HealthState
    after: HealthState
    reason: str


class Beliefs:
    """
    Takes what probes came to, and says what there is to tell.

    That a target is silent is told only once the others have been looked at as well: until then it
    is as likely that this machine is cut off. While it seems to be, silence says nothing of
    anybody, and what was made of it before is taken back.
    """

    def __init__(self) -> None:
        self.is_suspect = False
        self._machines: dict[str, VerdictMachine] = {}
        self._targets: dict[str, Target] = {}
        self._sights: dict[str, Sight] = {}
        self._fresh: dict[str, None] = {}
        """Names of which something is to be told, in order."""
        self._unheard: set[str] = set()
        """Names of those that have changed their state, and nobody was told yet."""
        self._looked_s: dict[str, float] = {}
        self._witnesses: set[str] = set()
        """Those whose next look is awaited before a silence is told."""

    @property
    def verdicts(self) -> dict[str, HealthVerdict]:
        """What is believed now, by name; how long it lives is for `take_news` to say."""
        return {
            name: machine.build_verdict(self._targets[name], 0.0)
            for name, machine in self._machines.items()
            if machine.state != "unknown"
        }

    @property
    def is_asking_others(self) -> bool:
        """A silence waits to be told until others have been looked at."""
        return bool(self._witnesses)

    def note(
        self, target: Target, result: ProbeResult, now_s: float, now_at: float
    ) -> Change | None:
        """
        Take note of what a probe came to.

        Args:
            target: what was probed.
            result: what it came to.
            now_s: seconds of a clock that only goes forward.
            now_at: epoch seconds.

        Returns:
            The change of its state, if it has changed.
        """
        name = target.name
        self._targets[name] = target
        self._looked_s[name] = now_s
        self._witnesses.discard(name)
        is_silent = not result.has_answered
        self._sights[name] = Sight(target.is_on_this_machine, is_silent)
        self._judge_oneself()
        if self.is_suspect and is_silent and not target.is_on_this_machine:
            return None
        if result.reading.state == "unknown":
            # Told anew, what was believed before would live on without anybody having looked.
            return None
        machine = self._machines.setdefault(name, VerdictMachine())
        before = machine.state
        has_changed = machine.note(result, now_s, now_at)
        if machine.state == "unknown":
            return None
        self._fresh[name] = None
        if not has_changed:
            return None
        self._unheard.add(name)
        return Change(target, before, machine.state, result.reading.reason)

    def find_witnesses(self, change: Change, names: Iterable[str]) -> set[str]:
        """Return whom to look at before a change is told: nobody, unless a target fell silent."""
        sight = self._sights[change.target.name]
        if not sight.is_unanswered or sight.is_on_this_machine or change.after != "unhealthy":
            return set()
        since_s = self._looked_s[change.target.name] - WITNESS_S
        late = {name for name in names if self._looked_s.get(name, -math.inf) < since_s}
        self._witnesses |= late
        return late

    def pace(self, name: str) -> Pace:
        """Return how soon to look at a target again."""
        machine, sight = self._machines.get(name), self._sights.get(name)
        if machine is None or sight is None:
            return "transition"
        # What is silent and not believed to be down: while this machine seems to be cut off.
        is_open = sight.is_unanswered and machine.state != "unhealthy"
        return "transition" if is_open else machine.pace

    def forget(self, names: Iterable[str]) -> None:
        """Believe nothing of these: they are gone, or something else by the same name."""
        for name in names:
            self._witnesses.discard(name)
            self._drop(name)
            for kept in (self._targets, self._sights, self._looked_s):
                kept.pop(name, None)
        self._judge_oneself()

    def clear(self) -> None:
        """Believe nothing of anybody."""
        self.forget(list(self._targets))
        self._witnesses.clear()

    def take_news(self, now_s: float) -> list[tuple[Target, VerdictMachine]]:
        """Return of whom something new is to be told; it counts as told at `now_s`."""
        if self.is_suspect:
            return []
        told = []
        for name in list(self._fresh):
            machine = self._machines[name]
            is_doubtful = machine.is_unanswered and machine.state == "unhealthy"
            if not (is_doubtful and self._witnesses):
                del self._fresh[name]
                if name in self._unheard:
                    self._unheard.discard(name)
                    machine.begin_cooldown(now_s)
                told.append((self._targets[name], machine))
        return told

    def _judge_oneself(self) -> None:
        was_suspect, self.is_suspect = self.is_suspect, is_cut_off(self._sights.values())
        if was_suspect or not self.is_suspect:
            return
        for name, sight in self._sights.items():
            if sight.is_unanswered and not sight.is_on_this_machine:
                self._take_back(name)

    def _take_back(self, name: str) -> None:
        """Make nothing of a silence; what others have heard already stands, cooldown and all."""
        machine = self._machines.get(name)
        if machine is None:
            return
        if name in self._unheard and machine.state == "unhealthy":
            machine.take_back()
            self._unheard.discard(name)
        else:
            machine.forget_readings()
        if machine.state == "unknown":
            self._drop(name)
        self._fresh.pop(name, None)

    def _drop(self, name: str) -> None:
        self._machines.pop(name, None)
        self._fresh.pop(name, None)
        self._unheard.discard(name)
