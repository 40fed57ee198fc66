"""
What goes out on a connection without aiohttp: its pauses, its stall, its waiting.

`lean_connection.py` builds on it, and `lean_reply.py` writes through it.
"""

import asyncio
from collections.abc import Callable

from proxy.pipeline.context import Runtime
from proxy.server.tcp_state import reset
from proxy.server.write_stall import WriteStall


class Outflow(asyncio.Protocol):
    """The half of a connection that the loop tells how its client takes what is written."""

    __slots__ = (
        "_drained",
        "_loop",
        "_runtime",
        "_stall",
        "is_lost",
        "on_pause",
        "on_resume",
        "transport",
        "writing_paused",
    )

    transport: asyncio.Transport

    def __init__(self, runtime: Runtime, loop: asyncio.AbstractEventLoop) -> None:
        self._runtime = runtime
        self._loop = loop
        self._drained: asyncio.Future[None] | None = None
        self._stall: WriteStall | None = None
        self.is_lost = False
        self.writing_paused = False
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None

    def pause_writing(self) -> None:
        """Called by the loop when the client reads more slowly than we write."""
        self.writing_paused = True
        self._watch_stall()
        if self.on_pause is not None:
            self.on_pause()

    def resume_writing(self) -> None:
        """Called by the loop when the client has caught up."""
        self.writing_paused = False
        # Of an answer before a close the last bytes must be watched out of the door.
        if self._stall is not None and not self.transport.is_closing():
            self._stall.stop()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self.on_resume is not None:
            self.on_resume()

    def write(self, data: bytes) -> None:
        """Send bytes; a client that has left gets nothing."""
        transport = self.transport
        if not transport.is_closing():
            transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has taken most of it; one that leaves cancels the waiting task."""
        if self.writing_paused and not self.is_lost:
            self._drained = self._loop.create_future()
            await self._drained

    def _watch_stall(self) -> None:
        if self._stall is None:
            self._stall = WriteStall(self._loop, self.transport, self._end_stalled)
        self._stall.watch(self._runtime.snapshot.settings.client_clocks.write_stall_s)

    def _stop_outflow(self) -> None:
        """Let go of everything: rings would keep an answer's buffers until the collector comes."""
        if self._stall is not None:
            self._stall.stop()
        self._stall = self.on_pause = self.on_resume = None

    def _end_stalled(self) -> None:
        self._runtime.observer.connection_failed("write_stall")
        # A close would leave what is unread with the kernel for minutes: nobody takes it.
        # connection_lost follows, and with it everything that a client's leaving brings.
        reset(self.transport)
