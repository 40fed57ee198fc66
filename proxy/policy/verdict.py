"""
What the outcome of an attempt says about who was asked: his fault, ours, or nobody's.

`breaker.py` counts by it, `egress.py` and the key's hold go by it too. Whether another attempt
may help is another question, which the error itself answers (`may_retry`).
"""

from typing import Literal

from msgspec import Struct

from proxy.domain.breaker import BreakerCause
from proxy.domain.errors import (
    DeadlineExceeded,
    ProxyError,
    UpstreamAddressRefused,
    UpstreamAuthError,
    UpstreamError,
    UpstreamModelNotFound,
    UpstreamOverloaded,
    UpstreamPoolFull,
    UpstreamQuotaExhausted,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamTlsError,
    UpstreamUnreachable,
)
from proxy.policy.retry import ABOUT_ONE_REQUEST

SHORTEST_HOLD_S = 1.0
LONGEST_HOLD_S = 300.0
"""Between these a provider may say how long it wants to be left alone."""
AUTH_HOLD_S = 60.0
SLOW_FACTOR = 3.0
SLOW_AT_LEAST_S = 10.0
"""A first token is slow that takes longer than this, and SLOW_FACTOR times what is typical."""

_NETWORK_DOWN = "upstream_network_down"
_DIAL_CLOCKS = frozenset(("upstream_connect_timeout", "upstream_tls_timeout"))
_THEIR_CLOCK = UpstreamTimeout.code
"""The provider itself said that it took too long: 408, 504 and the like."""
_A_CLIENTS_CODES = ABOUT_ONE_REQUEST | {
    *("answer_too_large", "limit_exceeded", "upstream_unusable_answer"),
}
"""What one client can bring about alone: no answer of its own, or one that is above our caps."""


class Verdict(Struct, frozen=True):
    """What one attempt says about a deployment, its provider's key and its provider's host."""

    result: Literal["ok", "slow", "fail", "neutral", "hold"]
    target: Literal["deployment", "key"] = "deployment"
    """Who is held; everything else is the deployment's."""
    hold_s: float | None = None
    """With `hold`: how long, None leaves it to the breaker. With `fail`: a hold besides."""
    cause: BreakerCause = ""
    is_connect: bool = False
    """There was no connection: it weighs on the host too, which all its deployments share."""
    is_local_network: bool = False
    """It was this machine's network, if all providers look like that; see `egress.py`."""


OK = Verdict("ok")
SLOW = Verdict("slow", cause="slow")
NEUTRAL = Verdict("neutral")
"""Also of a client that left, and of whatever else ended an attempt without an error."""
_FAIL = Verdict("fail", cause="failures")
_NO_CONNECTION = Verdict("fail", cause="failures", is_connect=True)
_NO_NETWORK = Verdict("fail", cause="failures", is_connect=True, is_local_network=True)
_QUOTA = Verdict("hold", "key", LONGEST_HOLD_S, "quota")
_AUTH = Verdict("hold", "key", AUTH_HOLD_S, "auth")
_MISCONFIGURED = Verdict("hold", hold_s=LONGEST_HOLD_S, cause="misconfigured")
_RATE_LIMIT = Verdict("hold", cause="rate_limit")

_BY_KIND: dict[type[BaseException], Verdict] = {
    # Its name has been led astray: U29. Each request would find that out anew.
    UpstreamAddressRefused: _NO_CONNECTION,
    UpstreamTlsError: _NO_CONNECTION,
    UpstreamUnreachable: _NO_CONNECTION,
    # Our own limits, and what this machine is out of.
    UpstreamPoolFull: NEUTRAL,
    UpstreamRejected: NEUTRAL,
    UpstreamAuthError: _AUTH,
    UpstreamQuotaExhausted: _QUOTA,
    UpstreamModelNotFound: _MISCONFIGURED,
    UpstreamRateLimited: _RATE_LIMIT,
    UpstreamError: _FAIL,
    # Not cut short, it has had all the time that its own clock grants.
    DeadlineExceeded: _FAIL,
    ProxyError: NEUTRAL,
}


def judge(
    error: ProxyError | None,
    *,
    ttft_s: float | None = None,
    typical_s: float | None = None,
    was_cut_short: bool = False,
) -> Verdict:
    """
    Return what the end of an attempt says about the deployment that was asked.

    Args:
        error: how it failed; None if it did not.
        ttft_s: seconds from its dispatch to its first content; None if there was none.
        typical_s: what that usually takes there, `Latency.typical_s`; None: not known yet,
            and nothing is slow.
        was_cut_short: the request's deadline left it less time than the provider's own clock
            grants: that a clock of ours ran out proves nothing then.

    Returns:
        The verdict. An error of a class that is not known here goes by its parent's.

    Raises:
        Nothing.

    Source: reliability.md §4.5, amended by design.md ("Breaker"); docs/reliability.md;
    tests/policy/test_verdict.py has each class of the tree.
    """
    if error is None:
        return SLOW if _is_slow(ttft_s, typical_s) else OK
    if isinstance(error, UpstreamTimeout):
        if was_cut_short and error.code != _THEIR_CLOCK:
            return NEUTRAL
        return _NO_CONNECTION if error.code in _DIAL_CLOCKS else _FAIL
    if was_cut_short and isinstance(error, DeadlineExceeded):
        return NEUTRAL
    if error.code in _A_CLIENTS_CODES:
        return NEUTRAL
    if isinstance(error, UpstreamUnreachable) and error.code == _NETWORK_DOWN:
        return _NO_NETWORK
    kinds = type(error).__mro__
    verdict = next(_BY_KIND[kind] for kind in kinds if kind in _BY_KIND)
    if error.retry_after_s is None:
        return verdict
    hold_s = min(max(error.retry_after_s, SHORTEST_HOLD_S), LONGEST_HOLD_S)
    if verdict is _RATE_LIMIT:
        return Verdict("hold", hold_s=hold_s, cause="rate_limit")
    if isinstance(error, UpstreamOverloaded):
        return Verdict("fail", hold_s=hold_s, cause="overloaded")
    return verdict


def _is_slow(ttft_s: float | None, typical_s: float | None) -> bool:
    if ttft_s is None or typical_s is None:
        return False
    return ttft_s > max(SLOW_FACTOR * typical_s, SLOW_AT_LEAST_S)
