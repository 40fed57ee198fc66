"""
Stage: may this caller send one more request now? By number alone: the body is not read yet.

How many requests this process has under way, of all keys and of this one; whether its event loop
is late; and the rate of the caller's key.
"""

from random import randint
from typing import Protocol

from proxy.domain.catalog import Snapshot
from proxy.domain.errors import LimitExceeded, ServerOverloaded
from proxy.domain.identity import Caller
from proxy.domain.settings import Settings
from proxy.pipeline.context import Runtime
from proxy.policy.limits import RateDecision
from proxy.policy.shedding import ShedReason

RETRY_WITHIN_S = (1, 5)
"""Those who find the server full come back spread over this span, not all at once."""
_MESSAGES: dict[ShedReason, str | None] = {
    "full": None,
    "late": None,
    "key_share": (
        "This key has its share of the requests that this server takes at the same time. Try "
        "again when some of them have ended."
    ),
}


class Limited(Protocol):
    """One request that is counted: an `Exchange`, or what else asks a provider for somebody."""

    runtime: Runtime
    snapshot: Snapshot
    place_of: str | None
    """The key whose place among the requests under way this one has; None: it has none."""
    rate: RateDecision | None


async def limit(exchange: Limited, caller: Caller) -> None:
    """
    Take one of the places for requests under way, then count the request against its key.

    `release` gives the place back. A request that finds no place costs its key nothing.

    Raises:
        ServerOverloaded: all places are taken, or all that this key may have, or the event loop
            is late.
        LimitExceeded: the key has used what it may; the error says when to come back.
    """
    runtime, settings = exchange.runtime, exchange.snapshot.settings
    key = name_key(caller)
    by_key = runtime.in_flight_by_key
    # On most servers at most times only the first can be so.
    if (
        runtime.in_flight >= settings.max_in_flight
        or runtime.shedding.ceiling is not None
        or settings.max_key_share < 1.0
    ):
        reason = find_key_reason(runtime, settings, key)
        if reason is not None:
            runtime.shed[reason] += 1
            raise ServerOverloaded(_MESSAGES[reason], retry_after_s=randint(*RETRY_WITHIN_S))
    runtime.in_flight += 1
    by_key[key] = by_key.get(key, 0) + 1
    exchange.place_of = key
    rate_limit = caller.rate_limit or settings.rate_limit
    if rate_limit is None:
        return
    exchange.rate = rate = await runtime.rates.take(key, rate_limit)
    if not rate.is_admitted:
        raise LimitExceeded(retry_after_s=rate.retry_after_s)


def release(exchange: Limited) -> None:
    """Give back the place that `limit` took, if it did; a second time does nothing."""
    key = exchange.place_of
    if key is None:
        return
    exchange.place_of = None
    runtime = exchange.runtime
    runtime.in_flight -= 1
    left = runtime.in_flight_by_key[key] - 1
    if left:
        runtime.in_flight_by_key[key] = left
    else:
        # Keys come and go with the configuration: only those that ask are remembered.
        del runtime.in_flight_by_key[key]


def name_key(caller: Caller) -> str:
    """Return what the places of a caller's key are counted under."""
    return f"{caller.organization_id}:{caller.key_id}"


def find_shed_reason(runtime: Runtime, settings: Settings, in_flight: int) -> ShedReason | None:
    """Return why nobody gets a place beside so many requests; None: somebody may."""
    if in_flight >= settings.max_in_flight:
        return "full"
    return None if runtime.shedding.has_room(in_flight) else "late"


def find_key_reason(runtime: Runtime, settings: Settings, key: str) -> ShedReason | None:
    """Return why there is no place for one more request of a key; None: there is."""
    reason = find_shed_reason(runtime, settings, runtime.in_flight)
    if reason is not None:
        return reason
    most = settings.max_in_flight
    # Of few places a small share is one all the same: a share limits a key, and bars none.
    # A share such as 0.29 is a little less as a float, and one of 100 places would be lost.
    share = max(1, int(most * settings.max_key_share + 1e-6))
    if runtime.in_flight_by_key.get(key, 0) >= share:
        return "key_share"
    return None
