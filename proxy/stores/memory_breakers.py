"""Circuit breakers in the memory of one process: exact for it, and unknown to others."""

import time
from collections.abc import Callable, Sequence
from itertools import count, islice

from proxy.domain.breaker import (
    CLOSED,
    BreakerCause,
    BreakerChange,
    BreakerCommand,
    BreakerReport,
    BreakerResult,
    BreakerRules,
    BreakerState,
    BreakerView,
    Permit,
)
from proxy.policy.breaker import Breaker

FEWEST_KEPT = 1024
"""Up to here nobody looks for what can be forgotten."""
MOST_FORGOTTEN = 100
"""At once: who hears of changes takes a moment for each."""


class MemoryBreakers:
    """
    A BreakerStore (see `base.py`) that forgets breakers which say nothing.

    Its machines go by milliseconds since the epoch that only ever grow: the wall clock is read
    once, the monotonic one from then on.
    """

    def __init__(
        self,
        rules: BreakerRules,
        read_clock_s: Callable[[], float] = time.monotonic,
        read_wall_s: Callable[[], float] = time.time,
    ) -> None:
        self.rules = rules
        self.on_change: Callable[[BreakerChange], None] = ignore_change
        self._read_clock_s = read_clock_s
        self._offset_s = read_wall_s() - read_clock_s()
        self._breakers: dict[str, Breaker] = {}
        self._views: dict[str, BreakerView] = {}
        self._tokens = count(1)
        self._look_at = FEWEST_KEPT

    def __len__(self) -> int:
        return len(self._breakers)

    def __contains__(self, breaker_id: str) -> bool:
        return breaker_id in self._breakers

    @property
    def is_shared(self) -> bool:
        """Return that no other process sees these."""
        return False

    @property
    def rules_in_force(self) -> BreakerRules:
        """Return the rules that decide now."""
        return self.rules

    def look(self, breaker_id: str) -> BreakerView:
        """Return how a breaker stands (see `base.py`)."""
        return self._views.get(breaker_id, CLOSED)

    async def acquire(self, breaker_id: str, lease_s: float) -> Permit | BreakerView:
        """Ask for one attempt (see `base.py`)."""
        return self.acquire_now(breaker_id, lease_s)

    def acquire_now(self, breaker_id: str, lease_s: float) -> Permit | BreakerView:
        """Do the same at once: nothing here needs to be waited for."""
        breaker = self._breakers.get(breaker_id)
        if breaker is None:
            return CLOSED
        before = breaker.state
        token = str(next(self._tokens))
        now_ms = self._now_ms()
        answer = breaker.acquire(now_ms, self.rules, token, round(lease_s * 1000))
        view = self._note(breaker_id, breaker, before, now_ms)
        return answer if isinstance(answer, Permit) else view

    def report(
        self,
        breaker_id: str,
        result: BreakerResult,
        *,
        epoch: int = 0,
        token: str = "",
        hold_s: float = 0.0,
        cause: BreakerCause = "",
    ) -> None:
        """Take note of how an attempt went (see `base.py`)."""
        now_ms = self._now_ms()
        breaker = self._breakers.get(breaker_id) or self._add(breaker_id, now_ms)
        before, failures = breaker.state, breaker.failures
        breaker.report(now_ms, self.rules, epoch, token, result, round(hold_s * 1000), cause)
        if result != "ok" or before != "closed" or failures:
            self._note(breaker_id, breaker, before, now_ms)

    async def command(self, breaker_id: str, command: BreakerCommand) -> bool:
        """Do what an operator says (see `base.py`)."""
        self.command_now(breaker_id, command)
        return False

    def command_now(self, breaker_id: str, command: BreakerCommand) -> None:
        """Do the same at once."""
        now_ms = self._now_ms()
        breaker = self._breakers.get(breaker_id) or self._add(breaker_id, now_ms)
        before = breaker.state
        breaker.command(command)
        self._note(breaker_id, breaker, before, now_ms)

    async def read(self, breaker_ids: Sequence[str]) -> list[BreakerReport]:
        """Return all that is known about these breakers (see `base.py`)."""
        now_ms = self._now_ms()
        fresh = Breaker.begin(now_ms)
        return [
            describe_breaker(each, self._breakers.get(each, fresh), now_ms, self.rules)
            for each in breaker_ids
        ]

    async def close(self) -> None:
        """Do nothing: there is nobody to tell."""

    def adopt(
        self,
        breaker_id: str,
        wait_s: float,
        trips: int,
        cause: BreakerCause,
        *,
        is_over: bool = False,
    ) -> None:
        """
        Take over what was known elsewhere (see `Breaker.adopt`).

        With `is_over` it is open and its wait has just ended: whoever asks next may try it.
        """
        now_ms = self._now_ms()
        breaker = self._breakers.get(breaker_id) or self._add(breaker_id, now_ms)
        before = breaker.state
        if is_over:
            breaker.adopt(now_ms - 1, 1, trips, cause)
        else:
            breaker.adopt(now_ms, round(wait_s * 1000), trips, cause)
        self._note(breaker_id, breaker, before, now_ms)

    def forget(self) -> None:
        """Forget every breaker: another store speaks for them from now on."""
        self._breakers.clear()
        self._views.clear()

    def describe(self, breaker_id: str) -> tuple[str, float, int, BreakerCause]:
        """Return (id, seconds still to wait, trips, cause) of one that is known."""
        breaker = self._breakers[breaker_id]
        wait_s = breaker.wait_ms(self._now_ms(), self.rules) / 1000
        return breaker_id, wait_s, breaker.trips, breaker.cause

    def _now_ms(self) -> int:
        return int((self._read_clock_s() + self._offset_s) * 1000)

    def _add(self, breaker_id: str, now_ms: int) -> Breaker:
        if len(self._breakers) >= self._look_at:
            self._forget_idle(now_ms)
        breaker = self._breakers[breaker_id] = Breaker.begin(now_ms)
        return breaker

    def _forget_idle(self, now_ms: int) -> None:
        all_idle = (e for e, b in self._breakers.items() if b.is_idle(now_ms, self.rules))
        idle = list(islice(all_idle, MOST_FORGOTTEN))
        for each in idle:
            breaker = self._drop(each)
            if breaker.state != "closed":
                # For those who hear of changes; whoever asks finds it closed as well.
                self.on_change(BreakerChange(each, breaker.state, "closed", "", 0.0))
        left = len(self._breakers)
        is_rest_idle = len(idle) == MOST_FORGOTTEN
        self._look_at = max(FEWEST_KEPT, left + 1 if is_rest_idle else 2 * left)

    def _drop(self, breaker_id: str) -> Breaker:
        """Forget a breaker, and return it."""
        self._views.pop(breaker_id, None)
        return self._breakers.pop(breaker_id)

    def _note(
        self, breaker_id: str, breaker: Breaker, before: BreakerState, now_ms: int
    ) -> BreakerView:
        """Keep the view of a breaker that may have changed, and tell of a change of its state."""
        wait_s = breaker.wait_ms(now_ms, self.rules) / 1000
        view = self._views[breaker_id] = BreakerView(
            state=breaker.state,
            epoch=breaker.epoch,
            retry_at_s=self._read_clock_s() + wait_s,
            cause=breaker.cause,
            failures=breaker.failures,
        )
        if breaker.state != before:
            self.on_change(BreakerChange(breaker_id, before, breaker.state, breaker.cause, wait_s))
        return view


def describe_breaker(
    breaker_id: str, breaker: Breaker, now_ms: int, rules: BreakerRules
) -> BreakerReport:
    """Return all that a machine knows, for those who ask."""
    calls, failed, slow = breaker.sum_window(now_ms, rules)
    return BreakerReport(
        id=breaker_id,
        state=breaker.state,
        cause=breaker.cause,
        failure_count=breaker.failures,
        last_failure_time=breaker.last_failure_ms / 1000 if breaker.last_failure_ms else None,
        retry_in_s=breaker.wait_ms(now_ms, rules) / 1000,
        trips=breaker.trips,
        calls=calls,
        failed_calls=failed,
        slow_calls=slow,
        permits_in_use=sum(lease.expires_ms > now_ms for lease in breaker.leases),
    )


def ignore_change(change: BreakerChange) -> None:
    """Stand in for whoever wants to know of changes."""
