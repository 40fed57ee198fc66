"""A peak rises at once and fades; what is typical moves slowly; success is a recent share."""

from math import exp, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.latency import (
    HALF_LIFE_S,
    MIN_SAMPLES,
    SHORTEST_S,
    TAU_S,
    UNKNOWN_S,
    Latency,
    RecentSuccess,
)

TIMES = st.floats(0.0, 600.0)


def build_latency(*times_s: float, every_s: float = 1.0) -> Latency:
    """Return what has seen these times, one each `every_s`, the last one at 0."""
    latency = Latency()
    for index, ttft_s in enumerate(times_s):
        latency.note(ttft_s, (index + 1 - len(times_s)) * every_s)
    return latency


def test_the_unknown_is_tried_first() -> None:
    """A deployment without any time scores 0, better than the fastest that is known."""
    assert Latency().score_s(5.0, 0) == 0.0 < build_latency(SHORTEST_S).score_s(0.0, 0)


def test_the_unknown_is_not_flooded() -> None:
    """Each attempt under way at an unknown deployment counts as one of UNKNOWN_S."""
    assert [Latency().score_s(5.0, count) for count in (1, 2)] == [UNKNOWN_S, 2 * UNKNOWN_S]


def test_a_peak_rises_at_once() -> None:
    """One slow answer is the score, whatever came before it."""
    assert build_latency(*[0.2] * 50, 8.0).score_s(0.0, 0) == 8.0


def test_a_peak_comes_down_slowly() -> None:
    """A better time moves the score by as much as has faded since the last one."""
    latency = build_latency(8.0, 1.0, every_s=TAU_S)
    assert latency.score_s(0.0, 0) == pytest.approx(8.0 * exp(-1) + 1.0 * (1 - exp(-1)))


def test_a_peak_fades_while_nothing_is_under_way() -> None:
    """An idle deployment scores 37 % of its peak behind TAU_S, and is tried again one day."""
    latency = build_latency(20.0)
    assert latency.score_s(TAU_S, 0) == pytest.approx(20.0 * exp(-1))
    assert latency.score_s(10 * TAU_S, 0) < 0.001


def test_who_is_tried_again_gets_one_request() -> None:
    """Once an attempt is under way the whole peak counts, until there is a newer time."""
    latency = build_latency(20.0)
    assert latency.score_s(10 * TAU_S, 1) == 40.0


def test_more_under_way_is_worse() -> None:
    """The score grows by the peak with each attempt under way."""
    latency = build_latency(0.5)
    assert [latency.score_s(0.0, count) for count in range(4)] == [0.5, 1.0, 1.5, 2.0]


def test_nothing_is_typical_of_few_times() -> None:
    """The typical time is unknown until there are MIN_SAMPLES."""
    assert build_latency(*[1.0] * (MIN_SAMPLES - 1)).typical_s is None
    assert build_latency(*[1.0] * MIN_SAMPLES).typical_s == pytest.approx(1.0)


def test_the_typical_time_is_a_geometric_mean() -> None:
    """Outliers weigh by their ratio: as many of 0.5 s as of 8 s are 2 s."""
    latency = build_latency(*[0.5, 8.0] * MIN_SAMPLES, every_s=0.0)
    assert latency.typical_s == pytest.approx(sqrt(0.5 * 8.0))


def test_old_times_count_less() -> None:
    """Times of a half-life ago weigh half of those of now."""
    latency = build_latency(*[1.0] * 100, every_s=0.0)
    for _ in range(50):
        latency.note(8.0, HALF_LIFE_S)
    assert latency.typical_s == pytest.approx(sqrt(8.0))


def test_a_clock_that_goes_back_lets_nothing_fade() -> None:
    """A time that was noted later than now is taken as one of now."""
    latency = build_latency(4.0)
    assert latency.score_s(-100.0, 0) == 4.0
    latency.note(1.0, -100.0)
    assert latency.score_s(-100.0, 0) == 4.0


@given(st.lists(st.tuples(TIMES, TIMES), min_size=1, max_size=50))
def test_scores_stay_between_what_was_seen(steps: list[tuple[float, float]]) -> None:
    """The peak is never above the worst time, nor what is typical outside of all times."""
    latency = Latency()
    now_s = 0.0
    seen = []
    for ttft_s, passed_s in steps:
        now_s += passed_s
        latency.note(ttft_s, now_s)
        seen.append(max(ttft_s, SHORTEST_S))
        assert seen[-1] * (1 - 1e-9) <= latency.score_s(now_s, 0) <= max(seen) * (1 + 1e-9)
        if (typical_s := latency.typical_s) is not None:
            assert min(seen) * (1 - 1e-9) <= typical_s <= max(seen) * (1 + 1e-9)


def test_success_is_taken_for_granted() -> None:
    """Of a deployment without any attempt all are good."""
    assert RecentSuccess().share == 1.0


def test_the_newest_attempt_counts_a_tenth() -> None:
    """A failure takes a tenth of the share, a success gives back a tenth of what is missing."""
    success = RecentSuccess()
    success.note(is_good=False)
    assert success.share == pytest.approx(0.9)
    success.note(is_good=True)
    assert success.share == pytest.approx(0.91)


@given(st.lists(st.booleans(), max_size=200))
def test_the_share_stays_a_share(outcomes: list[bool]) -> None:
    """Whatever comes, it is from 0 to 1."""
    success = RecentSuccess()
    for is_good in outcomes:
        success.note(is_good=is_good)
        assert 0.0 <= success.share <= 1.0


def test_it_is_known_from_the_first_time_on() -> None:
    """Before any time was noted nothing is known."""
    latency = Latency()
    assert not latency.is_known
    latency.note(0.5, 1.0)
    assert latency.is_known
