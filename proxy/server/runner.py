"""
Runs a server on sockets, and lets it come to an end.

`wiring.py` decides on which, and when that is; `connection.py` is one connection.
"""

import asyncio
import math
import resource
import socket
import sys
from contextlib import suppress
from typing import Any, cast

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from proxy.pipeline.context import Runtime
from proxy.server.accept import FAREWELL_S, IDLE_CONNECTION_S
from proxy.server.connection import ClientConnection
from proxy.server.connection_counts import ConnectionCounts
from proxy.server.lean_connection import LeanConnection
from proxy.server.lean_head import PlainRoutes
from proxy.server.lean_shed import LeanShed
from proxy.server.routes import Handler

CUT_S = 5.0
"""How long a cancelled request may take to write down how it ended."""
IDLE_GRACE_S = 2.0
"""How long an idle connection is still listened to before a drain closes it. Closing it under a
request that is on its way would break that."""
LOOK_EACH_S = 0.1
ACCEPT_TURNS = 10
"""More turns of the loop than an accepted socket takes to become a connection."""
RESERVED_FILES = 128
"""Open files that clients do not get: without one no provider could be asked."""


def find_room() -> int:
    """Return how many connections the system's limit of open files leaves to clients."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(limit // 2, limit - RESERVED_FILES)


class ConnectionServer(web.Server):
    """Makes a connection for each accepted socket, and a request of each message of aiohttp's."""

    def __init__(self, handler: Handler, runtime: Runtime, plain_routes: PlainRoutes) -> None:
        """
        Answer plain requests to `plain_routes` with the pipeline, and all others with `handler`.

        A client that leaves cancels its request's task: that is how an upstream is let go of.
        """
        super().__init__(
            handler,  # type: ignore[arg-type]  # it gets what `_build_request` makes
            request_factory=self._build_request,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=IDLE_CONNECTION_S,
            lingering_time=FAREWELL_S,
        )
        self.runtime = runtime
        self.counts = ConnectionCounts(find_room())
        self.plain_routes = plain_routes
        self.shed = LeanShed(runtime, self._loop)
        self._lean: set[LeanConnection] = set()
        self.news = asyncio.Event()
        """Set when the last connection has ended; who waits for that clears it."""

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Called by a connection that is gone; its request's task may still write its record."""
        task = handler._task_handler
        super().connection_lost(handler, exc)
        if task is None:
            self._look_around()
        else:
            task.add_done_callback(self._look_around)

    def _look_around(self, task: object = None) -> None:
        if not self._connections and not self._lean:
            self.news.set()

    @property
    def lean_connections(self) -> list[LeanConnection]:
        """The open connections that were not handed over."""
        return list(self._lean)

    def begin_lean(self, connection: LeanConnection) -> None:
        """Called by a connection that was accepted."""
        self._lean.add(connection)

    def end_lean(self, connection: LeanConnection) -> None:
        """Called by a connection that is gone or handed over; its task may still be at work."""
        if connection.task is None or connection.task.done():
            self._forget_lean(connection)
        else:
            connection.task.add_done_callback(lambda task: self._forget_lean(connection))

    def _forget_lean(self, connection: LeanConnection) -> None:
        self._lean.discard(connection)
        self._look_around()

    def __call__(self) -> RequestHandler:
        """Return the protocol of one new connection."""
        if not self.plain_routes:
            return self.build_successor()
        # aiohttp says that it is one of its own; nobody but the loop's server calls this.
        return cast(RequestHandler, LeanConnection(self, self._loop))

    def build_successor(self) -> ClientConnection:
        """Return the connection that takes what is not plain."""
        return ClientConnection(
            self, loop=self._loop, runtime=self.runtime, counts=self.counts, **self._kwargs
        )

    def pre_shutdown(self) -> None:
        """Called by aiohttp's runner before open requests are cancelled: close idle connections."""
        super().pre_shutdown()
        for connection in self.lean_connections:
            if connection.is_idle:
                connection.close()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Called by aiohttp's runner when they were: close every connection."""
        for connection in self.lean_connections:
            connection.close()
        await super().shutdown(timeout)

    def _build_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        if self.runtime.is_draining:
            message = message._replace(should_close=True)
        elif message.upgrade and cast(ClientConnection, protocol).whole_upgrade is not message:
            # No other protocol is spoken here. What came behind such a request may be lost; on
            # a connection that closes, its client knows to send that again.
            message = message._replace(should_close=True)
        return web.Request(message, payload, protocol, writer, task, self._loop, client_max_size=0)


class ServerRunner(web.BaseRunner):
    """
    Runs a handler of requests on ConnectionServer.

    In good order it ends by `begin_drain`, `stop_listening`, `finish` and `cleanup`; `cleanup`
    alone cancels every open request.
    """

    def __init__(
        self, handler: Handler, runtime: Runtime, plain_routes: PlainRoutes | None = None
    ) -> None:
        super().__init__(shutdown_timeout=CUT_S)
        self._handler = handler
        self._plain_routes = plain_routes or {}
        self._runtime = runtime
        self._end_s = math.inf

    @property
    def connections(self) -> list[ClientConnection | LeanConnection]:
        """The connections that are open."""
        server = cast(ConnectionServer | None, self.server)
        if server is None:
            return []
        handed_over: list[Any] = server.connections
        return [*handed_over, *server.lean_connections]

    def begin_drain(self) -> None:
        """Have every answer from now on close its connection."""
        self._runtime.is_draining = True
        for connection in self.connections:
            connection.end_with_answer()

    async def stop_listening(self) -> None:
        """
        Accept no more connections; those that are open are not touched.

        What waits in the queue of a socket that other processes listen on too is theirs.
        """
        loop = asyncio.get_running_loop()
        for sock in self._list_sockets():
            # The standard library's loop drops what it has just accepted when a server closes;
            # uvloop does not, and knows no reader here.
            loop.remove_reader(sock.fileno())
        await _take_turns()
        for site in list(self.sites):
            await site.stop()

    async def finish(self, within_s: float, idle_grace_s: float = IDLE_GRACE_S) -> None:
        """
        Wait until every connection has ended; after `within_s` open requests are cancelled.

        A connection that has been idle for `idle_grace_s` is closed.
        """
        self.hurry(within_s)
        await _take_turns()
        await self._let_end(idle_grace_s)
        if self.connections:
            self.cut()
            self._end_s = asyncio.get_running_loop().time() + CUT_S
            await self._let_end(0.0)

    def hurry(self, within_s: float) -> None:
        """Have `finish` wait no longer than this from now, if it would."""
        self._end_s = min(self._end_s, asyncio.get_running_loop().time() + within_s)
        if self._server is not None:
            cast(ConnectionServer, self._server).news.set()

    def cut(self) -> None:
        """Cancel every open request."""
        for task in self._open_tasks():
            task.cancel()

    async def shutdown(self) -> None:
        """Cancel what is still open, and wait for its records; part of `cleanup`."""
        # aiohttp cancels without waiting for the records that cancelled requests still write.
        tasks = self._open_tasks()
        if tasks:
            self.cut()
            await asyncio.wait(tasks, timeout=CUT_S)

    def _list_sockets(self) -> list[socket.socket]:
        servers = [cast(asyncio.Server, site._server) for site in self.sites if site._server]
        return [sock for server in servers for sock in server.sockets]

    async def _let_end(self, idle_grace_s: float) -> None:
        """Close idle connections until there is none, or the time is up."""
        loop = asyncio.get_running_loop()
        idle_since_s: dict[ClientConnection | LeanConnection, float] = {}
        while (connections := self.connections) and (now_s := loop.time()) < self._end_s:
            for connection in connections:
                if not connection.is_idle:
                    idle_since_s.pop(connection, None)
                elif now_s - idle_since_s.setdefault(connection, now_s) >= idle_grace_s:
                    connection.close_idle()
            await self._wait_for_news(min(LOOK_EACH_S, self._end_s - now_s))

    async def _wait_for_news(self, longest_s: float) -> None:
        news = cast(ConnectionServer, self._server).news
        news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await news.wait()

    def _open_tasks(self) -> list[asyncio.Task[None]]:
        tasks = [each.task for each in self.connections if not each.is_idle]
        return [task for task in tasks if task is not None and not task.done()]

    async def _make_server(self) -> web.Server:
        return ConnectionServer(self._handler, self._runtime, self._plain_routes)

    async def _cleanup_server(self) -> None:
        """Do nothing: what the handler works with is not the runner's to close."""


async def _take_turns() -> None:
    """Let what the loop has accepted become connections."""
    for _ in range(ACCEPT_TURNS):
        await asyncio.sleep(0)
