"""What a worker does in its loop: serve, and do what the supervisor says."""

import asyncio
import signal
import socket
from collections.abc import Callable, Sequence

import structlog

from proxy.config.snapshot import decode_steps
from proxy.control.frames import Link, build_client_end
from proxy.control.messages import (
    HURRY_S,
    Ack,
    Answer,
    Ask,
    BreakerOrder,
    Drain,
    Happened,
    Leaving,
    Nack,
    Ping,
    Pong,
    Publish,
    Ready,
    ReopenLog,
    ServerMessage,
    Start,
    Tell,
    Verdicts,
    Watch,
)
from proxy.domain.catalog import Snapshot
from proxy.domain.identity import KeyHasher
from proxy.domain.service import ServiceStatus
from proxy.providers.registry import find_kind, load_types
from proxy.telemetry.log_writer import LogWriter
from proxy.wiring import Service, open_service
from proxy.worker.desk import SupervisorDesk
from proxy.worker.event_relay import EventRelay

_log = structlog.get_logger("llm_proxy.worker")


async def serve(
    start: Start,
    listening: Sequence[socket.socket],
    connection: socket.socket,
    log: LogWriter,
    on_ready: Callable[[], None],
) -> None:
    """
    Serve on sockets that are open already, until told to stop; return when all has ended.

    Args:
        start: who this worker is, and what stays the same as long as it lives.
        listening: the sockets, which other processes have too.
        connection: the supervisor is at its other end.
        log: where lines go; stays the caller's to close.
        on_ready: called once, when requests are served.
    """
    connection.setblocking(False)
    link = build_client_end(*await asyncio.open_unix_connection(sock=connection))
    worker = _Worker(start, listening, link, log, on_ready)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.leave)
    await worker.run()


class _Worker:
    """One worker; its messages are dealt with one after the other."""

    def __init__(
        self,
        start: Start,
        listening: Sequence[socket.socket],
        link: Link[ServerMessage],
        log: LogWriter,
        on_ready: Callable[[], None],
    ) -> None:
        self._install = start.install
        self._number = start.worker
        self._hasher = KeyHasher(start.pepper)
        self._listening = listening
        self._link = link
        self._log = log
        self._on_ready = on_ready
        self._desk: SupervisorDesk | None = None
        self._service: Service | None = None
        self._drain = asyncio.Event()
        self._within_s = self._install.drain_timeout_s
        self._delay_s = 0.0

    async def run(self) -> None:
        """Serve until the drain is over."""
        hearing = asyncio.create_task(self._hear())
        hearing.add_done_callback(lambda _: self._drain.set())
        await self._drain.wait()
        if self._service is not None:
            await self._service.drain(self._within_s, self._delay_s)
            await self._service.close()
        hearing.cancel()
        await asyncio.wait([hearing])
        await self._link.close()
        if not hearing.cancelled():
            hearing.result()  # raises what ended it, if that was no end of the connection

    def leave(self) -> None:
        """Ask for a replacement and drain: somebody has sent SIGTERM to this process alone."""
        if not self._drain.is_set():
            self._link.send(Leaving())
            self._begin_drain(self._within_s, 0.0)
        else:
            self._begin_drain(HURRY_S, 0.0)

    async def _hear(self) -> None:
        async for message in self._link.receive():
            await self._do(message)
        if self._desk is not None:
            self._desk.leave()
        if not self._drain.is_set():
            _log.warning("the supervisor is gone: this worker finishes its requests and ends")
            self._begin_drain(self._within_s, 0.0)

    async def _do(self, message: ServerMessage) -> None:
        match message:
            case Ping():
                self._link.send(Pong(message.number))
            case Tell():
                self._take_status(message.status)
            case Publish():
                await self._take(message)
            case Answer():
                if self._desk is not None:
                    self._desk.take(message)
            case Drain():
                self._begin_drain(message.within_s, message.delay_s)
            case BreakerOrder():
                if self._service is not None:
                    await self._service.order_breakers(message.target, message.command)
            case Happened():
                if self._service is not None:
                    self._service.take_events(message.events)
            case Verdicts():
                if self._service is not None:
                    self._service.take_verdicts(message.news)
            case ReopenLog():
                self._reopen_log()
            case Start() | Watch() | Ask():
                _log.error("a message that is not for a worker was passed over")

    def _take_status(self, status: ServiceStatus) -> None:
        if self._desk is None:
            self._desk = SupervisorDesk(self._link, status)
        before, self._desk.status = self._desk.status, status
        if self._service is not None:
            self._service.take_status(before, status)

    async def _take(self, message: Publish) -> None:
        if self._service is None:
            await self._open(await _decode(message.parts))
        else:
            try:
                await self._service.apply(await _decode(message.parts))
            except Exception:  # noqa: BLE001
                # Whatever is wrong with this one snapshot, all requests go on by the one before.
                _log.exception("a snapshot could not be taken", generation=message.generation)
                self._link.send(Nack(message.generation))
                return
        self._link.send(Ack(message.generation))

    async def _open(self, snapshot: Snapshot) -> None:
        if self._desk is None:
            raise RuntimeError("the supervisor tells how the service stands before it publishes")
        service = await open_service(
            self._install,
            snapshot,
            self._hasher,
            self._log,
            desk=self._desk,
            worker=self._number,
        )
        service.hear_events(EventRelay(self._link.send).take)
        for sock in self._listening:
            await service.listen(sock)
        self._service = service
        self._on_ready()
        self._link.send(Ready())

    def _begin_drain(self, within_s: float, delay_s: float) -> None:
        if self._drain.is_set() and self._service is not None:
            self._service.hurry(within_s)
            return
        self._within_s, self._delay_s = within_s, delay_s
        self._drain.set()

    def _reopen_log(self) -> None:
        try:
            self._log.reopen()
        except OSError as error:
            _log.error("the log file could not be opened anew", reason=error.strerror)


async def _decode(parts: Sequence[bytes]) -> Snapshot:
    """Decode a snapshot in between requests: a large one takes longer than they should wait."""
    steps = decode_steps(parts)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            snapshot: Snapshot = done.value
            break
        await asyncio.sleep(0)
    types = {provider.type for provider in snapshot.providers.values()}
    new_types = [name for name in types if find_kind(name) is None]
    if new_types:
        # In a thread: what a package does while it is imported may take any time.
        for fault in await asyncio.to_thread(load_types, new_types):
            _log.error("a provider's type is missing", reason=str(fault))
    return snapshot
