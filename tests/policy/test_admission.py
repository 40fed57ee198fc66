"""May an attempt go? One answer, and one reason."""

from math import inf

import pytest

from proxy.domain.breaker import CLOSED, BreakerCause, BreakerView
from proxy.domain.errors import (
    NoHealthyProvider,
    ProxyError,
    UpstreamAuthError,
    UpstreamModelNotFound,
    UpstreamOverloaded,
    UpstreamQuotaExhausted,
    UpstreamRateLimited,
)
from proxy.policy.admission import (
    ASK,
    FULL,
    GO,
    PROBE_AGAIN_S,
    Admission,
    Reason,
    admit,
    build_error,
    describe_refusal,
    find_least_bad,
)

NOW_S = 100.0


def is_open(cause: BreakerCause = "failures", left_s: float = 5.0) -> BreakerView:
    """Return the view of a breaker that is open for `left_s` more."""
    return BreakerView("open", 7, NOW_S + left_s, cause, 5)


HALF_OPEN = BreakerView("half_open", 8)
FORCED = BreakerView("forced_open", 9)
DISABLED = BreakerView("disabled", 9)


def test_everything_closed_lets_an_attempt_go() -> None:
    """With all three breakers closed and room for a connection there is nothing to ask."""
    assert admit(CLOSED, CLOSED, CLOSED, True, NOW_S) is GO
    assert admit(BreakerView(failures=4), CLOSED, CLOSED, True, NOW_S) is GO


def test_a_disabled_breaker_is_as_good_as_a_closed_one() -> None:
    """What an operator has disabled lets everything through."""
    assert admit(DISABLED, DISABLED, DISABLED, True, NOW_S) is GO


def test_no_room_refuses() -> None:
    """Without a free connection the reason is `full`, also where a breaker would be asked."""
    assert admit(CLOSED, CLOSED, CLOSED, False, NOW_S) is FULL
    assert admit(HALF_OPEN, CLOSED, CLOSED, False, NOW_S) is FULL


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_breaker_whose_time_is_over_is_asked(place: int) -> None:
    """Half-open, or open with its time over: whichever of the three it is, its store decides."""
    for view in (HALF_OPEN, is_open(left_s=0.0), is_open(left_s=-1.0)):
        deployment, host, key = [view if number == place else CLOSED for number in range(3)]
        assert admit(deployment, host, key, True, NOW_S) is ASK


@pytest.mark.parametrize(
    ("views", "reason", "retry_in_s"),
    [
        ((is_open(), CLOSED, CLOSED), "open", 5.0),
        ((is_open("slow"), CLOSED, CLOSED), "open", 5.0),
        ((is_open("rate_limit", 3.0), CLOSED, CLOSED), "rate_limited", 3.0),
        ((is_open("misconfigured"), CLOSED, CLOSED), "misconfigured", 5.0),
        ((is_open("overloaded", 9.0), CLOSED, CLOSED), "overloaded", 9.0),
        ((CLOSED, is_open(), CLOSED), "host_open", 5.0),
        ((CLOSED, CLOSED, is_open("auth")), "key_refused", 5.0),
        ((CLOSED, CLOSED, is_open("quota")), "quota_used_up", 5.0),
        ((FORCED, CLOSED, CLOSED), "forced_open", 0.0),
        ((CLOSED, FORCED, CLOSED), "forced_open", 0.0),
    ],
)
def test_each_refusal_has_its_reason(
    views: tuple[BreakerView, BreakerView, BreakerView], reason: Reason, retry_in_s: float
) -> None:
    """What is open says why, and for how long."""
    assert admit(*views, True, NOW_S) == Admission("refuse", reason, retry_in_s)


@pytest.mark.parametrize(
    ("views", "reason"),
    [
        ((FORCED, is_open(), is_open("quota")), "forced_open"),
        ((is_open("rate_limit"), FORCED, CLOSED), "forced_open"),
        ((is_open("rate_limit"), is_open(), is_open("quota")), "quota_used_up"),
        ((is_open("rate_limit"), is_open(), CLOSED), "rate_limited"),
        ((is_open("rate_limit"), CLOSED, is_open("auth")), "rate_limited"),
        ((is_open("overloaded"), is_open(), is_open("auth")), "overloaded"),
        ((is_open(), is_open(), is_open("auth")), "key_refused"),
        ((is_open("misconfigured"), is_open(), CLOSED), "misconfigured"),
        ((is_open(), is_open(), CLOSED), "host_open"),
        ((is_open(), HALF_OPEN, HALF_OPEN), "open"),
    ],
)
def test_of_several_reasons_the_gravest_is_told(
    views: tuple[BreakerView, BreakerView, BreakerView], reason: Reason
) -> None:
    """What an operator or the provider has said is not hidden by what was concluded here."""
    assert admit(*views, False, NOW_S).reason == reason


def test_a_half_open_breaker_without_a_permit_says_when_to_ask_again() -> None:
    """The store that had no permit is not asked by everybody at once: a second is told."""
    assert describe_refusal(HALF_OPEN, False, NOW_S) == Admission(
        "refuse", "half_open", PROBE_AGAIN_S
    )


def refuse(reason: Reason, retry_in_s: float = 5.0) -> Admission:
    """Return a refusal."""
    return Admission("refuse", reason, retry_in_s)


@pytest.mark.parametrize(
    ("refusals", "found"),
    [
        ([], None),
        ([refuse("open")], 0),
        ([refuse("open", 9.0), refuse("open", 2.0), refuse("open", 4.0)], 1),
        ([refuse("open", 2.0), refuse("half_open", 60.0)], 1),
        ([refuse("misconfigured", 1.0), refuse("host_open", 9.0)], 1),
        ([refuse("host_open", 1.0), refuse("open", 9.0)], 1),
        ([refuse("open", 3.0), refuse("open", 3.0)], 0),
        ([refuse("forced_open", 0.0)], None),
        ([refuse("rate_limited"), refuse("overloaded"), refuse("quota_used_up")], None),
        ([refuse("key_refused"), refuse("misconfigured", 90.0)], 1),
        ([refuse("rate_limited"), refuse("key_refused")], 1),
        ([refuse("rate_limited"), refuse("misconfigured"), refuse("full", 0.0)], 1),
    ],
)
def test_the_least_bad_is_nearest_to_its_own_next_try(
    refusals: list[Admission], found: int | None
) -> None:
    """Of what may be tried in need the best is found; holds and operators are believed."""
    assert find_least_bad(refusals) == found


@pytest.mark.parametrize(
    ("refusals", "kind", "retry_after_s"),
    [
        ([], NoHealthyProvider, None),
        ([refuse("open", 30.0), refuse("open", 12.0)], NoHealthyProvider, 12.0),
        ([refuse("forced_open", 0.0)], NoHealthyProvider, inf),
        ([refuse("forced_open", 0.0), refuse("open", 12.0)], NoHealthyProvider, 12.0),
        ([refuse("rate_limited", 7.0), refuse("rate_limited", 3.0)], UpstreamRateLimited, 3.0),
        ([refuse("rate_limited", 7.0), refuse("quota_used_up", 300.0)], UpstreamRateLimited, 7.0),
        ([refuse("rate_limited", 7.0), refuse("open", 3.0)], NoHealthyProvider, 3.0),
        ([refuse("quota_used_up", 300.0)], UpstreamQuotaExhausted, 300.0),
        ([refuse("overloaded", 20.0), refuse("overloaded", 8.0)], UpstreamOverloaded, 8.0),
        ([refuse("overloaded", 20.0), refuse("open", 30.0)], NoHealthyProvider, 20.0),
        ([refuse("key_refused", 60.0)], UpstreamAuthError, None),
        ([refuse("key_refused", 60.0), refuse("open", 5.0)], NoHealthyProvider, 5.0),
        ([refuse("misconfigured", 300.0)], UpstreamModelNotFound, None),
    ],
)
def test_where_all_are_refused_the_client_is_told_what_helps(
    refusals: list[Admission], kind: type[ProxyError], retry_after_s: float | None
) -> None:
    """One common reason is told as the provider's answer that it was, else it is a 503."""
    error = build_error(refusals)
    assert type(error) is kind
    assert error.retry_after_s == retry_after_s
