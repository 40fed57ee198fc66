"""
An answer on its way to a client that nobody translates: pushed on as it comes, and counted.

JSON of a modest size is held until it is whole, so that an error inside a 200 is a status for the
client, and what was used is known. All else goes on read by read.
"""

import asyncio

from proxy.domain.errors import ProxyError, UpstreamTimeout, UpstreamTooLarge
from proxy.domain.settings import Clocks
from proxy.pipeline.base import ReplyWriter
from proxy.pipeline.whole_answer import ANSWER_TOO_LARGE
from proxy.upstream.base import OpenedResponse
from proxy.upstream.deadline import GRACE_TURNS

MOST_HELD_BYTES = 1024 * 1024


class PassedAnswer:
    """A BodySink (see `upstream/base.py`) for one body, under a cap and the provider's clocks."""

    __slots__ = (
        "_clocks",
        "_end_s",
        "_ended",
        "_held",
        "_held_bytes",
        "_is_held",
        "_is_paused",
        "_last_s",
        "_loop",
        "_opened",
        "_reply",
        "_room_bytes",
        "_timer",
    )

    def __init__(
        self, opened: OpenedResponse, clocks: Clocks, max_bytes: int, *, spent_s: float
    ) -> None:
        """Take the body of an answer whose request went out `spent_s` ago."""
        self._opened = opened
        self._clocks = clocks
        self._room_bytes = max_bytes
        self._loop = loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._is_held: asyncio.Future[bool] = loop.create_future()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._reply: ReplyWriter | None = None
        self._is_paused = False
        self._last_s = loop.time()
        self._end_s = self._last_s + clocks.total_s - spent_s
        self._timer: asyncio.Handle | None = None

    # For the transport.

    def data(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._ended.done():
            return
        self._last_s = self._loop.time()
        self._room_bytes -= len(chunk)
        if self._room_bytes < 0:
            self.fail(UpstreamTooLarge(code=ANSWER_TOO_LARGE))
            self._opened.close()
        elif self._reply is not None:
            self._reply.data(chunk)
        else:
            self._held.append(chunk)
            self._held_bytes += len(chunk)
            if self._held_bytes > MOST_HELD_BYTES and not self._is_held.done():
                self._is_held.set_result(False)
                self.pause()

    def end(self) -> None:
        """Take note that the body is complete."""
        if not self._ended.done():
            self._ended.set_result(None)
            if not self._is_held.done():
                self._is_held.set_result(True)

    def fail(self, error: ProxyError) -> None:
        """Take note that the body broke."""
        if not self._ended.done():
            self._ended.set_exception(error)
            if not self._is_held.done():
                self._is_held.set_exception(error)
            # One of the two is waited for; the other need not be looked at.
            self._ended.exception(), self._is_held.exception()

    # For the stage.

    async def hold(self) -> bytes | None:
        """
        Let the body flow and return it once it is whole; None: it is too long for that.

        Raises:
            ProxyError: it broke, or took too long.
        """
        self._begin()
        return b"".join(self._held) if await self._is_held else None

    async def deliver(self, reply: ReplyWriter) -> None:
        """
        Push to a reply what is held, then all that comes, as fast as its client takes it.

        Raises:
            ProxyError: it broke, was too large, or took too long.
        """
        held, self._held = self._held, []
        for chunk in held:
            reply.data(chunk)
        self._reply = reply
        self._is_paused = False
        # First: it may stop the flow at once.
        self._begin()
        reply.on_flow(self.pause, self._go_on)
        await self._ended

    def close(self) -> None:
        """Let go of provider, clock and reply."""
        if self._timer is not None:
            self._timer.cancel()
        self._reply = None
        self._opened.close()

    def pause(self) -> None:
        """Stop the flow: the client has not taken what came."""
        self._is_paused = True
        self._opened.pause()

    def _go_on(self) -> None:
        self._is_paused = False
        self._last_s = self._loop.time()
        self._opened.resume()

    def _begin(self) -> None:
        self._opened.resume()
        if self._timer is None and not self._ended.done():
            self._timer = self._loop.call_at(self._find_end_s(), self._look)

    def _find_end_s(self) -> float:
        """Return when it will be too late; who waits for the client is not silent."""
        last_s = self._loop.time() if self._is_paused else self._last_s
        return min(last_s + self._clocks.idle_s, self._end_s)

    def _look(self, turns_left: int = GRACE_TURNS) -> None:
        """Look whether time is up; data only writes down when it came."""
        end_s = self._find_end_s()
        if self._ended.done():
            return
        if self._loop.time() < end_s:
            self._timer = self._loop.call_at(end_s, self._look)
        elif turns_left:
            self._timer = self._loop.call_soon(self._look, turns_left - 1)
        else:
            is_total = end_s == self._end_s
            code = "upstream_total_timeout" if is_total else "upstream_stalled"
            self.fail(UpstreamTimeout(code=code))
            self._opened.close()
