"""Connections to one provider: those that are free, those in use, and how many of each."""

import asyncio
from functools import partial

from proxy.domain.errors import UpstreamDisconnected
from proxy.domain.settings import Clocks, PoolLimits
from proxy.upstream.connection_cap import ConnectionCaps
from proxy.upstream.dialer import Dialer
from proxy.upstream.http_connection import HttpConnection
from proxy.upstream.origin import Origin


class HttpPool:
    """
    Gives out connections, the one that was used last first, and takes them back.

    A slot of each cap goes with a connection in use; those that are free are counted by none.
    """

    def __init__(self, limits: PoolLimits, caps: ConnectionCaps, dialer: Dialer) -> None:
        """Prepare a pool, inside of the running loop."""
        self._caps = caps
        self._dialer = dialer
        self._keepalive_s = limits.keepalive_s
        self._max_free = limits.max_keepalive_connections
        self._loop = asyncio.get_running_loop()
        # Dicts for their order: the last one is the one that came last.
        self._free: dict[Origin, dict[HttpConnection, None]] = {}
        self._busy: set[HttpConnection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def has_room(self) -> bool:
        """A connection could be had now without waiting for someone to let go of one."""
        return self._caps.has_room

    async def take(self, origin: Origin, clocks: Clocks, *, is_new: bool = False) -> HttpConnection:
        """
        Return a connection, which has to be used for a request, in this turn of the loop.

        Args:
            origin: where to.
            clocks: for a connection that has to be dialled.
            is_new: not one that was used before; it may have died unnoticed.

        Raises:
            UpstreamError: none could be had; see `Transport.open`.
        """
        await self._caps.take()
        try:
            if self._is_closed:
                raise UpstreamDisconnected
            connection = None if is_new else self._take_free(origin)
            if connection is None:
                make = partial(HttpConnection, origin, self, self._loop)
                connection = await self._dialer.dial(origin, clocks, make)
                if self._is_closed:
                    connection.abort()
                    raise UpstreamDisconnected
        except BaseException:  # also a cancelled request gives its slots back
            self._caps.give_back()
            raise
        self._busy.add(connection)
        return connection

    def take_back(self, connection: HttpConnection, *, is_reusable: bool) -> None:
        """Keep a connection for the next request if it can be; its slots are free."""
        self._busy.discard(connection)
        if is_reusable:
            self._keep(connection)
        self._caps.give_back()

    def forget(self, connection: HttpConnection) -> None:
        """Keep a connection no longer: it has closed."""
        free = self._free.get(connection.origin)
        if free is not None:
            free.pop(connection, None)
            if not free:
                del self._free[connection.origin]

    def retire(self) -> None:
        """Keep nothing that is free from now on."""
        self._max_free = 0
        self._close_free()

    def close(self) -> None:
        """Close every connection; what is under way fails."""
        self._is_closed = True
        self.retire()
        for connection in list(self._busy):
            connection.disconnect()

    def _take_free(self, origin: Origin) -> HttpConnection | None:
        free = self._free.get(origin)
        if free is None:
            return None
        connection, _ = free.popitem()
        if not free:
            del self._free[origin]
        if connection.free_since_s + self._keepalive_s < self._loop.time():
            # It was used last: the others are older.
            connection.abort()
            self._sweep()
            return None
        return connection

    def _keep(self, connection: HttpConnection) -> None:
        free = self._free.get(connection.origin)
        if free is None:
            free = self._free[connection.origin] = {}
        if self._max_free is not None and len(free) >= self._max_free:
            connection.abort()
            return
        connection.was_pooled = True
        connection.free_since_s = now_s = self._loop.time()
        free[connection] = None
        if self._sweeper is None:
            self._sweeper = self._loop.call_at(now_s + self._keepalive_s, self._sweep)

    def _sweep(self) -> None:
        """Close what has been free for too long, and look again when the next will have been."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        now_s = self._loop.time()
        until_s = now_s - self._keepalive_s
        for free in list(self._free.values()):
            for connection in list(free):
                if connection.free_since_s > until_s:
                    break
                connection.abort()
        oldest_s = [next(iter(free)).free_since_s for free in self._free.values()]
        if oldest_s:
            self._sweeper = self._loop.call_at(min(oldest_s) + self._keepalive_s, self._sweep)

    def _close_free(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for free in list(self._free.values()):
            for connection in list(free):
                connection.abort()
