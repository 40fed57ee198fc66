"""What follows from the lag of the event loop: a ceiling, numbers, and two lines in the log."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.pipeline.context import Runtime
from proxy.pipeline.load_watch import LoadWatch
from proxy.policy.shedding import BEATS_PER_ROUND, CALM_S, LATE_ROUNDS, ShedReason
from tests.fakes.proxy_server import build_runtime, build_snapshot

LATE_S = 0.5


class Numbers:
    """Counts what is told."""

    def __init__(self) -> None:
        self.lags_s: list[float] = []
        self.shed: list[tuple[ShedReason, int]] = []
        self.unrecorded: list[tuple[str, int, int]] = []

    def observe_loop_lag(self, lag_s: float) -> None:
        """Keep a lag."""
        self.lags_s.append(lag_s)

    def count_shed(self, reason: ShedReason, count: int) -> None:
        """Keep what was refused."""
        self.shed.append((reason, count))

    def count_unrecorded(self, endpoint: str, status: int, count: int) -> None:
        """Keep what has no record."""
        self.unrecorded.append((endpoint, status, count))


def build_watch(**settings: Any) -> tuple[LoadWatch, Runtime, Numbers]:
    """Return a watch over a process with a hundred requests under way."""
    runtime, numbers = build_runtime(build_snapshot(**settings)), Numbers()
    runtime.in_flight = 100
    watch = LoadWatch(runtime, numbers)
    return watch, runtime, numbers


def pass_beats(watch: LoadWatch, count: int, lag_s: float, begun_s: float = 0.0) -> float:
    """Beat, and return the time."""
    for _ in range(count):
        begun_s += 0.025 + lag_s
        watch.beat(lag_s, lag_s, begun_s)
    return begun_s


def test_a_late_loop_sets_a_ceiling_by_the_settings_in_force() -> None:
    """It is what `max_loop_lag_s` of the snapshot says that counts as late; None never is."""
    beats = LATE_ROUNDS * BEATS_PER_ROUND
    for bound_s, has_ceiling in ((0.4, True), (0.6, False), (None, False)):
        watch, runtime, _ = build_watch(max_loop_lag_s=bound_s)
        pass_beats(watch, beats, LATE_S)
        assert (runtime.shedding.ceiling is not None) is has_ceiling


def test_the_log_tells_when_refusing_begins_and_ends() -> None:
    """One warning with the ceiling, and one line at the end with how many were refused."""
    watch, runtime, _ = build_watch(max_loop_lag_s=0.1)
    runtime.shed["late"] = 5
    with capture_logs() as lines:
        now_s = pass_beats(watch, 5 * BEATS_PER_ROUND, LATE_S)
        runtime.shed["late"] += 3
        pass_beats(watch, round(CALM_S / 0.025) + 3 * BEATS_PER_ROUND, 0.0, now_s)
    begun, ended = lines
    assert begun["log_level"] == "warning"
    assert begun["ceiling"] < 100
    assert begun["lag_ms"] == 500
    assert (ended["log_level"], ended["refused"]) == ("info", 3)


def test_everything_is_counted_once() -> None:
    """Each beat counts its lag, and what was refused since the one before."""
    watch, runtime, numbers = build_watch()
    runtime.shed["late"] += 2
    runtime.unrecorded["/embeddings"] += 1
    watch.beat(0.003, 0.0, 1.0)
    watch.beat(0.0, 0.0, 1.025)
    runtime.shed["late"] += 1
    runtime.shed["full"] += 4
    watch.beat(0.001, 0.0, 1.05)
    assert numbers.lags_s == [0.003, 0.0, 0.001]
    assert sorted(numbers.shed) == [("full", 4), ("late", 1), ("late", 2)]
    assert numbers.unrecorded == [("/embeddings", 503, 1)]


@pytest.mark.parametrize("refused", [0, 1])
def test_a_ceiling_that_refuses_is_kept(refused: int) -> None:
    """As long as somebody is refused by it, a ceiling of a loop in time stays, and rises."""
    watch, runtime, _ = build_watch(max_loop_lag_s=0.1)
    now_s = pass_beats(watch, LATE_ROUNDS * BEATS_PER_ROUND, LATE_S)
    runtime.in_flight = 10
    for _ in range(round(2 * CALM_S / 0.025)):
        runtime.shed["late"] += refused
        now_s = pass_beats(watch, 1, 0.0, now_s)
    assert (runtime.shedding.ceiling is not None) is bool(refused)


def test_only_own_lag_sets_a_ceiling() -> None:
    """A loop that is late because others have the processor is told of by the numbers only."""
    watch, runtime, numbers = build_watch(max_loop_lag_s=0.1)
    for number in range(10 * BEATS_PER_ROUND):
        watch.beat(LATE_S, 0.05, float(number))
    assert runtime.shedding.ceiling is None
    assert set(numbers.lags_s) == {LATE_S}
