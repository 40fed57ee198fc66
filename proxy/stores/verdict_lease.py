"""Which of several health workers leads: the one that holds the lease in Redis."""

import math
import time
from collections.abc import Callable

from proxy.domain.health import HealthNews
from proxy.stores.redis_errors import RedisUnavailable
from proxy.stores.redis_job import Reply
from proxy.stores.redis_link import RedisLink
from proxy.stores.verdict_messages import (
    FENCE_KEY,
    LEASE_KEY,
    LEASE_SCRIPT,
    PUBLISH_SCRIPT,
    VERDICTS_KEY,
    build_publish_args,
    read_lease,
)

LEASE_S = 10.0
WAIT_S = 0.25
"""For one reply; a health worker can wait for longer than a request can."""


class VerdictLease:
    """
    The lease as one health worker sees it.

    It ends by itself, on this side by this process's clock, counted from before Redis was asked:
    never later than in Redis. What decides is Redis: each publication checks holder and fence in
    the same step that writes, so that one which was held up on its way changes nothing.
    """

    def __init__(
        self,
        link: RedisLink,
        holder: str,
        *,
        lease_s: float = LEASE_S,
        read_clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Prepare to ask for a lease.

        Args:
            link: to Redis; it may be away, then nobody leads who does not lead already.
            holder: a name that no other process has ever had.
            lease_s: for how long it holds once it was given or renewed.
            read_clock_s: this process's clock.
        """
        self.fence = 0
        """Of the lease that was held last; 0: none ever was."""
        self.was_alone = True
        """Nobody else has led between that lease and the one before it, as far as Redis knows, or
        has told before it forgot."""
        self._has_heard_of_another = False
        """Since that lease was held, somebody else was said to lead."""
        self._link = link
        self._holder = holder
        self._lease_ms = round(lease_s * 1000)
        self._read_clock_s = read_clock_s
        self._until_s = -math.inf

    @property
    def is_held(self) -> bool:
        """Return whether this process leads, as far as it knows."""
        return self._read_clock_s() < self._until_s

    async def lead(self) -> bool:
        """Ask for the lease, or renew it; return whether it is held."""
        asked_s = self._read_clock_s()
        try:
            reply = await self._ask("lead")
            fence, before = read_lease(reply)
        except (RedisUnavailable, ValueError):
            return self.is_held
        if fence == 0:
            self._until_s = -math.inf
            self._has_heard_of_another = True
            return False
        if fence != self.fence:
            self.was_alone = before in (0, self.fence) and not self._has_heard_of_another
            self._has_heard_of_another = False
            self.fence = fence
        self._hold_from(asked_s)
        return self.is_held

    async def publish(self, news: HealthNews) -> bool:
        """
        Tell news whose fence is that of this lease, and renew it.

        Returns:
            Whether it was told. If not: `is_held` says whether another one leads, or Redis is
            away, in which case it may have been told.
        """
        if news.fence != self.fence or not self.is_held:
            return False
        asked_s = self._read_clock_s()
        keys = (LEASE_KEY, FENCE_KEY, VERDICTS_KEY)
        args = build_publish_args(news, self._holder, self._lease_ms)
        try:
            reply = await self._link.run(PUBLISH_SCRIPT, keys, args, wait_s=WAIT_S)
        except RedisUnavailable:
            return False
        if reply == 1:
            self._hold_from(asked_s)
            return True
        if news.fence == self.fence:
            self._until_s = -math.inf
        return False

    async def release(self) -> None:
        """Lead no more, and let the next one lead at once; where Redis is away, when it ends."""
        was_held, self._until_s = self.is_held, -math.inf
        if was_held:
            try:
                await self._ask("release")
            except RedisUnavailable:
                return

    async def _ask(self, operation: str) -> Reply:
        args = (operation, self._holder, self._lease_ms)
        return await self._link.run(LEASE_SCRIPT, (LEASE_KEY, FENCE_KEY), args, wait_s=WAIT_S)

    def _hold_from(self, asked_s: float) -> None:
        self._until_s = max(self._until_s, asked_s + self._lease_ms / 1000)
