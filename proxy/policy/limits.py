"""
How many requests a key may send: the generic cell rate algorithm, as plain arithmetic.

It is kept in its form of a leaking bucket: each request adds one to what is used, and what
is used leaks away evenly. That is one number and its time for each key, exact while the
clock stands still. Where the numbers are kept is the business of `stores/`.
"""

from msgspec import Struct

from proxy.domain.settings import RateLimit

SECONDS_PER_MINUTE = 60
_SLACK_REQUESTS = 1e-4
"""What rounding may take from a request that has come back in full; it never adds up."""


class Meter(Struct, frozen=True):
    """What one key has used of its limit: `used_requests` at the time `read_s`."""

    used_requests: float
    read_s: float


class RateDecision(Struct, frozen=True):
    """Whether a request may pass, and what its client is told of the limit."""

    is_admitted: bool
    limit_requests: int
    remaining_requests: int
    """How many more would be admitted at once."""
    reset_s: float
    """Seconds until nothing is used any more."""
    retry_after_s: float
    """Seconds until one more is admitted; 0 if it would be at once."""


def decide_rate(meter: Meter | None, limit: RateLimit, now_s: float) -> tuple[Meter, RateDecision]:
    """
    Count one request against a limit, if there is room for it.

    Over any span of time no more pass than `limit.requests` and what comes back in it; a
    request that is refused costs nothing. A clock that goes back gives nothing back.

    Args:
        meter: what this returned for the key's last request; None if nothing is used.
        limit: may differ from the last time: what is used stays used.
        now_s: seconds of any clock, the same one each time.

    Returns:
        The meter to keep, and the decision.

    Raises:
        Nothing.

    Source: ITU-T I.371, annex A (continuous-state leaky bucket); docs/security.md, "Limits".
    """
    requests = limit.requests
    requests_per_s = requests / limit.window_s
    used = 0.0
    if meter is not None:
        now_s = max(now_s, meter.read_s)
        used = max(0.0, meter.used_requests - (now_s - meter.read_s) * requests_per_s)
    is_admitted = used + 1.0 <= requests + _SLACK_REQUESTS
    if is_admitted:
        used += 1.0
    left = requests - used
    decision = RateDecision(
        is_admitted,
        requests,
        max(0, int(left + _SLACK_REQUESTS)),
        used / requests_per_s,
        max(0.0, 1.0 - left) / requests_per_s,
    )
    return Meter(used, now_s), decision


def is_unused(meter: Meter, limit: RateLimit, now_s: float) -> bool:
    """
    Return whether a meter says no more than none at all, so that it can be forgotten.

    Args:
        meter: as `decide_rate` returned it.
        limit: the one it was counted against last.
        now_s: seconds of the same clock.

    Source: `decide_rate`.
    """
    return meter.used_requests * limit.window_s <= (now_s - meter.read_s) * limit.requests


def share_limit(limit: RateLimit, processes: int) -> RateLimit:
    """
    Return what one of several processes may admit that do not know of each other.

    Together they admit what the limit says on average. At once they admit no more than its
    burst, but for a burst of fewer requests than there are processes: each of them has to let
    one through at least, or some clients would never get any.

    Args:
        limit: of a key, for all processes together.
        processes: 1 or more; connections spread over all of them.

    Source: docs/security.md, "Limits".
    """
    requests = max(1, limit.requests // processes)
    return RateLimit(requests, limit.window_s * requests * processes / limit.requests)


def build_rate_limit(requests_per_minute: int, window_s: int) -> RateLimit:
    """
    Return the limit that averages `requests_per_minute` over `window_s`.

    2000 a minute over 120 s is 4000 requests at once, which come back evenly within 120 s.
    Where the window holds less than a whole request, or a part of one, it is set right:
    the burst is whole, at least one, and the average stays what was asked for.

    Args:
        requests_per_minute: 1 or more.
        window_s: 1 or more seconds.

    Source: docs/configuration.md, `rate_limit_rpm` and `rate_limit_window`.
    """
    requests = max(1, requests_per_minute * window_s // SECONDS_PER_MINUTE)
    return RateLimit(requests, requests * SECONDS_PER_MINUTE / requests_per_minute)
