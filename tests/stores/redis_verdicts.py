"""Verdicts over a real Redis, as several machines would have them, for tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from proxy.domain.health import HealthNews, HealthVerdict
from proxy.stores.redis_link import RedisLink
from proxy.stores.redis_verdicts import RedisVerdicts
from proxy.stores.verdict_lease import VerdictLease
from proxy.stores.verdict_messages import LEASE_KEY, NEWS_CHANNEL
from tests.fakes.redis_server import RedisServer
from tests.stores.links import PATIENT_S
from tests.stores.redis_stores import until
from tests.stores.verdict_contract import WORKER_LIVES_S, Clock, VerdictGround


class HearingVerdicts(RedisVerdicts):
    """One that counts the news which have come by the channel, and can be deaf for it."""

    heard = 0
    is_deaf = False

    def take(self, news: HealthNews) -> None:
        """Take it, and count it."""
        super().take(news)
        self.heard += 1

    def _hear(self, message: bytes) -> None:
        if not self.is_deaf:
            super()._hear(message)


class Worker:
    """A health worker as far as Redis sees it: a link, a lease, and numbered news."""

    def __init__(self, link: RedisLink, name: str) -> None:
        self.link = link
        self.clock = Clock()
        self.lease = VerdictLease(link, name, lease_s=600, read_clock_s=self.clock.read_s)
        self.number = 0

    async def tell(self, *verdicts: HealthVerdict, **more: Any) -> HealthNews | None:
        """Lead if it does not, and tell something; None: it was refused."""
        if not self.lease.is_held:
            self.number = 0
            await self.lease.lead()
        self.number += 1
        told = {"lives_s": WORKER_LIVES_S, **more}
        news = HealthNews(self.lease.fence, self.number, verdicts, **told)
        return news if await self.lease.publish(news) else None


class RedisVerdictGround(VerdictGround):
    """A store over a link of its own, and a health worker with another one."""

    def __init__(
        self, server: RedisServer, store: HearingVerdicts, clock: Clock, workers: list[Worker]
    ) -> None:
        super().__init__(store, clock)
        self.server = server
        self.redis_store = store
        self.worker, *self.others = workers

    async def tell(self, *verdicts: HealthVerdict, **more: Any) -> HealthNews:
        """Have it told through Redis, and wait until it is known here."""
        news = await self.worker.tell(*verdicts, **more)
        assert news is not None
        await self.until_known(news)
        return news

    async def tell_again(self, news: HealthNews) -> None:
        """Publish it as it was, and wait until this store has heard its channel to the end."""
        heard = self.redis_store.heard
        self.server.command("PUBLISH", NEWS_CHANNEL, msgspec.msgpack.encode(news))
        await until(lambda: self.redis_store.heard > heard)

    async def replace_worker(self) -> None:
        """Have the lease of the one that leads end, and the next one ask for it."""
        self.server.command("DEL", LEASE_KEY)
        self.others.append(self.worker)
        self.worker = self.others.pop(0)
        assert await self.worker.lease.lead()

    async def until_known(self, news: HealthNews) -> None:
        """Wait until everything up to some news was heard."""
        await until(lambda: self.redis_store._known >= (news.fence, news.number))


@asynccontextmanager
async def opened_verdicts(server: RedisServer, clock: Clock) -> AsyncIterator[RedisVerdictGround]:
    """Open a store and two health workers, each over a link of its own that has joined Redis."""
    links = [RedisLink(server.unix_url, operation_s=PATIENT_S) for _ in range(3)]
    store = HearingVerdicts(links[0], clock.read_s)
    told = [Worker(link, f"worker-{number}") for number, link in enumerate(links[1:])]
    for link in links:
        link.start()
    for link in links:
        assert await link.wait_joined(PATIENT_S)
    await until(lambda: server.command("PUBSUB", "NUMSUB", NEWS_CHANNEL)[1] > 0)
    try:
        yield RedisVerdictGround(server, store, clock, told)
    finally:
        await store.close()
        for link in links:
            await link.close()
