"""How what a health worker believes reaches the proxies, and which of several may say it."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec.structs import replace

from proxy.control.messages import Verdicts
from proxy.domain.health import HealthNews, HealthOrder, HealthVerdict
from proxy.stores.redis_link import RedisLink
from proxy.stores.verdict_lease import LEASE_S, VerdictLease
from proxy.stores.verdict_messages import ORDERS_CHANNEL, read_order

LIVES_S = 30.0
"""So long a health worker counts as alive after each thing that it tells."""
RENEW_S = 3.0

TakeOrder = Callable[[HealthOrder, tuple[str, ...], str], None]
"""Gets what is asked, of which providers (none: of all), and the order's id."""


class Publisher(Protocol):
    """
    Tells verdicts, for whoever is the one to tell them.

    A health worker calls `lead` before it probes, and probes only what it may lead. Whoever does
    not lead calls it again each second or so, and takes over with the call that returns True.
    """

    lives_s: float
    """How long the health worker counts as alive after `tell`; it tells something, be it nothing,
    three times in that time."""
    on_order: TakeOrder
    """Called in the event loop for each order; must not raise. Its id is given back by `tell`."""

    @property
    def is_leading(self) -> bool:
        """This process is the one to probe and to tell, now."""

    async def lead(self) -> bool:
        """Become the one, or stay it; return whether that is so."""

    async def tell(
        self,
        verdicts: Sequence[HealthVerdict],
        *,
        answered: Sequence[str] = (),
        is_suspect: bool = False,
        is_cleared: bool = False,
    ) -> bool:
        """
        Tell verdicts that are new, and that this health worker lives.

        Args:
            verdicts: may be none.
            answered: ids of orders that were carried out with them.
            is_suspect: it doubts what it sees.
            is_cleared: what was told before is forgotten.

        Returns:
            Whether it was told. If not it is told later, should this process still lead then:
            only `is_leading` says whether to go on.
        """

    async def close(self) -> None:
        """Lead no more, so that the next one may at once."""


class LinkPublisher:
    """Tells the supervisor whose child this process is: there is no other to lead."""

    def __init__(self, send: Callable[[Verdicts], None], *, lives_s: float = LIVES_S) -> None:
        """Prepare to tell by `send`, which returns at once."""
        self.lives_s = lives_s
        self.on_order: TakeOrder = ignore_order
        self.is_leading = True
        self._send = send
        # Greater than that of each child before it, also where the wall clock was set back: it is
        # the same clock for all processes of one boot.
        self._fence = round(time.monotonic() * 1_000_000)
        self._number = 0

    async def lead(self) -> bool:
        """Lead (see `Publisher`)."""
        return True

    async def tell(
        self,
        verdicts: Sequence[HealthVerdict],
        *,
        answered: Sequence[str] = (),
        is_suspect: bool = False,
        is_cleared: bool = False,
    ) -> bool:
        """Tell the supervisor (see `Publisher`)."""
        self._number += 1
        news = HealthNews(
            self._fence,
            self._number,
            tuple(verdicts),
            self.lives_s,
            is_suspect=is_suspect,
            is_cleared=is_cleared,
            answered=tuple(answered),
        )
        self._send(Verdicts(news))
        return True

    async def close(self) -> None:
        """Hold nothing (see `Publisher`)."""


class NoPublisher(LinkPublisher):
    """For one that stands alone without Redis: it leads, and what it tells reaches nobody."""

    def __init__(self, *, lives_s: float = LIVES_S) -> None:
        super().__init__(_tell_nobody, lives_s=lives_s)


class RedisPublisher:
    """
    Tells all machines through Redis, as long as it holds the lease.

    While it leads the lease is renewed by a task of its own, but only for as long as the health
    worker shows by calling that it still turns. What could not be told is told with the next
    news; so is everything, should Redis have lost it. Once another one has led, its word is the
    newer one, and all of that is dropped.
    """

    def __init__(
        self,
        link: RedisLink,
        *,
        lease_s: float = LEASE_S,
        renew_s: float = RENEW_S,
        lives_s: float = LIVES_S,
        read_clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Prepare to lead; the link must not have been started yet, and is closed by its owner.

        Args:
            link: to Redis.
            lease_s: after so long without being renewed another one may lead.
            renew_s: it is renewed so often.
            lives_s: see `Publisher`.
            read_clock_s: this process's clock.
        """
        self.lives_s = lives_s
        self.on_order: TakeOrder = ignore_order
        self._renew_s = renew_s
        self._read_clock_s = read_clock_s
        self._lease = VerdictLease(
            link, secrets.token_hex(8), lease_s=lease_s, read_clock_s=read_clock_s
        )
        self._fence = self._number = 0
        self._kept: dict[str, tuple[HealthVerdict, float]] = {}
        """What this process has said of each provider, and until when that holds."""
        self._untold: set[str] = set()
        self._unanswered: list[str] = []
        self._must_clear = False
        self._turn = asyncio.Lock()
        self._called_s = 0.0
        self._renewal: asyncio.Task[None] | None = None
        link.subscribe(ORDERS_CHANNEL, self._hear)

    @property
    def is_leading(self) -> bool:
        """Return whether this process holds the lease (see `Publisher`)."""
        return self._lease.is_held

    async def lead(self) -> bool:
        """Hold the lease, or ask for it (see `Publisher`)."""
        self._called_s = self._read_clock_s()
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
        if not self._lease.is_held:
            await self._ask()
        return self._lease.is_held

    async def tell(
        self,
        verdicts: Sequence[HealthVerdict],
        *,
        answered: Sequence[str] = (),
        is_suspect: bool = False,
        is_cleared: bool = False,
    ) -> bool:
        """Tell all processes through Redis (see `Publisher`)."""
        now_s = self._called_s = self._read_clock_s()
        # One at a time: each begins with what the one before it could not tell.
        async with self._turn:
            if is_cleared:
                self._forget_all()
                self._must_clear = True
            for verdict in verdicts:
                self._kept[verdict.provider] = verdict, now_s + verdict.lives_s
                self._untold.add(verdict.provider)
            self._unanswered.extend(answered)
            if not self._lease.is_held:
                return False
            return await self._publish(is_suspect=is_suspect)

    async def close(self) -> None:
        """Give the lease back (see `Publisher`)."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
        await self._lease.release()

    async def _publish(self, *, is_suspect: bool) -> bool:
        self._number += 1
        told = () if is_suspect else self._gather()
        news = HealthNews(
            self._fence,
            self._number,
            told,
            self.lives_s,
            is_suspect=is_suspect,
            is_cleared=self._must_clear,
            answered=tuple(self._unanswered),
        )
        if not await self._lease.publish(news):
            return False
        self._untold.difference_update(verdict.provider for verdict in told)
        self._unanswered.clear()
        self._must_clear = False
        return True

    def _gather(self) -> tuple[HealthVerdict, ...]:
        """Return what has to be told, each with the time that is left of it."""
        now_s = self._read_clock_s()
        self._kept = {name: kept for name, kept in self._kept.items() if now_s < kept[1]}
        self._untold.intersection_update(self._kept)
        told = (self._kept[name] for name in sorted(self._untold))
        return tuple(replace(verdict, lives_s=until_s - now_s) for verdict, until_s in told)

    async def _ask(self) -> None:
        """Ask for the lease, or renew it; with a new one everything begins anew."""
        await self._lease.lead()
        if self._lease.fence == self._fence:
            return
        # In its turn: what is on its way goes by the fence before, and is refused.
        async with self._turn:
            if self._lease.fence == self._fence:
                return
            self._fence, self._number = self._lease.fence, 0
            if self._lease.was_alone:
                self._untold.update(self._kept)
            else:
                self._forget_all()
                self._unanswered.clear()
                self._must_clear = False

    def _forget_all(self) -> None:
        self._kept.clear()
        self._untold.clear()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._renew_s)
            is_turning = self._read_clock_s() - self._called_s < self.lives_s
            if is_turning and self._lease.is_held:
                await self._ask()

    def _hear(self, message: bytes) -> None:
        asked = read_order(message)
        # Each machine searches for providers of its own; the rest is for whoever leads.
        if asked is not None and (self._lease.is_held or asked.order == "discover"):
            self.on_order(asked.order, asked.names, asked.id)


def ignore_order(order: HealthOrder, names: tuple[str, ...], order_id: str) -> None:
    """Nobody is there yet to carry it out."""


def _tell_nobody(message: Verdicts) -> None:
    """There is nobody to hear."""
