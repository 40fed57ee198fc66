"""
Runs a server on sockets, and lets it come to an end.

`worker.py` opens the sockets and decides when that is; `connection.py` is one connection.
"""

import asyncio
import resource
import sys
from typing import Any, cast

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from proxy.pipeline.context import Runtime
from proxy.server.connection import FAREWELL_S, ClientConnection
from proxy.server.connection_counts import ConnectionCounts
from proxy.server.routes import Handler

IDLE_CONNECTION_S = 75.0
CUT_S = 5.0
"""How long a cancelled request may take to write down how it ended."""
RESERVED_FILES = 128
"""Open files that clients do not get: without one no provider could be asked."""


def find_room() -> int:
    """Return how many connections the system's limit of open files leaves to clients."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(limit // 2, limit - RESERVED_FILES)


class ConnectionServer(web.Server):
    """Makes a ClientConnection for each accepted socket, and a request of each message."""

    def __init__(self, handler: Handler, runtime: Runtime) -> None:
        """
        Answer requests with `handler`.

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
        self._runtime = runtime
        self._counts = ConnectionCounts(find_room())

    def __call__(self) -> RequestHandler:
        """Return the protocol of one new connection."""
        return ClientConnection(
            self, loop=self._loop, runtime=self._runtime, counts=self._counts, **self._kwargs
        )

    def _build_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        if message.upgrade and cast(ClientConnection, protocol).whole_upgrade is not message:
            # No other protocol is spoken here. What came behind such a request may be lost; on
            # a connection that closes, its client knows to send that again.
            message = message._replace(should_close=True)
        return web.Request(message, payload, protocol, writer, task, self._loop, client_max_size=0)


class ServerRunner(web.BaseRunner):
    """
    Runs a handler of requests on ConnectionServer.

    `cleanup` stops listening, closes idle connections and waits for open requests.
    """

    def __init__(self, handler: Handler, runtime: Runtime, drain_s: float) -> None:
        """Keep `drain_s`: how long open requests may go on once the runner is cleaned up."""
        super().__init__(shutdown_timeout=CUT_S)
        self._handler = handler
        self._runtime = runtime
        self._drain_s = drain_s

    @property
    def connections(self) -> list[ClientConnection]:
        """The connections that are open."""
        server = self.server
        open_connections: list[Any] = [] if server is None else server.connections
        return [c for c in open_connections if isinstance(c, ClientConnection)]

    def cut(self) -> None:
        """Cancel every open request."""
        for task in self._open_tasks():
            task.cancel()

    async def shutdown(self) -> None:
        """Let open requests end, and cancel those that take too long; part of `cleanup`."""
        # aiohttp's own wait takes its time twice over, and cancels without waiting for the
        # records that cancelled requests still write.
        tasks = self._open_tasks()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._drain_s)
            if late:
                self.cut()
                await asyncio.wait(late, timeout=CUT_S)

    def _open_tasks(self) -> list[asyncio.Task[None]]:
        tasks = [connection.task for connection in self.connections]
        return [task for task in tasks if task is not None and not task.done()]

    async def _make_server(self) -> web.Server:
        return ConnectionServer(self._handler, self._runtime)

    async def _cleanup_server(self) -> None:
        """Do nothing: what the handler works with is not the runner's to close."""
