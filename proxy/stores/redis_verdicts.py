"""Verdicts that one health worker of a fleet tells all processes through Redis."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable

from proxy.domain.health import HealthOrder
from proxy.domain.service_errors import HealthWorkerUnavailable
from proxy.stores.memory_verdicts import NOTHING, MemoryVerdicts, Version, limit_lives_s
from proxy.stores.redis_errors import RedisUnavailable
from proxy.stores.redis_job import Reply
from proxy.stores.redis_link import RedisLink
from proxy.stores.verdict_messages import (
    NEWS_CHANNEL,
    ORDERS_CHANNEL,
    POLL_SCRIPT,
    VERDICTS_KEY,
    VerdictPage,
    build_order,
    read_news,
    read_page,
)

POLL_S = 0.7
"""So that news are known within a second where the channel has lost them."""
ORDER_WAIT_S = 0.25
REPEAT_S = 0.1
"""After it an order is published again that nobody has heard."""


class RedisVerdicts(MemoryVerdicts):
    """
    A VerdictStore (see `base.py`) over a link that may be there or not.

    News come by a channel. Polls ask what was told since the version up to which everything is
    known: now and then, after joining, and at once when a number was missed; where there is
    nothing new they are one small read. A verdict that a poll brings counts if it is newer than
    what is believed of its provider. While Redis is away what is believed ages, and that is all.
    """

    def __init__(self, link: RedisLink, read_clock_s: Callable[[], float] = time.monotonic) -> None:
        """Prepare a store; the link must not have been started yet."""
        super().__init__(read_clock_s)
        self._link = link
        self._known = NOTHING
        """Everything up to this was heard."""
        self._cleared = NOTHING
        """Nothing that was told before this is believed."""
        self._forgotten: dict[str, Version] = {}
        """Nor this of a single provider, until `_known` has come so far."""
        self._is_polling = self._must_poll_again = False
        self._poll_timer: asyncio.TimerHandle | None = None
        self._orders: dict[str, asyncio.Future[None]] = {}
        self._is_closed = False
        link.subscribe(NEWS_CHANNEL, self._hear)
        link.watch(self._poll, self._leave)

    def forget(self, names: Iterable[str]) -> None:
        """Believe nothing of these providers for now (see `base.py`)."""
        names = list(names)
        self._forgotten.update((name, self._newest) for name in names)
        super().forget(names)

    async def order(self, order: HealthOrder, names: tuple[str, ...], within_s: float) -> None:
        """
        Ask whoever leads for something, and wait until it is done and its verdicts are here.

        Args:
            order: what to do.
            names: of providers; none of them stands for all.
            within_s: for how long to wait.

        Raises:
            HealthWorkerUnavailable: nobody has done it within that time.
        """
        order_id = secrets.token_hex(8)
        message = build_order(order_id, order, names)
        answered = self._orders[order_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within_s):
                while not await self._publish(message):  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(REPEAT_S)
                await answered
        except TimeoutError:
            raise HealthWorkerUnavailable(detail="no answer to an order in time") from None
        except RedisUnavailable as error:
            raise HealthWorkerUnavailable(detail=str(error)) from error
        finally:
            del self._orders[order_id]

    async def close(self) -> None:
        """Leave no timer; the link is closed by who has opened it, and may still speak."""
        self._is_closed = True
        self._leave()
        await super().close()

    async def _publish(self, message: bytes) -> bool:
        """Return whether anybody has heard it."""
        heard = await self._link.command("PUBLISH", ORDERS_CHANNEL, message, wait_s=ORDER_WAIT_S)
        return heard != 0

    def _hear(self, message: bytes) -> None:
        news = read_news(message)
        if news is None or self._is_closed:
            return
        version = (news.fence, news.number)
        before = self._newest
        self.take(news)
        if self._newest == before:
            return
        if version < before:
            self._begin_anew()
        if news.is_cleared:
            self._cleared = version
        fence, number = self._known
        if version == (fence, number + 1):
            self._know(version, news.answered)
        else:
            # What was missed may be what an order waits for: the poll says what was answered.
            self._poll()

    def _poll(self) -> None:
        """Ask what was told since; again and again."""
        self._leave()
        self._poll_timer = asyncio.get_running_loop().call_later(POLL_S, self._poll)
        if self._is_polling:
            self._must_poll_again = True
            return
        self._is_polling, self._must_poll_again = True, False
        self._link.post(
            POLL_SCRIPT, (VERDICTS_KEY,), self._known, self._take_reply, self._lose_reply
        )

    def _leave(self) -> None:
        if self._poll_timer is not None:
            self._poll_timer.cancel()
            self._poll_timer = None

    def _take_reply(self, reply: Reply) -> None:
        page = read_page(reply)
        self._is_polling = False
        if self._is_closed:
            return
        if page is not None:
            self._take_page(page)
        if self._must_poll_again:
            self._poll()

    def _lose_reply(self, _: RedisUnavailable) -> None:
        self._is_polling = False

    def _take_page(self, page: VerdictPage) -> None:
        now_s = self._read_clock_s()
        if page.version < self._newest and self._is_over_since(page.version, now_s):
            # Whoever speaks now is believed (see `MemoryVerdicts`), from the beginning.
            self.sweep()
            self._begin_anew()
            self._newest = NOTHING
            self._must_poll_again = True
            return
        changed = set(self._drop_older(page.cleared))
        for version, verdict in page.entries:
            if version > self._find_floor(verdict.provider):
                self._hold(verdict, version, now_s + limit_lives_s(verdict.lives_s))
                changed.add(verdict.provider)
        if page.version >= self._newest:
            self._newest = page.version
            until_s = now_s + limit_lives_s(page.lives_s)
            self._hear_sign_of_life(until_s, is_suspect=page.is_suspect)
        self._know(max(self._known, page.version), page.answered)
        self._tell(changed)

    def _drop_older(self, cleared: Version) -> list[str]:
        """Forget what was told before everything was cleared."""
        if cleared <= self._cleared:
            return []
        self._cleared = cleared
        older = [name for name, held in self._held.items() if held.version < cleared]
        for name in older:
            del self._held[name]
        return older

    def _find_floor(self, name: str) -> Version:
        """Return the version that a verdict must be newer than to be believed."""
        held = self._held.get(name)
        # What comes with a clearing is believed.
        before_cleared = (self._cleared[0], self._cleared[1] - 1)
        return max(
            held.version if held is not None else NOTHING,
            self._forgotten.get(name, NOTHING),
            before_cleared,
        )

    def _know(self, version: Version, answered: Iterable[str]) -> None:
        """Everything up to a version was heard, and with it what came of orders."""
        self._known = version
        for name in [name for name, floor in self._forgotten.items() if floor <= version]:
            del self._forgotten[name]
        for order_id in answered:
            order = self._orders.get(order_id)
            if order is not None and not order.done():
                order.set_result(None)

    def _begin_anew(self) -> None:
        self._known = self._cleared = NOTHING
        self._forgotten.clear()
