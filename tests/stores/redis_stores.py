"""Stores over a real Redis, as several processes would have them, for tests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from proxy.domain.breaker import BreakerRules
from proxy.stores.redis_breakers import RedisBreakers
from proxy.stores.redis_link import RedisLink
from tests.stores.breaker_contract import RULES, Clock, Ground

WITHIN_S = 10
PATIENT_S = 5.0
"""For a round trip where its length is not what is tested, on a busy machine."""
HASTY_S = 0.05
"""What a round trip may take in the product, for a Redis that does not answer."""


class RedisGround(Ground):
    """A store over Redis, with the link that is its alone."""

    def __init__(self, store: RedisBreakers, link: RedisLink, clock: Clock) -> None:
        super().__init__(store, clock)
        self.redis_store = store
        self.link = link

    async def settle(self) -> None:
        """Wait until Redis has confirmed everything that was reported."""
        await until(lambda: not self.redis_store.unsent)

    def wait_at_most(self, operation_s: float) -> None:
        """Have round trips that begin from now on take no longer."""
        self.link._operation_s = operation_s

    async def until_shared(self, is_shared: bool = True) -> None:
        """Wait until it goes by Redis, or does not any more."""
        await until(lambda: self.redis_store.is_shared is is_shared)


@asynccontextmanager
async def opened_store(
    url: str,
    clock: Clock,
    rules: BreakerRules = RULES,
    *,
    redis_clock: Clock | None = None,
    waits: bool = True,
) -> AsyncIterator[RedisGround]:
    """
    Open a store over a link of its own; with `waits` it has joined Redis.

    Redis goes by `redis_clock` where that is another one than the process's own.
    """
    link = RedisLink(url, operation_s=PATIENT_S)
    read_now = (redis_clock or clock).read_now
    store = RedisBreakers(link, rules, clock.read_s, clock.read_s, read_now)
    ground = RedisGround(store, link, clock)
    link.start()
    try:
        if waits:
            await ground.until_shared()
        yield ground
    finally:
        await store.close()
        await link.close()


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until something is so."""
    async with asyncio.timeout(WITHIN_S):
        while not is_so():  # noqa: ASYNC110 - many kinds of news, none with an event
            await asyncio.sleep(0)
