"""One worker as the supervisor sees it: what it was told, what it has said, whether it lives."""

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence

import structlog

from proxy.control.frames import FrameBroken, Link, build_server_end
from proxy.control.handover import send_start
from proxy.control.messages import (
    Ack,
    Answer,
    Ask,
    BreakerOrder,
    ClientMessage,
    Drain,
    Happened,
    Leaving,
    Nack,
    Ping,
    Pong,
    Publish,
    Ready,
    ReopenLog,
    Start,
    Tell,
    Verdicts,
    Watch,
)
from proxy.supervisor.spawn import SpawnedWorker

END_WITHIN_S = 5.0
"""A process that has closed its connection has nothing left to do."""

Notice = Tell | Drain | Ping | ReopenLog | BreakerOrder | Happened | Verdicts | Watch | Ask
"""What is told as it comes, and is not acknowledged."""

_log = structlog.get_logger("llm_proxy.supervisor")


class WorkerProcess:
    """
    A started worker.

    `ready`, `leaving` and `gone` are set once, when it serves, when it no longer takes new
    requests, and when its process has ended.
    """

    def __init__(
        self,
        spawned: SpawnedWorker,
        number: int,
        on_ask: Callable[["WorkerProcess", Ask], None],
        on_events: Callable[["WorkerProcess", Happened], None] = lambda worker, happened: None,
        on_health: Callable[[Verdicts | Answer], None] = lambda message: None,
    ) -> None:
        self.number = number
        self.started_s = self.heard_s = time.monotonic()
        self.ready = asyncio.Event()
        self.leaving = asyncio.Event()
        self.gone = asyncio.Event()
        self.news = asyncio.Event()
        """Set when a snapshot has been acknowledged."""
        self.served_generation = 0
        self.refused_generation = 0
        self.is_condemned = False
        """It was killed because it no longer answered."""
        self.is_told = False
        """It was told to end, by us or by a signal."""
        self._process = spawned.process
        self._connection = spawned.connection
        self._on_ask = on_ask
        self._on_events = on_events
        self._on_health = on_health
        self._link: Link[ClientMessage] | None = None
        self._sent: Publish | None = None
        self._next: Publish | None = None
        self._pings = 0
        self._hearing: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status once it is gone; below zero, the signal that ended it."""
        return self._process.returncode

    @property
    def is_served(self) -> bool:
        """It can be told things: it is there, and is not about to end."""
        return self._link is not None and not self.leaving.is_set()

    async def begin(self, start: Start, listening: Sequence[socket.socket]) -> None:
        """Hand over its sockets; a worker that is gone by now is noticed as one that died."""
        try:
            send_start(self._connection, start, listening)
        except OSError:
            self._connection.close()
            self._hearing = asyncio.create_task(self._end())
            return
        self._connection.setblocking(False)
        streams = await asyncio.open_unix_connection(sock=self._connection)
        self._link = build_server_end(*streams)
        self.heard_s = time.monotonic()
        self._hearing = asyncio.create_task(self._hear(self._link))

    def send(self, message: Notice) -> None:
        """Tell it something."""
        if self._link is not None:
            self._link.send(message)

    def answer(self, message: Answer) -> None:
        """Answer what it has asked."""
        if self._link is not None:
            self._link.send(message)

    def publish(self, publish: Publish) -> None:
        """Have it serve a snapshot; while one is on its way, only the newest waits behind it."""
        if self._sent is not None:
            self._next = publish
        elif self._link is not None:
            self._sent = publish
            self._link.send(publish)

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._pings += 1
        self.send(Ping(self._pings))

    def drain(self, within_s: float, delay_s: float = 0.0) -> None:
        """Have it end; called again it may end sooner."""
        self.is_told = True
        self.leaving.set()
        self.send(Drain(within_s, delay_s))

    def kill(self) -> None:
        """End the process at once; nothing happens if it has ended."""
        self._process.kill()

    async def _hear(self, link: Link[ClientMessage]) -> None:
        try:
            async for message in link.receive():
                self.heard_s = time.monotonic()
                self._take(message)
        except FrameBroken as error:
            _log.error("a worker sent what is no message", worker=self.number, reason=str(error))
            self.kill()
        await link.close()
        await self._end()

    def _take(self, message: ClientMessage) -> None:
        match message:
            case Ready():
                self.ready.set()
            case Ack():
                self.served_generation = message.generation
                self._send_next()
            case Nack():
                self.refused_generation = message.generation
                self._send_next()
            case Leaving():
                self.is_told = True
                self.leaving.set()
            case Ask():
                self._on_ask(self, message)
            case Happened():
                self._on_events(self, message)
            case Verdicts() | Answer():
                self._on_health(message)
            case Pong():
                return

    def _send_next(self) -> None:
        self._sent, waiting, self._next = None, self._next, None
        if waiting is not None:
            self.publish(waiting)
        self.news.set()

    async def _end(self) -> None:
        """Wait for the end of the process, and see to it."""
        self.leaving.set()
        try:
            await asyncio.to_thread(self._process.wait, END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            await asyncio.to_thread(self._process.wait)
        self.gone.set()
        self.news.set()


def describe_end(status: int | None) -> str:
    """Return in words how a process ended."""
    if status is None:
        return "still running"
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
