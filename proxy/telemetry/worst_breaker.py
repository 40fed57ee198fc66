"""Which of a provider's circuit breakers speaks for it where only one is told of. Pure."""

from collections.abc import Mapping

from proxy.domain.breaker import BreakerState

_BADNESS: Mapping[BreakerState, int] = {
    "closed": 0,
    "disabled": 0,
    "half_open": 1,
    "open": 2,
    "forced_open": 3,
}


def rate_badness(state: BreakerState, failures: int) -> tuple[int, int]:
    """Return how bad a breaker is: by its state, then by its failures in a row."""
    return _BADNESS[state], failures
