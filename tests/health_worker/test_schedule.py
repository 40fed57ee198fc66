"""Tests of `health_worker/schedule.py`: whose turn it is, and when."""

import random
from collections.abc import Mapping
from itertools import pairwise

import pytest

from health_worker.schedule import JITTER, MAX_WAIT_S, START_SPREAD_S, Schedule
from health_worker.targets import Target
from health_worker.verdict import Pace
from proxy.domain.health import HealthSettings
from tests.health_worker.made import build_target

SETTINGS = HealthSettings(interval_s=60.0, local_interval_s=10.0, transition_interval_s=2.0)
HOSTED, LOCAL = build_target("hosted"), build_target("local", is_local=True)


def middle() -> float:
    """Chance that is always in the middle: no jitter at all."""
    return 0.5


def begin(*targets: Target, settings: HealthSettings = SETTINGS) -> Schedule:
    """A schedule without jitter, whose targets have all been asked once, at 0, and are well."""
    schedule = Schedule(middle)
    schedule.update(named(*targets), settings, -START_SPREAD_S)
    for target in schedule.take_due(0.0):
        schedule.finish(target, "steady", 0.0)
    return schedule


def named(*targets: Target) -> Mapping[str, Target]:
    """Targets by their names."""
    return {target.name: target for target in targets}


def wait_after(schedule: Schedule, target: Target, pace: Pace, now_s: float) -> float:
    """How long the schedule waits after a probe that ends now."""
    schedule.due_now([target.name], now_s)
    (taken,) = schedule.take_due(now_s)
    schedule.finish(taken, pace, now_s)
    due_s = schedule.next_due_s()
    assert due_s is not None
    return due_s - now_s


def test_a_start_is_spread_over_a_few_seconds() -> None:
    """Of a hundred targets all have had their turn within 5 s, and few at the same moment."""
    schedule = Schedule(random.Random(3).random)
    targets = [build_target(f"p{number}") for number in range(100)]
    schedule.update(named(*targets), SETTINGS, 100.0)
    counts = []
    for tick in range(50):
        counts.append(len(schedule.take_due(100.0 + (tick + 1) * START_SPREAD_S / 50)))
    assert sum(counts) == 100
    assert max(counts) <= 12


def test_each_kind_has_its_interval() -> None:
    """Hosted targets are asked each 60 s, local ones each 10 s."""
    assert wait_after(begin(HOSTED), HOSTED, "steady", 5.0) == 60.0
    assert wait_after(begin(LOCAL), LOCAL, "steady", 5.0) == 10.0


def test_a_local_interval_is_never_longer_than_the_other() -> None:
    """Who asks hosted providers more often asks local servers as often, at least."""
    settings = HealthSettings(interval_s=4.0, local_interval_s=10.0)
    assert wait_after(begin(LOCAL, settings=settings), LOCAL, "steady", 5.0) == 4.0


def test_waits_are_jittered_by_a_fifth() -> None:
    """No wait is more than a fifth off its interval, and both sides occur."""
    schedule = Schedule(random.Random(3).random)
    schedule.update(named(HOSTED), SETTINGS, 0.0)
    waits_s = [wait_after(schedule, HOSTED, "steady", 1000.0 * n) for n in range(1, 200)]
    low_s, high_s = 60.0 * (1 - JITTER), 60.0 * (1 + JITTER)
    assert low_s <= min(waits_s) < 50.0 < 70.0 < max(waits_s) <= high_s


def test_in_doubt_the_next_turn_comes_soon() -> None:
    """In transition the wait is 2 s, or the interval where that is shorter."""
    assert wait_after(begin(HOSTED), HOSTED, "transition", 5.0) == 2.0
    fast = HealthSettings(interval_s=1.0)
    assert wait_after(begin(HOSTED, settings=fast), HOSTED, "transition", 5.0) == 1.0


def test_what_stays_down_is_asked_less_and_less_often() -> None:
    """Waits double up to four intervals, and any other pace ends that."""
    schedule = begin(LOCAL)
    waits_s = [wait_after(schedule, LOCAL, "down", 100.0 * n) for n in range(1, 6)]
    assert waits_s == [10.0, 20.0, 40.0, 40.0, 40.0]
    assert wait_after(schedule, LOCAL, "transition", 900.0) == 2.0
    assert wait_after(schedule, LOCAL, "down", 1000.0) == 10.0


@pytest.mark.parametrize(("interval_s", "longest_s"), [(100.0, MAX_WAIT_S), (900.0, 900.0)])
def test_backing_off_has_an_end(interval_s: float, longest_s: float) -> None:
    """Nothing waits longer than 5 minutes, unless its interval is longer."""
    schedule = begin(HOSTED, settings=HealthSettings(interval_s=interval_s))
    waits_s = [wait_after(schedule, HOSTED, "down", 1e4 * n) for n in range(1, 6)]
    assert max(waits_s) == longest_s


def test_nobody_is_due_while_being_asked() -> None:
    """A target that is under way has no turn, neither by time nor by order."""
    schedule = begin(HOSTED)
    assert schedule.take_due(60.0) == [HOSTED]
    assert schedule.next_due_s() is None
    schedule.due_now(None, 70.0)
    assert schedule.take_due(1000.0) == []
    assert schedule.under_way() == {"hosted"}
    schedule.finish(HOSTED, "steady", 1000.0)
    assert schedule.under_way() == set()
    assert schedule.next_due_s() == 1060.0


def test_an_order_makes_due_at_once() -> None:
    """Those that are named, or all, have their turn now; unknown names are nobody."""
    schedule = begin(HOSTED, LOCAL)
    schedule.due_now(["local", "nobody"], 1.0)
    assert schedule.take_due(1.0) == [LOCAL]
    schedule.due_now(None, 2.0)
    assert schedule.take_due(2.0) == [HOSTED]


def test_what_is_new_or_has_changed_is_due_at_once() -> None:
    """After an edit new and changed targets are asked now, all others as they were."""
    schedule = begin(HOSTED, LOCAL)
    changed = build_target("hosted", base_url="https://y.example/v1")
    assert schedule.update(named(changed, LOCAL, build_target("new")), SETTINGS, 1.0) == {"hosted"}
    assert {target.name for target in schedule.take_due(1.0)} == {"hosted", "new"}
    assert schedule.next_due_s() == 10.0


def test_a_change_that_no_answer_depends_on_leaves_the_turn_alone() -> None:
    """Another weight is no reason to ask, but the target is given as it is now."""
    schedule = begin(HOSTED)
    heavier = build_target("hosted", weight=7)
    assert schedule.update(named(heavier), SETTINGS, 1.0) == set()
    assert schedule.take_due(59.0) == []
    assert schedule.take_due(60.0) == [heavier]


def test_what_is_gone_has_no_turn() -> None:
    """A target that has left is told as changed, and what its last probe comes to is nobody's."""
    schedule = begin(HOSTED, LOCAL)
    schedule.take_due(60.0)
    assert schedule.update(named(LOCAL), SETTINGS, 61.0) == {"hosted"}
    assert not schedule.is_current(HOSTED)
    schedule.finish(HOSTED, "steady", 62.0)
    assert schedule.lives_s("hosted") == 0.0
    schedule.finish(LOCAL, "steady", 62.0)
    assert schedule.next_due_s() == 72.0


def test_a_probe_from_before_a_change_does_not_count() -> None:
    """What comes of it is not current, and the changed target is due as soon as it has ended."""
    schedule = begin(HOSTED)
    (old,) = schedule.take_due(60.0)
    changed = build_target("hosted", base_url="https://y.example/v1")
    schedule.update(named(changed), SETTINGS, 61.0)
    assert schedule.take_due(61.0) == []
    assert not schedule.is_current(old)
    schedule.finish(old, "down", 63.0)
    assert schedule.take_due(63.0) == [changed]
    assert schedule.is_current(changed)


def test_a_shorter_interval_is_in_force_at_once() -> None:
    """Nobody waits for the end of an interval that was made shorter."""
    schedule = begin(HOSTED)
    schedule.update(named(HOSTED), HealthSettings(interval_s=5.0), 1.0)
    assert schedule.next_due_s() == 6.0


def test_a_verdict_outlives_two_probes_that_fail_to_come() -> None:
    """It lives three intervals, also while its target is asked more often."""
    schedule = begin(LOCAL)
    assert schedule.lives_s("local") == 30.0
    wait_after(schedule, LOCAL, "transition", 100.0)
    assert schedule.lives_s("local") == 30.0


def test_a_verdict_on_what_stays_down_lives_until_the_next_probe() -> None:
    """It outlives the longest wait with its jitter, the probe's own clock, and one interval."""
    schedule = begin(LOCAL)
    for number in range(1, 6):
        wait_s = wait_after(schedule, LOCAL, "down", 100.0 * number)
        longest_s = wait_s * (1 + JITTER) + SETTINGS.timeout_s + 10.0
        assert schedule.lives_s("local") == max(30.0, longest_s)
    assert schedule.lives_s("local") == 63.0


def test_ten_targets_are_asked_once_in_each_interval() -> None:
    """Over an hour each target has its turn about once a minute, never two within 48 s."""
    schedule = Schedule(random.Random(5).random)
    targets = [build_target(f"p{number}") for number in range(10)]
    schedule.update(named(*targets), SETTINGS, 0.0)
    turns: dict[str, list[float]] = {target.name: [] for target in targets}
    while (now_s := schedule.next_due_s()) is not None and now_s < 3600.0:
        for target in schedule.take_due(now_s):
            turns[target.name].append(now_s)
            schedule.finish(target, "steady", now_s)
    for times_s in turns.values():
        assert 50 <= len(times_s) <= 75
        assert min(later - sooner for sooner, later in pairwise(times_s)) >= 48.0
