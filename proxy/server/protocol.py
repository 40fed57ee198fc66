"""
One client connection, and what runs all of them.

aiohttp's protocol, which also tells its reply when to pause, and aiohttp's runner, which at
the end lets open requests finish. The endpoints are in `app.py`; `worker.py` is who runs it.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

WRITE_STALL_S = 30.0
"""How long a client may leave what we have written to it untouched."""
CUT_S = 5.0
"""How long a cancelled request may take to write down how it ended."""


class ClientConnection(RequestHandler):
    """
    aiohttp's connection, with two callbacks for the reply that is being written.

    A client that takes nothing at all for WRITE_STALL_S is cut off; a slow one is not.
    """

    __slots__ = ("_stall_timer", "_unread_bytes", "is_lost", "on_pause", "on_resume")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None
        self.is_lost = False
        self._stall_timer: asyncio.TimerHandle | None = None
        self._unread_bytes = 0

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the loop when the connection is gone; aiohttp cancels its request's task."""
        self.is_lost = True
        self._stop_stall_timer()
        super().connection_lost(exc)

    @property
    def task(self) -> asyncio.Task[None] | None:
        """What reads and answers this connection's requests."""
        return self._task_handler

    def pause_writing(self) -> None:
        """Called by the loop when the client reads more slowly than we write."""
        super().pause_writing()
        self._watch_stall()
        if self.on_pause is not None:
            self.on_pause()

    def resume_writing(self) -> None:
        """Called by the loop when the client has caught up."""
        super().resume_writing()
        self._stop_stall_timer()
        if self.on_resume is not None:
            self.on_resume()

    async def drain(self) -> None:
        """
        Wait until the client has taken most of what was written.

        A client that leaves meanwhile cancels the waiting task, like any other of its request.
        """
        try:
            await self._drain_helper()
        except ConnectionError:
            return

    def _watch_stall(self) -> None:
        if self.transport is not None:
            self._unread_bytes = self.transport.get_write_buffer_size()
            self._stall_timer = self._loop.call_later(WRITE_STALL_S, self._check_stall)

    def _check_stall(self) -> None:
        transport = self.transport
        if transport is None:
            return
        if transport.get_write_buffer_size() < self._unread_bytes:
            self._watch_stall()
        else:
            # connection_lost follows, and with it everything that a client's leaving brings.
            transport.abort()

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None


class ConnectionServer(web.Server):
    """Makes a ClientConnection for each accepted socket."""

    def __call__(self) -> RequestHandler:
        """Return the protocol of one new connection."""
        return ClientConnection(self, loop=self._loop, **self._kwargs)


class ServerRunner(web.AppRunner):
    """
    Runs an application on ConnectionServer; its keyword arguments go to each connection.

    `cleanup` stops listening, closes idle connections and waits for open requests.
    """

    def __init__(self, app: web.Application, drain_s: float = 0.0, **kwargs: Any) -> None:
        """Keep `drain_s`: how long open requests may go on once the runner is cleaned up."""
        super().__init__(app, shutdown_timeout=CUT_S, **kwargs)
        self._drain_s = drain_s

    def cut(self) -> None:
        """Cancel every open request."""
        for task in self._open_tasks():
            task.cancel()

    async def shutdown(self) -> None:
        """Let open requests end, and cancel those that take too long; part of `cleanup`."""
        await super().shutdown()
        # aiohttp's own wait takes its time twice over, and cancels without waiting for the
        # records that cancelled requests still write.
        tasks = self._open_tasks()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._drain_s)
            if late:
                self.cut()
                await asyncio.wait(late, timeout=CUT_S)

    def _open_tasks(self) -> list[asyncio.Task[None]]:
        server = self.server
        connections = server.connections if server is not None else []
        tasks = [c.task for c in connections if isinstance(c, ClientConnection)]
        return [task for task in tasks if task is not None and not task.done()]

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = ConnectionServer
        return server
