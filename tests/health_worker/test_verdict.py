"""Tests of `health_worker/verdict.py`: readings in, a state out that does not flap."""

import random
from itertools import pairwise

import pytest

from health_worker.verdict import COOLDOWN_S, Pace, ProbeResult, VerdictMachine
from proxy.domain.health import HealthState, ProbeReading
from tests.health_worker.made import build_target, come_to

ALL: tuple[HealthState, ...] = ("healthy", "unhealthy", "key_rejected", "rate_limited", "warming")
DOWN: tuple[HealthState, ...] = ("unhealthy", "unhealthy", "unhealthy")
STEP_S = 2 * COOLDOWN_S


class Walk:
    """A machine whose probes come one after the other, each long after the last."""

    def __init__(self, *states: HealthState, step_s: float = STEP_S) -> None:
        self.machine = VerdictMachine()
        self.now_s = 1000.0
        self._step_s = step_s
        for state in states:
            self.note(come_to(state))

    def note(self, result: ProbeResult) -> HealthState:
        """Return the state after one more probe."""
        self.now_s += self._step_s
        self.machine.note(result, self.now_s, self.now_s + 1e9)
        return self.machine.state

    def go(self, *states: HealthState) -> list[HealthState]:
        """Return the state after each of some more."""
        return [self.note(come_to(state)) for state in states]


@pytest.mark.parametrize("state", ALL)
def test_the_first_reading_decides(state: HealthState) -> None:
    """Out of `unknown` one probe is enough, for every state."""
    assert Walk().go(state) == [state]


def test_three_failures_in_a_row_make_unhealthy() -> None:
    """The third failure in a row decides, and one good answer between starts anew."""
    walk = Walk("healthy")
    assert walk.go("unhealthy", "unhealthy", "healthy") == ["healthy"] * 3
    assert walk.go(*DOWN) == ["healthy", "healthy", "unhealthy"]


@pytest.mark.parametrize("bad", ALL[1:])
def test_two_good_answers_in_a_row_make_healthy(bad: HealthState) -> None:
    """Every bad state ends with the second good answer in a row, not with the first."""
    walk = Walk(bad)
    assert walk.go("healthy", bad, "healthy", "healthy") == [bad, bad, bad, "healthy"]


@pytest.mark.parametrize("told", ["key_rejected", "rate_limited", "warming"])
def test_what_a_server_says_itself_counts_from_the_second_time(told: HealthState) -> None:
    """A single 429, refused key or loading model is no state; two in a row are."""
    walk = Walk("healthy")
    assert walk.go(told, "healthy", told, told) == ["healthy", "healthy", "healthy", told]


def test_failures_of_different_kinds_add_up() -> None:
    """Three answers in a row that all contradict the state end it, whatever each of them is."""
    walk = Walk("healthy")
    assert walk.go("unhealthy", "warming", "unhealthy") == ["healthy", "healthy", "unhealthy"]


def test_one_bad_state_follows_another() -> None:
    """A server that comes up and refuses our key goes from the one state to the other."""
    walk = Walk("unhealthy")
    assert walk.go("key_rejected", "key_rejected") == ["unhealthy", "key_rejected"]


def test_slow_three_times_in_a_row_is_degraded_and_fast_twice_is_healthy() -> None:
    """An answer that takes three times as long as usual, and more than 2 s, is slow."""
    walk = Walk()
    for _ in range(9):
        assert walk.note(come_to("healthy", 0.9)) == "healthy"
    states = [walk.note(come_to("healthy", 2.8)) for _ in range(3)]
    assert states == ["healthy", "healthy", "degraded"]
    assert "slow: 2.8 s, usually 0.9 s" in walk.machine.build_verdict(build_target(), 9.0).reason
    states = [walk.note(come_to("healthy", 0.9)) for _ in range(2)]
    assert states == ["degraded", "healthy"]


@pytest.mark.parametrize(("usual_s", "now_s"), [(0.01, 1.9), (1.0, 2.9)])
def test_what_is_only_a_little_slower_is_healthy(usual_s: float, now_s: float) -> None:
    """Below 2 s nothing is slow, nor what is less than three times the usual."""
    walk = Walk()
    for took_s in [usual_s] * 9 + [now_s] * 9:
        assert walk.note(come_to("healthy", took_s)) == "healthy"


def test_what_stays_slow_becomes_usual() -> None:
    """A provider that has become slower for good is not degraded for ever."""
    walk = Walk()
    for took_s in [0.5] * 32 + [3.0] * 32:
        walk.note(come_to("healthy", took_s))
    assert walk.machine.state == "healthy"


def test_a_first_answer_that_is_slow_is_an_answer() -> None:
    """Out of `unknown` a slow answer is healthy; degraded needs three of them."""
    assert Walk().note(come_to("healthy", 4.0)) == "healthy"


def test_a_change_waits_for_the_end_of_the_cooldown() -> None:
    """Soon after a change the next one is put off, and comes with the first probe after it."""
    walk = Walk("healthy", step_s=1.0)
    walk.go(*DOWN)
    changed_s = walk.now_s
    assert walk.machine.state == "unhealthy"
    while walk.now_s + 1.0 < changed_s + COOLDOWN_S:
        assert walk.go("healthy") == ["unhealthy"]
        assert walk.machine.pace == "transition"
    assert walk.go("healthy") == ["healthy"]


@pytest.mark.parametrize(
    ("states", "pace"),
    [
        (("healthy",), "steady"),
        (("warming",), "steady"),
        (("healthy", "unhealthy"), "transition"),
        (("healthy", *DOWN), "down"),
        (("key_rejected",), "down"),
        (("rate_limited",), "down"),
        (("unhealthy", "healthy"), "transition"),
    ],
)
def test_pace_follows_the_state(states: tuple[HealthState, ...], pace: Pace) -> None:
    """In doubt it looks again soon, at what stays down later and later, else it is steady."""
    assert Walk(*states).machine.pace == pace


def test_a_reading_that_says_nothing_changes_nothing() -> None:
    """`unknown` as a reading leaves state and counts alone."""
    walk = Walk("healthy", "unhealthy", "unhealthy")
    assert walk.go("unknown", "unhealthy") == ["healthy", "unhealthy"]


def test_a_verdict_tells_all_that_is_known() -> None:
    """Address, state, times, models and the reason of the state are in what is told."""
    walk = Walk()
    walk.note(come_to("healthy", 0.5, "a", "b"))
    since_at = walk.now_s + 1e9
    walk.note(come_to("healthy", 0.25))
    verdict = walk.machine.build_verdict(build_target("p", expected=("a",)), 90.0)
    assert (verdict.provider, verdict.address) == ("p", "https://x.example/v1")
    assert (verdict.state, verdict.reason, verdict.lives_s) == ("healthy", "because healthy", 90.0)
    assert (verdict.since_at, verdict.checked_at) == (since_at, walk.now_s + 1e9)
    assert (verdict.response_time_s, verdict.models) == (0.25, ("a", "b"))


def test_a_reason_names_missing_models_and_the_last_doubt() -> None:
    """Models that are expected and not listed are told, as is a probe that contradicts."""
    walk = Walk()
    walk.note(come_to("healthy", 0.5, "a"))
    target = build_target(expected=("a", "b", "c", "d", "e"))
    said = walk.machine.build_verdict(target, 1.0).reason
    assert said == "because healthy; does not list b, c, d, ..."
    walk.go("unhealthy")
    assert walk.machine.build_verdict(target, 1.0).state == "healthy"
    said = walk.machine.build_verdict(build_target(), 1.0).reason
    assert said == "because healthy; last check: because unhealthy"


def test_silence_is_remembered_until_somebody_answers() -> None:
    """Whether anybody has answered the last probe is known, whatever the state is."""
    walk = Walk("healthy")
    walk.note(come_to("unhealthy", has_answered=False))
    assert walk.machine.is_unanswered
    walk.note(come_to("unhealthy"))
    assert not walk.machine.is_unanswered


def test_ten_thousand_flapping_traces_never_change_twice_within_a_cooldown() -> None:
    """However answers alternate, two changes are a cooldown apart; a calm end is always told."""
    chance = random.Random(7)
    changes = 0
    for _ in range(10_000):
        machine = VerdictMachine()
        now_s, changed_s = 0.0, []
        states = chance.sample(ALL, 2) if chance.random() < 0.7 else list(ALL)
        stays = chance.random()
        state = states[0]
        for number in range(60):
            if number < 30 and chance.random() > stays:
                state = chance.choice(states)
            was_known = machine.state != "unknown"
            took_s = chance.choice((None, 0.1, 5.0)) if number < 30 else None
            result = ProbeResult(ProbeReading(state, ""), took_s)
            if machine.note(result, now_s, now_s) and was_known:
                changed_s.append(now_s)
            wait_s = 2.0 if machine.pace == "transition" else 10.0
            now_s += wait_s * chance.uniform(0.8, 1.2)
        assert all(later - sooner >= COOLDOWN_S for sooner, later in pairwise(changed_s))
        assert machine.state == state
        changes += len(changed_s)
    assert changes > 10_000
