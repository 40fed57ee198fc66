"""A number of connections that may be in use at once; shared by whoever takes of it."""

import asyncio


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
