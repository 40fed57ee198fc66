"""After a failed attempt: may another help, when, and which error is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NotOffered,
    ProxyError,
    UpstreamAddressRefused,
    UpstreamAuthError,
    UpstreamDisconnected,
    UpstreamError,
    UpstreamModelNotFound,
    UpstreamNotDialled,
    UpstreamOverloaded,
    UpstreamPoolFull,
    UpstreamProtocolError,
    UpstreamQuotaExhausted,
    UpstreamRateLimited,
    UpstreamRedirect,
    UpstreamRejected,
    UpstreamServerError,
    UpstreamTimeout,
    UpstreamTlsError,
    UpstreamTooLarge,
    UpstreamTruncated,
    UpstreamUnreachable,
)
from proxy.policy.retry import (
    LONGEST_BACK_OFF_S,
    RetryBudget,
    choose_wait_s,
    count_repeats,
    has_time,
    is_connection_fault,
    may_repeat,
    may_try_another,
    may_try_fallback,
    pick_error,
)

NOW_S = 1000.0
TRANSIENT = (
    UpstreamUnreachable(),
    UpstreamDisconnected(),
    UpstreamTruncated(),
    UpstreamProtocolError(),
    UpstreamServerError(),
    UpstreamRateLimited(),
    UpstreamOverloaded(),
    UpstreamTimeout(code="upstream_header_timeout"),
)
FINAL_HERE = (
    UpstreamQuotaExhausted(),
    UpstreamAuthError(),
    UpstreamModelNotFound(),
    UpstreamRedirect(),
    UpstreamTlsError(),
    UpstreamAddressRefused(),
    UpstreamTooLarge(),
    UpstreamPoolFull(),
    UpstreamNotDialled(),
    UpstreamError(code="upstream_refused"),
    UpstreamModelNotFound(code="upstream_not_found"),
    UpstreamRateLimited(code="request_exceeds_limit"),
    UpstreamQuotaExhausted(code="request_too_costly"),
    NotOffered("'n' is too much."),
)
OVERFLOW = UpstreamRejected(400, code="context_length_exceeded")
FILTERED = [
    UpstreamRejected(400, code=code)
    for code in ("content_policy_violation", "content_filter", "refusal")
]
BUSY = UpstreamOverloaded()
BAD_PARAM = UpstreamRejected(400, code="unsupported_value", param="n")


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
def test_what_may_be_gone_in_a_moment_is_tried_anywhere(error: ProxyError) -> None:
    """Faults of the moment may be tried at another deployment, a fallback and the same one."""
    assert may_try_another(error)
    assert may_try_fallback(error)
    assert may_repeat(error)


@pytest.mark.parametrize("error", FINAL_HERE, ids=lambda error: type(error).__name__)
def test_what_stays_wrong_is_tried_elsewhere_only(error: ProxyError) -> None:
    """A bad key, a request that does not fit and the like: not repeated, but tried elsewhere."""
    assert may_try_another(error)
    assert may_try_fallback(error)
    assert not may_repeat(error)


@pytest.mark.parametrize("error", [OVERFLOW, *FILTERED], ids=lambda error: str(error.code))
def test_too_long_or_filtered_is_another_models_business(error: ProxyError) -> None:
    """What this model refuses as it is no deployment of it takes, but a fallback may."""
    assert not may_try_another(error)
    assert not may_repeat(error)
    assert may_try_fallback(error)


@pytest.mark.parametrize("error", [BAD_PARAM, InvalidRequest("x"), DeadlineExceeded()], ids=str)
def test_what_is_wrong_everywhere_is_tried_nowhere(error: ProxyError) -> None:
    """A client's mistake and a deadline that has passed end the search."""
    assert not may_try_another(error)
    assert not may_try_fallback(error)
    assert not may_repeat(error)


def test_what_cannot_be_done_is_told_only_where_nothing_will_pass_by_itself() -> None:
    """A provider that fails for a moment goes before one that cannot do it; a bad key does not."""
    cannot = NotOffered("x", param="n")
    assert pick_error([cannot, BUSY]) is BUSY
    assert pick_error([UpstreamAuthError(), cannot]) is cannot


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UpstreamUnreachable(), True),
        (UpstreamDisconnected(), True),
        (UpstreamTimeout(code="upstream_connect_timeout"), True),
        (UpstreamTimeout(code="upstream_tls_timeout"), True),
        (UpstreamTimeout(code="upstream_header_timeout"), False),
        (UpstreamServerError(), False),
        (UpstreamRateLimited(), False),
    ],
    ids=str,
)
def test_a_connection_fault_is_known(error: ProxyError, expected: bool) -> None:
    """What failed before or with the connection is told from what an answer said."""
    assert is_connection_fault(error) is expected


def test_a_connection_fault_is_tried_again_at_once_and_then_with_jitter() -> None:
    """The first repetition after a connection fault does not wait; the second does."""
    assert choose_wait_s(UpstreamUnreachable(), 0, 1.0, 0.9) == 0.0
    assert choose_wait_s(UpstreamUnreachable(), 1, 1.0, 0.5) == 1.0
    assert choose_wait_s(UpstreamDisconnected(), 2, 1.0, 0.5) == 2.0


def test_other_faults_wait_with_full_jitter_that_doubles() -> None:
    """The wait is anything from nothing up to `retry_delay`, doubled for each repetition."""
    error = UpstreamServerError()
    assert choose_wait_s(error, 0, 1.5, 1.0) == 1.5
    assert choose_wait_s(error, 0, 1.5, 0.0) == 0.0
    assert choose_wait_s(error, 3, 1.5, 0.5) == 6.0


def test_a_rate_limit_waits_at_least_half() -> None:
    """Without a Retry-After a rate limit is waited for exponentially, never for nothing."""
    error = UpstreamRateLimited()
    assert choose_wait_s(error, 0, 2.0, 0.0) == 1.0
    assert choose_wait_s(error, 0, 2.0, 1.0) == 2.0
    assert choose_wait_s(error, 2, 2.0, 0.0) == 4.0


@pytest.mark.parametrize("kind", [UpstreamRateLimited, UpstreamOverloaded])
def test_a_providers_own_word_is_kept_to(kind: type[ProxyError]) -> None:
    """Nobody comes back before the time that a provider has named, and not all at once."""
    error = kind(retry_after_s=20.0)
    assert choose_wait_s(error, 0, 1.0, 0.0) == 20.0
    assert choose_wait_s(error, 5, 1.0, 1.0) == pytest.approx(22.0)
    assert choose_wait_s(kind(retry_after_s=0.0), 0, 1.0, 1.0) <= 1.0


@given(
    st.integers(0, 1000),
    st.floats(0.0, 1e6),
    st.floats(0.0, 1.0),
    st.sampled_from([*TRANSIENT, *FINAL_HERE]),
)
def test_no_wait_is_longer_than_the_longest(
    repeats: int, retry_delay_s: float, chance: float, error: ProxyError
) -> None:
    """Whatever is configured and however often it was tried, a wait of ours is bounded."""
    assert 0.0 <= choose_wait_s(error, repeats, retry_delay_s, chance) <= LONGEST_BACK_OFF_S


def test_the_longest_wait_is_thirty_seconds() -> None:
    """A back-off grows up to thirty seconds and no further."""
    assert choose_wait_s(UpstreamServerError(), 10, 60.0, 1.0) == 30.0
    assert choose_wait_s(UpstreamServerError(), 4, 1.0, 1.0) == 16.0


@pytest.mark.parametrize(
    ("max_retries", "share", "expected"),
    [(3, 1.0, 3), (3, 0.6, 2), (3, 0.1, 1), (3, 0.0, 1), (0, 1.0, 0), (0, 0.0, 0), (1, 0.0, 1)],
)
def test_repetitions_adapt_to_recent_success(max_retries: int, share: float, expected: int) -> None:
    """Where hardly any attempt succeeds one repetition is all; none configured stays none."""
    assert count_repeats(max_retries, share) == expected


def test_another_attempt_needs_time() -> None:
    """Two seconds must be left, or a tenth of a deadline that is shorter than twenty."""
    assert has_time(2.0, 300.0)
    assert not has_time(1.99, 300.0)
    assert has_time(0.1, 1.0)
    assert not has_time(0.099, 1.0)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([UpstreamUnreachable(), UpstreamServerError()], UpstreamServerError),
        ([UpstreamServerError(), UpstreamTimeout()], UpstreamTimeout),
        ([UpstreamTimeout(), UpstreamOverloaded()], UpstreamOverloaded),
        ([UpstreamTimeout(), DeadlineExceeded()], DeadlineExceeded),
        ([DeadlineExceeded(), UpstreamOverloaded()], UpstreamOverloaded),
        ([UpstreamOverloaded(), UpstreamRateLimited()], UpstreamRateLimited),
        ([UpstreamRateLimited(), OVERFLOW], UpstreamRejected),
        ([UpstreamAuthError(), UpstreamUnreachable()], UpstreamUnreachable),
        ([UpstreamQuotaExhausted(), UpstreamTlsError()], UpstreamTlsError),
        ([UpstreamModelNotFound(), UpstreamAddressRefused()], UpstreamAddressRefused),
        ([UpstreamPoolFull(), UpstreamTruncated()], UpstreamTruncated),
        ([UpstreamProtocolError(), UpstreamServerError()], UpstreamServerError),
        ([UpstreamQuotaExhausted(), UpstreamRateLimited()], UpstreamRateLimited),
        ([UpstreamAuthError(), UpstreamModelNotFound()], UpstreamAuthError),
    ],
    ids=lambda value: "+".join(type(e).__name__ for e in value) if isinstance(value, list) else "",
)
def test_the_most_useful_error_is_told(
    errors: list[ProxyError], expected: type[ProxyError]
) -> None:
    """What the client can mend or wait for goes before what only the operator can mend."""
    assert type(pick_error(errors)) is expected
    assert type(pick_error(errors[:1])) is type(errors[0])


def test_of_equals_the_first_is_told() -> None:
    """Of two errors of one kind the one of the better deployment is told."""
    first, second = UpstreamServerError("first"), UpstreamServerError("second")
    assert pick_error([first, second]) is first


@pytest.mark.parametrize(
    ("first_s", "second_s", "waits_s", "expected_s"),
    [
        (60.0, 20.0, (), 20.0),
        (60.0, None, (), 60.0),
        (None, 20.0, (), 20.0),
        (None, None, (), None),
        (60.0, 20.0, (7.0, 300.0), 7.0),
        (None, None, (7.0,), 7.0),
    ],
)
def test_the_first_time_that_anybody_has_named_is_told(
    first_s: float | None, second_s: float | None, waits_s: tuple[float, ...], expected_s: float
) -> None:
    """A limit says when the first of all may be asked again, those that were not asked included."""
    errors = [UpstreamRateLimited(retry_after_s=each) for each in (first_s, second_s)]
    assert pick_error(errors, waits_s).retry_after_s == expected_s


def test_no_time_is_told_where_none_helps() -> None:
    """An error that no waiting mends names no time, whatever others do."""
    assert pick_error([UpstreamRejected(400)], [7.0]).retry_after_s is None
    assert pick_error([UpstreamServerError()], [7.0]).retry_after_s is None


def test_a_full_budget_allows_ten_repetitions() -> None:
    """A hundred tokens buy ten at once; the eleventh is one of three in a second."""
    budget = RetryBudget()
    for _ in range(10):
        assert budget.take(NOW_S)
        budget.finish()
    assert budget.take(NOW_S)
    assert not budget.take(NOW_S)
    assert not budget.take(NOW_S + 0.33)
    assert budget.take(NOW_S + 0.34)
    assert budget.take(NOW_S + 0.68)


def test_without_tokens_three_are_under_way_at_most() -> None:
    """However much time has passed, the fourth waits for one of the three to end."""
    budget = RetryBudget()
    for _ in range(10):
        assert budget.take(NOW_S)
        budget.finish()
    for second in range(3):
        assert budget.take(NOW_S + second)
    assert not budget.take(NOW_S + 100)
    budget.finish()
    assert budget.take(NOW_S + 100)


def test_ten_successes_earn_one_repetition() -> None:
    """At an empty budget with ten under way, the tenth success lets one more go."""
    budget = RetryBudget()
    for _ in range(10):
        assert budget.take(NOW_S)
    for number in range(10):
        assert not budget.take(NOW_S), number
        budget.note_success()
    assert budget.take(NOW_S)
    assert not budget.take(NOW_S)


def test_a_budget_never_holds_more_than_it_began_with() -> None:
    """Any number of successes leaves it at a hundred tokens, which is what a new one has."""
    budget = RetryBudget()
    for _ in range(500):
        budget.note_success()
    assert budget.is_full
    taken = 0
    while budget.take(NOW_S):
        taken += 1
    assert taken == 10
    assert not budget.is_full


def test_a_budget_with_one_under_way_is_in_use() -> None:
    """It is full again only when what it allowed has ended and was earned back."""
    budget = RetryBudget()
    budget.take(NOW_S)
    for _ in range(10):
        budget.note_success()
    assert not budget.is_full
    budget.finish()
    assert budget.is_full
