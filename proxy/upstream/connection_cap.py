"""Numbers of connections that may be in use at once; shared by whoever takes of them."""

import asyncio

from proxy.domain.errors import UpstreamPoolFull

POOL_WAIT_S = 2.0
"""How long a request waits for a connection where as many as are allowed are in use."""


class ConnectionCap:
    """Gives out at most `limit` slots at a time; who waits longest is served first."""

    __slots__ = ("_free", "_waiters")

    def __init__(self, limit: int) -> None:
        self._free = limit
        # A dict for its order: whoever gives up leaves from anywhere in the line.
        self._waiters: dict[asyncio.Future[None], None] = {}

    @property
    def has_room(self) -> bool:
        """A slot could be taken now, without waiting."""
        return self._free > 0

    async def take(self, until_s: float) -> None:
        """
        Take a slot, waiting for one until the loop's clock shows `until_s`.

        Raises:
            TimeoutError: none became free; nothing has been taken.
        """
        # While someone waits nothing is free: a slot that comes back goes to who waits.
        if self._free > 0:
            self._free -= 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            async with asyncio.timeout_at(until_s):
                await waiter
        except BaseException:  # also a cancelled request leaves the line
            self._waiters.pop(waiter, None)
            if waiter.done() and not waiter.cancelled():
                # The slot was handed over in the very turn in which its taker gave up.
                self.give_back()
            raise

    def give_back(self) -> None:
        """Return a slot that was taken."""
        while self._waiters:
            waiter = next(iter(self._waiters))
            del self._waiters[waiter]
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1


class ConnectionCaps:
    """Several caps of which each connection needs a slot; none at all is no limit."""

    __slots__ = ("_caps",)

    def __init__(self, *caps: ConnectionCap | None) -> None:
        """
        Take of these caps, always in this order.

        The narrowest comes first: who waits for it must not hold what others could use.
        """
        self._caps = tuple(cap for cap in caps if cap is not None)

    @property
    def has_room(self) -> bool:
        """Every cap has a slot."""
        # A generator in all() would be made anew for each attempt.
        for cap in self._caps:  # noqa: SIM110
            if not cap.has_room:
                return False
        return True

    async def take(self) -> None:
        """
        Take a slot of each, waiting for them for POOL_WAIT_S in all.

        Raises:
            UpstreamPoolFull: one of them had none; nothing has been taken.
        """
        if not self._caps:
            return
        until_s = asyncio.get_running_loop().time() + POOL_WAIT_S
        taken: list[ConnectionCap] = []
        try:
            for cap in self._caps:
                await cap.take(until_s)
                taken.append(cap)
        except BaseException as error:  # also a cancelled request gives its slots back
            for cap in taken:
                cap.give_back()
            if isinstance(error, TimeoutError):
                raise UpstreamPoolFull from None
            raise

    def give_back(self) -> None:
        """Return a slot of each."""
        for cap in self._caps:
            cap.give_back()
