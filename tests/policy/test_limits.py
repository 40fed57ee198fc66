"""The rate limit: never more than was allowed, never less than there was room for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.settings import RateLimit
from proxy.policy.limits import (
    Meter,
    RateDecision,
    build_rate_limit,
    decide_rate,
    is_unused,
    share_limit,
)

START_S = 1_000_000.0
SLACK_REQUESTS = 1e-3
"""What rounding may be off by; no count of whole requests is."""

# Up to 50,000 a second: at some hundred thousands a clock's own steps are worth whole slacks.
LIMITS = st.builds(RateLimit, st.integers(1, 5000), st.floats(0.1, 86_400.0, allow_nan=False))
STEPS = st.lists(
    st.one_of(
        st.just(0.0),
        st.floats(0.0, 2.0),
        # In windows: as much as comes back in about one request, up to all of it.
        st.floats(0.0, 0.01),
    ),
    max_size=120,
)


def take(limit: RateLimit, times_s: list[float]) -> list[RateDecision]:
    """Return the decisions on requests that come at `times_s`."""
    meter, decisions = None, []
    for now_s in times_s:
        meter, decision = decide_rate(meter, limit, now_s)
        decisions.append(decision)
    return decisions


@given(LIMITS, STEPS)
def test_it_admits_what_a_plain_simulation_admits(limit: RateLimit, steps: list[float]) -> None:
    """Each decision is that of a bucket which is refilled evenly, checked in whole requests."""
    now_s, meter = START_S, None
    tokens, rate = float(limit.requests), limit.requests / limit.window_s
    for step in steps:
        now_s += step * limit.window_s
        tokens = min(float(limit.requests), tokens + step * limit.requests)
        meter, decision = decide_rate(meter, limit, now_s)
        if tokens >= 1.0 + SLACK_REQUESTS:
            assert decision.is_admitted, "there was room"
        if tokens < 1.0 - SLACK_REQUESTS:
            assert not decision.is_admitted, "there was no room"
        tokens -= decision.is_admitted
        assert abs(decision.remaining_requests - max(0.0, tokens)) < 1.0 + SLACK_REQUESTS
        assert decision.reset_s == pytest.approx(
            (limit.requests - tokens) / rate, abs=SLACK_REQUESTS / rate
        )


@given(LIMITS, STEPS)
def test_over_any_span_no_more_pass_than_the_burst_and_what_came_back(
    limit: RateLimit, steps: list[float]
) -> None:
    """From each admitted request to each later one: burst + elapsed x rate at most."""
    now_s, meter, admitted = START_S, None, []
    for step in steps:
        now_s += step * limit.window_s
        meter, decision = decide_rate(meter, limit, now_s)
        if decision.is_admitted:
            admitted.append(now_s)
    rate = limit.requests / limit.window_s
    for first, since_s in enumerate(admitted):
        for last in range(first, len(admitted)):
            allowed = limit.requests + (admitted[last] - since_s) * rate + SLACK_REQUESTS
            assert last - first + 1 <= allowed


@pytest.mark.parametrize(("rpm", "window_s", "burst"), [(2000, 120, 4000), (60, 1, 1), (7, 60, 7)])
def test_at_a_frozen_clock_exactly_the_burst_passes(rpm: int, window_s: int, burst: int) -> None:
    """2000 a minute over 120 s: exactly 4000 at once, counted down to 0, then refused."""
    limit = build_rate_limit(rpm, window_s)
    decisions = take(limit, [START_S] * (burst + 3))
    assert [d.is_admitted for d in decisions] == [True] * burst + [False] * 3
    assert [d.remaining_requests for d in decisions] == [*range(burst - 1, -1, -1), 0, 0, 0]
    assert {d.limit_requests for d in decisions} == {burst}
    assert decisions[-1].reset_s == pytest.approx(limit.window_s)


@given(LIMITS, st.integers(1, 20))
def test_who_waits_as_told_is_admitted(limit: RateLimit, rounds: int) -> None:
    """After `retry_after_s` one request passes, and a moment earlier none does."""
    meter: Meter | None = Meter(float(limit.requests), START_S)
    now_s = START_S
    for _ in range(rounds):
        meter, refused = decide_rate(meter, limit, now_s)
        assert not refused.is_admitted
        _, early = decide_rate(meter, limit, now_s + refused.retry_after_s * 0.99)
        assert not early.is_admitted
        now_s += refused.retry_after_s
        meter, decision = decide_rate(meter, limit, now_s)
        assert decision.is_admitted


def test_what_was_used_comes_back_evenly() -> None:
    """60 a minute: a key that used all of it may send one more each second."""
    limit = build_rate_limit(60, 60)
    times_s = [START_S] * 60 + [START_S + 0.5 * n for n in range(1, 21)]
    admitted = [d.is_admitted for d in take(limit, times_s)]
    assert admitted[60:] == [False, True] * 10


def test_a_clock_that_goes_back_gives_nothing_back() -> None:
    """No jump of the clock, to whatever time, lets the same seconds count twice."""
    limit = RateLimit(2, 10.0)
    times_s = [100.0, 100.0, 50.0, 100.0, 50.0, 104.0, 60.0, 105.0, 105.0]
    admitted = [d.is_admitted for d in take(limit, times_s)]
    assert admitted == [True, True, False, False, False, False, False, True, False]


def test_a_smaller_limit_holds_for_what_was_used_before() -> None:
    """Whoever has used more than a new limit allows waits until it is below it."""
    meter = Meter(10.0, START_S)
    meter, decision = decide_rate(meter, RateLimit(4, 4.0), START_S)
    assert (decision.is_admitted, decision.remaining_requests) == (False, 0)
    assert decision.retry_after_s == pytest.approx(7.0)


@given(LIMITS, st.integers(1, 30), st.floats(0.0, 2.0))
def test_an_unused_meter_is_as_good_as_none(limit: RateLimit, count: int, windows: float) -> None:
    """What may be forgotten would have been decided like a key that was never seen."""
    meter = None
    for _ in range(count):
        meter, _ = decide_rate(meter, limit, START_S)
    assert meter is not None
    later_s = START_S + windows * limit.window_s
    if is_unused(meter, limit, later_s):
        assert decide_rate(meter, limit, later_s)[1] == decide_rate(None, limit, later_s)[1]
    else:
        assert windows < 1.0 + SLACK_REQUESTS


@given(st.integers(1, 1_000_000), st.integers(1, 1_000_000))
def test_the_average_is_what_was_asked_for(rpm: int, window_s: int) -> None:
    """The burst is whole and at least one, and comes back at exactly so many a minute."""
    limit = build_rate_limit(rpm, window_s)
    assert limit.requests == max(1, math.floor(rpm * window_s / 60))
    assert limit.requests / limit.window_s * 60 == pytest.approx(rpm)


@given(LIMITS, st.integers(1, 64))
def test_shares_come_to_the_whole(limit: RateLimit, processes: int) -> None:
    """The shares' averages add up to the limit's, their bursts to no more, but one for each."""
    share = share_limit(limit, processes)
    average = processes * share.requests / share.window_s
    assert math.isclose(average, limit.requests / limit.window_s, rel_tol=1e-9)
    assert share.requests * processes <= max(limit.requests, processes)
    assert share.requests >= 1


def test_a_process_that_is_alone_has_all() -> None:
    """One process admits what the limit says."""
    assert share_limit(RateLimit(7, 60.0), 1) == RateLimit(7, 60.0)
