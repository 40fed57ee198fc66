"""
Stage: may this caller send one more request now? By number alone: the body is not read yet.

Two limits: how many requests this process has under way, and the rate of the caller's key.
"""

from random import randint

from proxy.domain.errors import LimitExceeded, ServerOverloaded
from proxy.domain.identity import Caller
from proxy.pipeline.context import Exchange

RETRY_WITHIN_S = (1, 5)
"""Those who find the server full come back spread over this span, not all at once."""


async def limit(exchange: Exchange, caller: Caller) -> None:
    """
    Take one of the places for requests under way, then count the request against its key.

    `release` gives the place back. A request that finds no place costs its key nothing.

    Raises:
        ServerOverloaded: all places are taken.
        LimitExceeded: the key has used what it may; the error says when to come back.
    """
    runtime, settings = exchange.runtime, exchange.snapshot.settings
    if runtime.in_flight >= settings.max_in_flight:
        raise ServerOverloaded(retry_after_s=randint(*RETRY_WITHIN_S))
    runtime.in_flight += 1
    exchange.is_in_flight = True
    rate_limit = caller.rate_limit or settings.rate_limit
    if rate_limit is None:
        return
    key = f"{caller.organization_id}:{caller.key_id}"
    exchange.rate = rate = await runtime.rates.take(key, rate_limit)
    if not rate.is_admitted:
        raise LimitExceeded(retry_after_s=rate.retry_after_s)


def release(exchange: Exchange) -> None:
    """Give back the place that `limit` took, if it did; a second time does nothing."""
    if exchange.is_in_flight:
        exchange.is_in_flight = False
        exchange.runtime.in_flight -= 1
