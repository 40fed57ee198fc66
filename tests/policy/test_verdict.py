"""Every error of the tree has its verdict: the provider's fault, ours, or nobody's."""

from collections.abc import Iterator

import pytest

from proxy.domain import errors, service_errors
from proxy.domain.breaker import BreakerCause
from proxy.domain.errors import (
    DeadlineExceeded,
    ProxyError,
    UpstreamError,
    UpstreamModelNotFound,
    UpstreamOverloaded,
    UpstreamQuotaExhausted,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamServerError,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamTruncated,
    UpstreamUnreachable,
)
from proxy.policy.verdict import NEUTRAL, OK, SLOW, Verdict, judge

FAIL = Verdict("fail", cause="failures")
NO_CONNECTION = Verdict("fail", cause="failures", is_connect=True)
NO_NETWORK = Verdict("fail", cause="failures", is_connect=True, is_local_network=True)

VERDICTS: dict[type[ProxyError], Verdict] = {
    errors.InvalidRequest: NEUTRAL,
    errors.InvalidApiKey: NEUTRAL,
    errors.PermissionDenied: NEUTRAL,
    errors.RouteNotFound: NEUTRAL,
    errors.ModelNotFound: NEUTRAL,
    errors.MethodNotAllowed: NEUTRAL,
    errors.RequestTimeout: NEUTRAL,
    errors.BodyTooLarge: NEUTRAL,
    errors.UnsupportedMediaType: NEUTRAL,
    errors.ExpectationFailed: NEUTRAL,
    errors.HeadTooLarge: NEUTRAL,
    errors.LimitExceeded: NEUTRAL,
    service_errors.ResponseNotFound: NEUTRAL,
    service_errors.ResponseStoreUnavailable: NEUTRAL,
    service_errors.ConfigRejected: NEUTRAL,
    service_errors.ConfigGuarded: NEUTRAL,
    service_errors.HealthWorkerUnavailable: NEUTRAL,
    service_errors.SupervisorRefused: NEUTRAL,
    service_errors.SupervisorUnavailable: NEUTRAL,
    errors.NotOffered: NEUTRAL,
    errors.ServerOverloaded: NEUTRAL,
    errors.NoHealthyProvider: NEUTRAL,
    service_errors.ServerShutdown: NEUTRAL,
    errors.InternalError: NEUTRAL,
    errors.DeadlineExceeded: FAIL,
    errors.UpstreamUnreachable: NO_CONNECTION,
    errors.UpstreamAddressRefused: NO_CONNECTION,
    errors.UpstreamTlsError: NO_CONNECTION,
    errors.UpstreamPoolFull: NEUTRAL,
    errors.UpstreamNotDialled: NEUTRAL,
    errors.UpstreamRejected: NEUTRAL,
    errors.UpstreamDisconnected: FAIL,
    errors.UpstreamTruncated: FAIL,
    errors.UpstreamProtocolError: FAIL,
    errors.UpstreamTooLarge: FAIL,
    errors.UpstreamRedirect: FAIL,
    errors.UpstreamServerError: FAIL,
    errors.UpstreamOverloaded: FAIL,
    errors.UpstreamTimeout: FAIL,
    errors.UpstreamRateLimited: Verdict("hold", cause="rate_limit"),
    errors.UpstreamModelNotFound: Verdict("hold", hold_s=300.0, cause="misconfigured"),
    errors.UpstreamAuthError: Verdict("hold", "key", 60.0, "auth"),
    errors.UpstreamQuotaExhausted: Verdict("hold", "key", 300.0, "quota"),
}
ABOVE = {errors.RequestError, UpstreamError}
"""Never raised themselves."""


def build_error(kind: type[ProxyError]) -> ProxyError:
    """Return an error of a class, with what its class asks for and nothing else."""
    return UpstreamRejected(400) if kind is UpstreamRejected else kind("m")


def walk(kind: type[ProxyError] = ProxyError) -> Iterator[type[ProxyError]]:
    """Yield every class below another one, but for those that tests have made."""
    for child in kind.__subclasses__():
        if child.__module__.startswith("proxy."):
            yield child
            yield from walk(child)


def test_every_error_has_been_thought_about() -> None:
    """Whoever adds an error to the tree says here what it means for a breaker."""
    assert set(walk()) - ABOVE == set(VERDICTS)


@pytest.mark.parametrize("kind", VERDICTS, ids=lambda kind: kind.__name__)
def test_every_error_has_its_verdict(kind: type[ProxyError]) -> None:
    """Each class of the tree is judged as the table says."""
    assert judge(build_error(kind)) == VERDICTS[kind]


@pytest.mark.parametrize("kind", VERDICTS, ids=lambda kind: kind.__name__)
def test_failures_are_what_counts_against_health(kind: type[ProxyError]) -> None:
    """What the tree says to weigh on a provider fails; the request's deadline may do so too."""
    counts = kind.counts_against_health or kind is DeadlineExceeded
    assert (VERDICTS[kind].result == "fail") == counts


def test_an_error_that_is_not_known_goes_by_its_parent() -> None:
    """A subclass of an error is judged like it, and a new one of a provider as a failure."""

    class Reset(errors.UpstreamDisconnected):
        pass

    class Strange(UpstreamError):
        pass

    assert judge(Reset()) == judge(Strange()) == FAIL


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("upstream_connect_timeout", NO_CONNECTION),
        ("upstream_tls_timeout", NO_CONNECTION),
        ("upstream_header_timeout", FAIL),
        ("upstream_first_token_timeout", FAIL),
        ("upstream_stalled", FAIL),
        ("upstream_answer_timeout", FAIL),
    ],
)
def test_our_clocks_are_failures_unless_we_were_in_a_hurry(code: str, verdict: Verdict) -> None:
    """A clock that ran out in full is a failure; one that was cut short proves nothing."""
    error = UpstreamTimeout(code=code)
    assert judge(error) == verdict
    assert judge(error, was_cut_short=True) == NEUTRAL


def test_the_deadline_is_a_failure_only_in_full() -> None:
    """The request's deadline weighs on who had all the time that its own clock grants."""
    assert judge(DeadlineExceeded()) == FAIL
    assert judge(DeadlineExceeded(), was_cut_short=True) == NEUTRAL


@pytest.mark.parametrize("error", [UpstreamTimeout(), UpstreamServerError(), UpstreamTruncated()])
def test_what_a_provider_says_holds_in_a_hurry_too(error: ProxyError) -> None:
    """Its own 504, and everything else that is not our clock, fails however little time it had."""
    assert judge(error, was_cut_short=True) == FAIL


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("upstream_unreachable", NO_CONNECTION),
        ("upstream_dns", NO_CONNECTION),
        ("upstream_network_down", NO_NETWORK),
    ],
)
def test_this_machines_network_is_told_apart(code: str, verdict: Verdict) -> None:
    """A refusal and a name that does not exist are the provider's; no network may be ours."""
    assert judge(UpstreamUnreachable(code=code)) == verdict


@pytest.mark.parametrize(
    ("asked_s", "hold_s"), [(None, None), (0.0, 1.0), (7.5, 7.5), (300.0, 300.0), (86400.0, 300.0)]
)
def test_a_provider_says_how_long_it_wants_to_be_left_alone(
    asked_s: float | None, hold_s: float | None
) -> None:
    """A 429 holds the deployment for its Retry-After, from 1 to 300 s, or for no set time."""
    error = UpstreamRateLimited(retry_after_s=asked_s)
    assert judge(error) == Verdict("hold", hold_s=hold_s, cause="rate_limit")


@pytest.mark.parametrize(("asked_s", "hold_s"), [(None, None), (0.0, 1.0), (20.0, 20.0)])
def test_an_overload_is_a_failure_with_a_hold(asked_s: float | None, hold_s: float | None) -> None:
    """A 503 or 529 fails; where it names a time it is left alone for that long besides."""
    error = UpstreamOverloaded(retry_after_s=asked_s)
    cause: BreakerCause = "failures" if asked_s is None else "overloaded"
    assert judge(error) == Verdict("fail", hold_s=hold_s, cause=cause)


@pytest.mark.parametrize(
    "error",
    [
        UpstreamError(code="upstream_refused"),
        UpstreamModelNotFound(code="upstream_not_found"),
        UpstreamRateLimited(code="request_exceeds_limit", retry_after_s=60.0),
        UpstreamQuotaExhausted(code="request_too_costly", retry_after_s=60.0),
        UpstreamTooLarge(code="answer_too_large"),
        UpstreamError(code="upstream_unusable_answer"),
        UpstreamTooLarge(code="limit_exceeded"),
    ],
    ids=lambda error: error.code,
)
def test_what_one_client_can_bring_about_opens_nothing(error: ProxyError) -> None:
    """A refusal of one request, or an answer as long as was asked for, proves nothing."""
    assert judge(error) == judge(error, was_cut_short=True) == NEUTRAL


def test_money_does_not_come_back_soon() -> None:
    """A used-up quota holds the key for 300 s, whatever Retry-After says."""
    error = UpstreamQuotaExhausted(retry_after_s=2.0)
    assert judge(error) == Verdict("hold", "key", 300.0, "quota")


@pytest.mark.parametrize(
    ("ttft_s", "typical_s", "verdict"),
    [
        (None, 1.0, OK),
        (50.0, None, OK),
        (10.0, 1.0, OK),
        (10.1, 1.0, SLOW),
        (29.0, 10.0, OK),
        (31.0, 10.0, SLOW),
    ],
)
def test_slow_is_what_is_both_long_and_unusual(
    ttft_s: float | None, typical_s: float | None, verdict: Verdict
) -> None:
    """A first token is slow above three times what is typical, and never within 10 s."""
    assert judge(None, ttft_s=ttft_s, typical_s=typical_s) == verdict
