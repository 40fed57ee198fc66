"""
What is believed of one target: readings in, a state out that does not flap. Pure.

Three failures in a row make a target unhealthy, two good answers make it healthy again (the
`fall` and `rise` of HAProxy); between two changes there is always a cooldown.
"""

from collections import deque
from statistics import median
from typing import Literal

from msgspec import Struct

from health_worker.targets import Target
from proxy.domain.health import HealthState, HealthVerdict, ProbeReading

FALL = 3
RISE = 2
TOLD_TWICE = 2
"""How often a server must say itself that it refuses our key, asks us to wait, or is not ready."""
COOLDOWN_S = 30.0
"""At least so long a state stands before the next: longer than any burst of flapping probes."""
SLOW_S = 2.0
SLOW_FACTOR = 3.0
"""An answer is slow if it takes longer than SLOW_S, and than so many times what is usual."""
_TIMES_KEPT = 32
_NAMES_SHOWN = 3

Pace = Literal["steady", "transition", "down"]
"""
How soon to look again: `steady` at the usual interval, `transition` soon, as the last reading does
not agree with the state yet, `down` later and later, as nothing changes there.
"""
_AT_REST: frozenset[HealthState] = frozenset(("unhealthy", "key_rejected", "rate_limited"))


class ProbeResult(Struct, frozen=True):
    """What one probe came to."""

    reading: ProbeReading
    response_time_s: float | None = None
    """From the request to the end of the answer; None: there was none."""
    has_answered: bool = True
    """Somebody has spoken HTTP: whatever is wrong, this machine is not cut off from it."""


class VerdictMachine:
    """
    How one target stands.

    The first reading decides at once; from then on each change needs its number of readings in a
    row, and COOLDOWN_S since the change before it. What those of one kind do not decide, FALL
    readings in a row that all contradict the state do.
    """

    def __init__(self, cooldown_s: float = COOLDOWN_S) -> None:
        self.state: HealthState = "unknown"
        self.since_at = 0.0
        self.is_unanswered = False
        """Nobody has answered the last probe."""
        self._cooldown_s = cooldown_s
        self._changed_s: float | None = None
        self._before: tuple[HealthState, str, float, float | None] = ("unknown", "", 0.0, None)
        self._reason = ""
        self._doubt = ""
        self._checked_at = 0.0
        self._response_time_s: float | None = None
        self._models: tuple[str, ...] = ()
        self._times_s: deque[float] = deque(maxlen=_TIMES_KEPT)
        self._last: HealthState = "unknown"
        self._same = 0
        self._against = 0

    def note(self, result: ProbeResult, now_s: float, now_at: float) -> bool:
        """
        Take note of what a probe came to.

        Args:
            result: what it came to; a reading of `unknown` says nothing.
            now_s: seconds of a clock that only goes forward.
            now_at: epoch seconds, to be shown.

        Returns:
            Whether the state is another one now.
        """
        self._checked_at = now_at
        self._response_time_s = result.response_time_s
        self.is_unanswered = not result.has_answered
        reading = self._weigh_time(result)
        if reading.models:
            self._models = reading.models
        if reading.state == "unknown":
            return False
        self._same = self._same + 1 if reading.state == self._last else 1
        self._last = reading.state
        if reading.state == self.state:
            self._against = 0
            self._reason, self._doubt = reading.reason, ""
            return False
        self._against += 1
        if self.state == "unknown":
            # One slow answer is no state, and it is an answer.
            first: HealthState = "healthy" if reading.state == "degraded" else reading.state
            self._become(first, reading.reason, now_at, None)
            return True
        is_enough = self._same >= _count_needed(self.state, reading.state) or self._against >= FALL
        is_early = self._changed_s is not None and now_s - self._changed_s < self._cooldown_s
        if not is_enough or is_early:
            self._doubt = reading.reason
            return False
        self._become(reading.state, reading.reason, now_at, now_s)
        return True

    def forget_readings(self) -> None:
        """Count nothing of what was read last: it takes as much as ever to change the state."""
        self._same = self._against = 0
        self._last, self._doubt = self.state, ""

    def take_back(self) -> None:
        """Be in the state before the last change again, which nobody has heard of."""
        self.state, self._reason, self.since_at, self._changed_s = self._before
        self.forget_readings()

    def begin_cooldown(self, now_s: float) -> None:
        """Let the state stand from now on: only now others hear of the last change."""
        if self._changed_s is not None:
            self._changed_s = now_s

    @property
    def pace(self) -> Pace:
        """How soon to look again."""
        if self._last != self.state:
            return "transition"
        return "down" if self.state in _AT_REST else "steady"

    def build_verdict(self, target: Target, lives_s: float) -> HealthVerdict:
        """Return what to tell of it, and for how long it may be believed."""
        reason = self._reason
        if self.state in ("healthy", "degraded") and self._models:
            missing = [name for name in target.expected_models if name not in self._models]
            if missing:
                more = ", ..." if len(missing) > _NAMES_SHOWN else ""
                reason += f"; does not list {', '.join(missing[:_NAMES_SHOWN])}{more}"
        if self._doubt:
            reason += f"; last check: {self._doubt}"
        return HealthVerdict(
            provider=target.name,
            address=target.provider.base_url,
            state=self.state,
            reason=reason,
            since_at=self.since_at,
            checked_at=self._checked_at,
            lives_s=lives_s,
            response_time_s=self._response_time_s,
            models=self._models,
        )

    def _become(
        self, state: HealthState, reason: str, now_at: float, changed_s: float | None
    ) -> None:
        self._before = self.state, self._reason, self.since_at, self._changed_s
        self.state, self._reason, self._doubt = state, reason, ""
        self.since_at, self._changed_s = now_at, changed_s
        self._against = 0

    def _weigh_time(self, result: ProbeResult) -> ProbeReading:
        """Return the reading, as `degraded` where a good answer took much longer than usual."""
        reading, took_s = result.reading, result.response_time_s
        if reading.state != "healthy" or took_s is None:
            return reading
        # The slow ones count too: what stays as it is becomes what is usual.
        usual_s = median(self._times_s) if self._times_s else 0.0
        self._times_s.append(took_s)
        if took_s <= max(SLOW_S, SLOW_FACTOR * usual_s):
            return reading
        words = f"slow: {took_s:.1f} s" + (f", usually {usual_s:.1f} s" if usual_s else "")
        return ProbeReading("degraded", words, reading.models)


def _count_needed(state: HealthState, reading: HealthState) -> int:
    """Return how many readings of one kind in a row lead from one state to another."""
    if reading == "healthy":
        return RISE
    if reading == "degraded":
        return FALL if state == "healthy" else RISE
    return FALL if reading == "unhealthy" else TOLD_TWICE
