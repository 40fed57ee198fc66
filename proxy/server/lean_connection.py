"""
One client connection without aiohttp, for as long as its requests are plain.

`runner.py` makes one for each accepted socket. Requests that `lean_head.py` can read are answered
here by the pipeline. The first bytes that it cannot read go, with the connection, to aiohttp's
(`connection.py`), which refuses, waits or answers as it always does, and keeps it.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Protocol, cast

from proxy.domain.exchange import HandoverReason
from proxy.pipeline.context import Runtime
from proxy.pipeline.handle import handle
from proxy.server.absence import AbsenceWatch
from proxy.server.accept import FAREWELL_S, IDLE_CONNECTION_S, accept, end_late_head
from proxy.server.connection_counts import Admission, ConnectionCounts
from proxy.server.cors import build_cors_headers
from proxy.server.lean_head import PlainRoutes, find_reason, read_head
from proxy.server.lean_reply import LeanReply
from proxy.server.lean_request import LeanRequest
from proxy.server.lean_shed import LeanShed
from proxy.server.outflow import Outflow
from proxy.server.tcp_state import has_unread

HELD_BYTES = 64 * 1024
"""How much of what follows a request is taken in before its answer is out."""

_log = logging.getLogger("llm_proxy.server")


class Successor(Protocol):
    """The connection that takes one over (see `connection.py`)."""

    def take_over(
        self, transport: asyncio.Transport, admission: Admission, head_end_s: float | None
    ) -> None:
        """
        Go on with a connection at the border of a request.

        Args:
            transport: speaks to this from now on.
            admission: its place among the connections.
            head_end_s: when its first head must be whole; None: it has had one.
        """

    def data_received(self, data: bytes) -> None:
        """Take what has come and was not answered."""

    def pause_writing(self) -> None:
        """Take note that the client has not taken all of the last answer."""


class LeanServer(Protocol):
    """What a connection needs of the server that has accepted it."""

    runtime: Runtime
    counts: ConnectionCounts
    plain_routes: PlainRoutes
    shed: LeanShed

    def begin_lean(self, connection: "LeanConnection") -> None:
        """Count it among those that are open."""

    def end_lean(self, connection: "LeanConnection") -> None:
        """Count it no longer."""

    def build_successor(self) -> Successor:
        """Return what takes a connection over."""


class LeanConnection(Outflow):
    """
    Answers plain requests one after the other, all in one task, and hands over the rest.

    There is no request while it waits; what comes then is at the border of one.
    """

    __slots__ = (
        "_absence",
        "_admission",
        "_head_end_s",
        "_head_timer",
        "_held",
        "_idle_end_s",
        "_idle_timer",
        "_is_leaving",
        "_request",
        "_server",
        "_waiter",
        "task",
    )

    def __init__(self, server: LeanServer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server.runtime, loop)
        self._server = server
        self.task: asyncio.Task[None] | None = None
        """What answers its requests; None before the first, and when it has ended."""
        self._request: LeanRequest | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._held = b""
        self._is_leaving = False
        self._admission: Admission | None = None
        self._absence: AbsenceWatch | None = None
        self._head_end_s: float | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._idle_end_s = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Nothing has been asked that is not answered."""
        # A task that is done and was not let go of had been cancelled before it began.
        return self._request is None or (self.task is not None and self.task.done())

    def end_with_answer(self) -> None:
        """Have the answer under way say that it is the last one, if its head is not out yet."""
        if self._request is not None:
            self._request.keeps_alive = False

    def close_idle(self) -> None:
        """Close an idle connection; one on which something has just come is not idle."""
        if not has_unread(self.transport):
            self.close()

    def close(self) -> None:
        """End the connection when what was written has gone out; it may take a while."""
        if self._admission is None:  # refused, or handed over: not ours to close
            return
        self._is_leaving = True
        self.transport.close()
        if not self.is_lost and self.transport.get_write_buffer_size():
            self._watch_stall()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop with a new connection, which is reset if there are too many."""
        self.transport = cast(asyncio.Transport, transport)
        self._admission = accept(self.transport, self._runtime, self._server.counts)
        if self._admission is None:
            self._is_leaving = True
            return
        self._server.begin_lean(self)
        now_s = self._loop.time()
        self._head_end_s = now_s + self._runtime.snapshot.settings.client_clocks.head_s
        self._head_timer = self._loop.call_at(self._head_end_s, self._end_late_head)
        self._start_idle_clock()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the loop when the connection is gone; a request under way is cancelled."""
        self.is_lost = self._is_leaving = True
        self._let_go()
        if self._admission is not None:
            self._admission.release()
            self._server.end_lean(self)
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        """Called by the loop with what the client has sent."""
        if self._is_leaving:
            return
        request = self._request
        if request is None:
            self._begin(data)
            return
        missing_bytes = request.missing_bytes
        if missing_bytes:
            request.feed(data[:missing_bytes])
            data = data[missing_bytes:]
        self._held += data
        if request.has_too_much or len(self._held) > HELD_BYTES:
            self._pause_reading()

    def _begin(self, data: bytes) -> None:
        """Have a request answered, or let the other connection see what it is."""
        head = read_head(data, self._server.plain_routes)
        if head is None:
            self._hand_over(data, find_reason(data, self._server.plain_routes))
            return
        if len(data) - head.body_at > head.size_bytes:
            # More than one request in one read is left to who counts them.
            self._hand_over(data, "pipelined")
            return
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = self._head_end_s = None
        runtime = self._runtime
        if (
            self._server.shed.was_full
            or runtime.shedding.ceiling is not None
            or runtime.in_flight >= runtime.snapshot.settings.max_in_flight
        ) and not self.writing_paused:
            answer = self._server.shed.refuse(head, len(data))
            if answer is not None:
                self.write(answer)
                self._server.shed.slow_down(self.transport)
                self._start_idle_clock()
                return
        self._request = request = LeanRequest(
            head, data[head.body_at :], self._loop, self._resume_reading
        )
        if runtime.is_draining:
            request.keeps_alive = False
        if self.task is not None:
            self._wake()
        else:
            self.task = self._loop.create_task(self._answer_requests())
        if request.has_too_much:
            self._pause_reading()

    async def _answer_requests(self) -> None:
        """Answer requests until the connection ends or is handed over."""
        try:
            while self._request is not None:
                if not await self._answer(self._request):
                    self.close()
                    break
                # Who asks on and reads nothing would have answers pile up here.
                await self.drain()
                self._request = None
                if self._held:
                    self._hand_over(self._held, "pipelined")
                    break
                self._start_idle_clock()
                self._waiter = self._loop.create_future()
                await self._waiter
        except BaseException:  # cancelled, or a fault of ours: it costs this one connection
            self.close()
            raise
        finally:
            # Both know us: rings would wait for the collector.
            self._request = self.task = None

    async def _answer(self, request: LeanRequest) -> bool:
        """Answer one request, and return whether the connection may carry another."""
        origins = self._runtime.snapshot.settings.cors_origins
        extra_headers = build_cors_headers(request.headers.get("Origin"), origins)
        reply = LeanReply(request, self, extra_headers)
        try:
            await handle(request, reply, self._runtime)
        except Exception:  # noqa: BLE001
            # It costs this one client its connection, never the process; the log says where.
            _log.exception("a request failed outside of its endpoint")
            return False
        if request.missing_bytes and not await self._see_body_off(request, reply.keeps_alive):
            return False
        # Who answers although it was cancelled ends the connection, which was meant as well.
        is_cancelled = self.task is None or self.task.cancelling()
        return reply.keeps_alive and not is_cancelled

    async def _see_body_off(self, request: LeanRequest, keeps_alive: bool) -> bool:
        """Wait a while for the rest of a body, or for the end of a client that still sends."""
        if not keeps_alive:
            # What still comes is dropped. Closing on unread bytes would reset the connection,
            # and take the answer away from a client that sends.
            self._is_leaving = True
            with suppress(OSError):  # the client has reset the connection meanwhile
                if not self.transport.is_closing() and self.transport.can_write_eof():
                    self.transport.write_eof()
        return await request.drop_rest(FAREWELL_S)

    def _hand_over(self, data: bytes, reason: HandoverReason) -> None:
        """Let aiohttp's connection go on from here, at the border of a request."""
        admission = self._admission
        if self._is_leaving or admission is None:
            return
        self._runtime.observer.connection_handed_over(reason)
        self._is_leaving, self._admission, self._held = True, None, b""
        is_paused = self._absence is not None and self._absence.is_on
        self._let_go()
        successor = self._server.build_successor()
        self.transport.set_protocol(cast(asyncio.Protocol, successor))
        successor.take_over(self.transport, admission, self._head_end_s)
        if self.writing_paused:
            successor.pause_writing()
        if is_paused:
            self.transport.resume_reading()
        successor.data_received(data)
        self._server.end_lean(self)
        self._wake()  # without a request its task ends

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():  # it is where the task was just cancelled
            waiter.set_result(None)

    def _let_go(self) -> None:
        """Stop every clock."""
        self._stop_outflow()
        if self._absence is not None:
            self._absence.stop()
        for timer in (self._head_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._idle_timer = None

    def _end_late_head(self) -> None:
        end_late_head(self.transport, self._runtime)
        self.close()

    def _start_idle_clock(self) -> None:
        # While requests come a number moves, and the timer stays where it is.
        self._idle_end_s = self._loop.time() + IDLE_CONNECTION_S
        if self._idle_timer is None:
            self._idle_timer = self._loop.call_at(self._idle_end_s, self._look_at_idle_clock)

    def _look_at_idle_clock(self) -> None:
        self._idle_timer = None
        if self._loop.time() < self._idle_end_s:
            self._idle_timer = self._loop.call_at(self._idle_end_s, self._look_at_idle_clock)
        elif self.is_idle:
            self.close()

    def _pause_reading(self) -> None:
        if self._absence is None:
            self._absence = AbsenceWatch(self._loop, self.transport)
        if not self._absence.is_on:
            self.transport.pause_reading()
            self._absence.begin()

    def _resume_reading(self) -> None:
        if self._absence is not None and self._absence.is_on:
            self._absence.pause()
            self.transport.resume_reading()
