"""
What follows from how late the event loop is: told to the policy, the metrics and the log.

`wiring.py` makes one and has it called with each beat; `limit.py` goes by what the policy decides.
"""

from collections import Counter
from typing import Protocol

import structlog

from proxy.domain.errors import ServerOverloaded
from proxy.pipeline.context import Runtime
from proxy.policy.shedding import ShedReason

_log = structlog.get_logger("llm_proxy.pipeline")


class LoadMetrics(Protocol):
    """Where it is counted."""

    def observe_loop_lag(self, lag_s: float) -> None:
        """Count by how much the event loop was late at one beat."""

    def count_shed(self, reason: ShedReason, count: int) -> None:
        """Count requests that were refused for want of a place."""

    def count_unrecorded(self, endpoint: str, status: int, count: int) -> None:
        """Count requests that were answered with this status and have no record."""


class LoadWatch:
    """Takes the beats of one process's event loop."""

    def __init__(self, runtime: Runtime, metrics: LoadMetrics) -> None:
        self._runtime = runtime
        self._metrics = metrics
        self._told: Counter[ShedReason] = Counter()
        self._late_before = 0

    def beat(self, lag_s: float, own_lag_s: float, now_s: float) -> None:
        """Take note that at `now_s` of the monotonic clock the loop was `lag_s` late."""
        runtime, metrics = self._runtime, self._metrics
        metrics.observe_loop_lag(lag_s)
        had_ceiling = runtime.shedding.ceiling is not None
        runtime.shedding.beat(
            own_lag_s,
            runtime.in_flight,
            now_s,
            max_lag_s=runtime.snapshot.settings.max_loop_lag_s,
            was_pressed=runtime.shed["late"] > self._told["late"],
        )
        if had_ceiling != (runtime.shedding.ceiling is not None):
            self._tell_change(lag_s)
        if self._told != runtime.shed:
            self._tell_shed()

    def _tell_shed(self) -> None:
        """Count here what has no place in the path of each request: refusing is to cost little."""
        runtime, metrics = self._runtime, self._metrics
        for reason, count in (runtime.shed - self._told).items():
            metrics.count_shed(reason, count)
        self._told = runtime.shed.copy()
        for endpoint, count in runtime.unrecorded.items():
            metrics.count_unrecorded(endpoint, ServerOverloaded.status, count)
        runtime.unrecorded.clear()

    def _tell_change(self, lag_s: float) -> None:
        runtime = self._runtime
        late = runtime.shed["late"]
        if runtime.shedding.ceiling is None:
            _log.info("the event loop keeps up again", refused=late - self._late_before)
        else:
            _log.warning(
                "the event loop is late: requests beyond a ceiling get 503",
                lag_ms=round(lag_s * 1000),
                ceiling=runtime.shedding.ceiling,
            )
        self._late_before = late
