"""
What to do after an attempt has failed: may another one help, when, and which error to tell.

Going on to another deployment is free and at once. To ask the same one again costs of a budget,
so that many clients with one failing provider do not become a flood.
"""

from collections.abc import Sequence

from proxy.domain.errors import (
    DeadlineExceeded,
    NotOffered,
    ProxyError,
    UpstreamAddressRefused,
    UpstreamAuthError,
    UpstreamDisconnected,
    UpstreamModelNotFound,
    UpstreamOverloaded,
    UpstreamPoolFull,
    UpstreamQuotaExhausted,
    UpstreamRateLimited,
    UpstreamRedirect,
    UpstreamRejected,
    UpstreamServerError,
    UpstreamTimeout,
    UpstreamTlsError,
    UpstreamTooLarge,
    UpstreamUnreachable,
)

CONTEXT_OVERFLOW = "context_length_exceeded"
FILTERED = frozenset(("content_policy_violation", "content_filter", "refusal"))
LONGEST_BACK_OFF_S = 30.0
LEAST_LEFT_S = 2.0
"""With less time than this no other attempt is begun, or a tenth of the whole if that is less."""
ABOUT_ONE_REQUEST = frozenset(
    ("request_exceeds_limit", "request_too_costly", "upstream_not_found", "upstream_refused")
)
"""Codes of what a provider refuses of this request, and would each time, but not of others."""
_CONNECTION_CODES = frozenset(("upstream_connect_timeout", "upstream_tls_timeout"))
_REPEATING_CANNOT_HELP = (
    UpstreamQuotaExhausted,
    UpstreamAuthError,
    UpstreamModelNotFound,
    UpstreamRedirect,
    UpstreamTlsError,
    UpstreamAddressRefused,
    UpstreamTooLarge,
    UpstreamPoolFull,
    NotOffered,
)
# What the client can do something about comes first; what only the operator can, last.
_MOST_USEFUL: tuple[tuple[type[ProxyError], ...], ...] = (
    (UpstreamRejected,),
    (UpstreamQuotaExhausted, UpstreamAuthError, UpstreamModelNotFound),
    (UpstreamRateLimited,),
    (UpstreamOverloaded,),
    (DeadlineExceeded,),
    (UpstreamTimeout,),
    (UpstreamServerError,),
    (UpstreamUnreachable, UpstreamTlsError, UpstreamAddressRefused, UpstreamPoolFull),
    (NotOffered,),
)
_USEFULNESS = (0, 9, 1, 2, 3, 4, 5, 7, 8)
_OTHERWISE = 6


def may_try_another(error: ProxyError) -> bool:
    """
    Return whether another deployment of the same name might do better.

    Args:
        error: what an attempt ended with before anything was shown to the client.

    Source: wire-formats §7.2; docs/dialects.md, "What a provider cannot do".
    """
    return error.may_retry or isinstance(error, NotOffered)


def may_try_fallback(error: ProxyError) -> bool:
    """
    Return whether another model might take what this one has refused.

    Args:
        error: as for `may_try_another`; too long a request, or one that was filtered.

    Source: wire-formats §6.4, §6.5; docs/routing.md, "Fallbacks".
    """
    return may_try_another(error) or (
        isinstance(error, UpstreamRejected)
        and (error.code == CONTEXT_OVERFLOW or error.code in FILTERED)
    )


def may_repeat(error: ProxyError) -> bool:
    """
    Return whether the same deployment might do better if it is asked once more.

    Args:
        error: as for `may_try_another`.

    Source: wire-formats §7.2, column "same upstream".
    """
    if isinstance(error, _REPEATING_CANNOT_HELP) or error.code in ABOUT_ONE_REQUEST:
        return False
    return may_try_another(error)


def choose_wait_s(error: ProxyError, repeats: int, retry_delay_s: float, chance: float) -> float:
    """
    Return how long to wait before the same deployment is asked again.

    A connection that failed is tried again at once, the first time: such faults are gone in a
    moment or stay. A provider's own `Retry-After` is kept to. Without one a rate limit is waited
    for exponentially, at least half of the time; all else with full jitter.

    Args:
        error: what its last attempt ended with.
        repeats: how often it has been asked again already.
        retry_delay_s: the provider's `retry_delay`.
        chance: random, from 0.0 up to 1.0.

    Returns:
        Seconds, 0 or more.

    Source: design.md, "Attempts"; mission.md A5; AWS, "Exponential backoff and jitter".
    """
    if isinstance(error, UpstreamRateLimited | UpstreamOverloaded) and error.retry_after_s:
        return error.retry_after_s * (1.0 + 0.1 * chance)
    if repeats == 0 and is_connection_fault(error):
        return 0.0
    longest_s = min(LONGEST_BACK_OFF_S, retry_delay_s * (1 << min(repeats, 10)))
    if isinstance(error, UpstreamRateLimited):
        return longest_s * (0.5 + 0.5 * chance)
    return longest_s * chance


def is_connection_fault(error: ProxyError) -> bool:
    """Return whether an attempt failed because a connection could not be opened, or broke."""
    return (
        isinstance(error, UpstreamUnreachable | UpstreamDisconnected)
        or error.code in _CONNECTION_CODES
    )


def count_repeats(max_retries: int, success_rate: float) -> int:
    """
    Return how often a deployment may be asked again for one request.

    All of `max_retries` where attempts at it have lately succeeded, down to one where hardly
    any has: then the next will not either.

    Args:
        max_retries: the provider's.
        success_rate: share of the recent attempts at this deployment that succeeded, 0 to 1.

    Source: mission.md A5, "adaptive by success history".
    """
    return max(min(1, max_retries), round(max_retries * success_rate))


def has_time(left_s: float, timeout_s: float) -> bool:
    """Return whether another attempt is worth to begin with `left_s` of `timeout_s` left."""
    return left_s >= min(LEAST_LEFT_S, timeout_s / 10)


def pick_error(errors: Sequence[ProxyError], waits_s: Sequence[float] = ()) -> ProxyError:
    """
    Return the most useful of the errors that a request's attempts ended with.

    What the client can mend goes first, then what it can wait for; last comes what only the
    operator can do something about. Of equals the first: that deployment was the best one. A
    limit or an overload says when the first of all who have named a time may be asked again.

    Args:
        errors: at least one, in the order of the attempts.
        waits_s: seconds until those that were not asked may be.

    Source: design.md, "Attempts"; reliability.md U21.
    """
    error = min(errors, key=_rate)
    if isinstance(error, UpstreamRateLimited | UpstreamOverloaded):
        named = [each.retry_after_s for each in errors if each.retry_after_s is not None]
        error.retry_after_s = min((*named, *waits_s), default=None)
    return error


def _rate(error: ProxyError) -> int:
    for usefulness, kinds in zip(_USEFULNESS, _MOST_USEFUL, strict=True):
        if isinstance(error, kinds):
            return usefulness
    return _OTHERWISE


class RetryBudget:
    """
    How often the deployments of one name may be asked again, over all requests of a process.

    A hundred tokens at most: each repetition costs ten, each success brings one back. So a tenth
    of the load may be repetitions for ever, and a few more for a moment. Without tokens three may
    still be under way at a time, and three begin in a second: where there is little load a few
    successes would have to do.

    Source: Google's SRE book, "Handling overload"; Envoy's retry budget; AWS SDK's token bucket.
    """

    __slots__ = ("_next_s", "_running", "_tokens")

    FULL = 100
    PRICE = 10
    FEWEST_RUNNING = 3
    FEWEST_EACH_S = 1.0 / 3.0

    def __init__(self) -> None:
        self._tokens = self.FULL
        self._running = 0
        self._next_s = 0.0

    @property
    def is_full(self) -> bool:
        """It says no more than a new one would."""
        return self._tokens == self.FULL and not self._running

    def note_success(self) -> None:
        """Take note of a request that was answered."""
        if self._tokens < self.FULL:
            self._tokens += 1

    def take(self, now_s: float) -> bool:
        """
        Return whether one more may be asked again; if so, `finish` must follow.

        Args:
            now_s: seconds of a monotonic clock.
        """
        if self._tokens >= self.PRICE:
            self._tokens -= self.PRICE
        elif self._running >= self.FEWEST_RUNNING or now_s < self._next_s:
            return False
        else:
            self._next_s = now_s + self.FEWEST_EACH_S
        self._running += 1
        return True

    def finish(self) -> None:
        """Take note that what `take` allowed has ended, its wait included."""
        self._running -= 1
