"""
May an attempt go to this deployment now? Breakers, holds and room, as one answer with one reason.

What is asked here costs no I/O. Where a breaker's time is over, its store is asked for a permit
next (`pipeline/admit.py`); what it says then is put into the same words by `describe_refusal`.
"""

from collections.abc import Sequence
from math import inf
from typing import Literal

from msgspec import Struct

from proxy.domain.breaker import BreakerView
from proxy.domain.errors import (
    NoHealthyProvider,
    ProxyError,
    UpstreamAuthError,
    UpstreamModelNotFound,
    UpstreamOverloaded,
    UpstreamQuotaExhausted,
    UpstreamRateLimited,
)

Reason = Literal[
    "closed",
    "probe",
    "panic",
    "forced_open",
    "key_refused",
    "quota_used_up",
    "host_open",
    "overloaded",
    "rate_limited",
    "misconfigured",
    "open",
    "half_open",
    "full",
]
"""`closed`, `probe` and `panic` let an attempt go; all others say why it may not."""

_ORDER: tuple[Reason, ...] = (
    "forced_open",
    "quota_used_up",
    "rate_limited",
    "overloaded",
    "key_refused",
    "misconfigured",
    "host_open",
    "open",
)
"""The gravest reason first: who may not be tried at all, then who is the worst to try."""
PROBE_AGAIN_S = 1.0
"""All permits are out: when it is worth asking again, as clients are told."""
FREE = ("closed", "disabled")
"""States that let everything through."""
_LEAST_BAD: tuple[Reason, ...] = (
    "half_open",
    "open",
    "host_open",
    "misconfigured",
    "key_refused",
)
"""What may be tried although it should not, where there is nothing else; the best first."""


class Admission(Struct, frozen=True):
    """
    Whether an attempt may go, and the one reason.

    `go` lets it, `refuse` does not for `retry_in_s`, `ask` leaves it to the stores of the
    breakers whose time is over.
    """

    kind: Literal["go", "ask", "refuse"]
    reason: Reason
    retry_in_s: float = 0.0


GO = Admission("go", "closed")
ASK = Admission("ask", "probe")
FULL = Admission("refuse", "full")
NO_PERMIT = Admission("refuse", "half_open", PROBE_AGAIN_S)


def admit(
    deployment: BreakerView, host: BreakerView, key: BreakerView, has_room: bool, now_s: float
) -> Admission:
    """
    Return whether an attempt may go to a deployment.

    Args:
        deployment: the view of its breaker.
        host: that of its provider's host.
        key: that of the key which it would be asked with.
        has_room: a connection could be had without waiting.
        now_s: seconds of the clock that the views go by.

    Returns:
        Of several reasons against it the gravest: first the operator's, then what the provider
        itself has said, then what was concluded here, and last that all connections are in use.

    Raises:
        Nothing.

    Source: design.md, "Attempts" and "Breaker"; docs/routing.md lists the reasons.
    """
    if deployment.state in FREE and host.state in FREE and key.state in FREE:
        return GO if has_room else FULL
    refused: Admission | None = None
    for view, is_host in ((deployment, False), (host, True), (key, False)):
        if view.state in FREE or view.state == "half_open":
            continue
        if view.state == "open" and now_s >= view.retry_at_s:
            continue
        refusal = describe_refusal(view, is_host, now_s)
        if refused is None or _ORDER.index(refusal.reason) <= _ORDER.index(refused.reason):
            refused = refusal
    if refused is not None:
        return refused
    return ASK if has_room else FULL


def describe_refusal(view: BreakerView, is_host: bool, now_s: float) -> Admission:
    """
    Return the refusal that a breaker means which lets nothing through.

    Args:
        view: how it stands.
        is_host: it is a host's.
        now_s: seconds of the clock that the view goes by.
    """
    if view.state == "forced_open":
        return Admission("refuse", "forced_open")
    if view.state == "half_open":
        return NO_PERMIT
    reason: Reason
    match view.cause:
        case "auth":
            reason = "key_refused"
        case "quota":
            reason = "quota_used_up"
        case "rate_limit":
            reason = "rate_limited"
        case "overloaded":
            reason = "overloaded"
        case "misconfigured":
            reason = "misconfigured"
        case _:
            reason = "host_open" if is_host else "open"
    return Admission("refuse", reason, max(0.0, view.retry_at_s - now_s))


def find_least_bad(refusals: Sequence[Admission]) -> int | None:
    """
    Return which of the refused ones to try all the same, None if none may be.

    A provider that has said until when it wants to be left alone is believed, and so is an
    operator. Among the others the one that is nearest to its own next try is the least bad.

    Args:
        refusals: why each candidate was refused, in their order.

    Source: Envoy's panic threshold; reliability.md P3, U37.
    """
    best: tuple[int, float] | None = None
    found = None
    for index, refusal in enumerate(refusals):
        if refusal.reason in _LEAST_BAD:
            badness = (_LEAST_BAD.index(refusal.reason), refusal.retry_in_s)
            if best is None or badness < best:
                best, found = badness, index
    return found


def build_error(refusals: Sequence[Admission]) -> ProxyError:
    """
    Return what a client is told when every candidate was refused.

    Where all have the same reason, and it is one of the provider's answers, the client gets
    the error that this answer was; else 503. It says when the first of them may be tried again;
    infinity where no time will mend it.

    Args:
        refusals: why each candidate was refused; none: there was none.

    Source: reliability.md U21, U37; tests/policy/test_admission.py.
    """
    waits = [each.retry_in_s for each in refusals if each.reason != "forced_open"]
    # An operator's order ends when the operator says so: nobody knows when to come back.
    retry_after_s = min(waits, default=inf if refusals else None)
    reasons = {each.reason for each in refusals}
    if reasons == {"key_refused"}:
        return UpstreamAuthError()
    if reasons == {"misconfigured"}:
        return UpstreamModelNotFound()
    if reasons == {"quota_used_up"}:
        return UpstreamQuotaExhausted(retry_after_s=retry_after_s)
    if reasons == {"overloaded"}:
        return UpstreamOverloaded(retry_after_s=retry_after_s)
    if reasons and reasons <= {"rate_limited", "quota_used_up"}:
        return UpstreamRateLimited(retry_after_s=retry_after_s)
    return NoHealthyProvider(retry_after_s=retry_after_s)
