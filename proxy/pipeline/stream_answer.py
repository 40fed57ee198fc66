"""A streamed answer between the provider that pushes it and the client that takes it."""

import asyncio

from proxy.domain.errors import ProxyError, UpstreamTruncated
from proxy.domain.settings import Clocks
from proxy.domain.usage import Usage
from proxy.pipeline.base import ReplyWriter
from proxy.pipeline.stream_clock import StreamClock
from proxy.upstream.base import OpenedResponse
from proxy.wire.base import StreamReader
from proxy.wire.sse import build_comment

KEEP_ALIVE = build_comment(b"keep-alive")
LINGER_S = 1.0
"""How long a provider may take to end its body after the terminal event."""


class StreamAnswer:
    """
    The BodySink of one streamed attempt (see `upstream/base.py`).

    Until the commit point everything is held back, so that the attempt can still fail
    unseen. Once `deliver` has begun each push is one write to the client; no task and no
    await lie between.
    """

    def __init__(
        self, reader: StreamReader, opened: OpenedResponse, clocks: Clocks, keep_alive_s: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._opened = opened
        self._reply: ReplyWriter | None = None
        self._is_delivering = False
        self._is_committed = False
        self._is_finished = False
        self._has_body_ended = False
        self._error: ProxyError | None = None
        self._held: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._clock = StreamClock(clocks, keep_alive_s, self._finish, self._keep_alive)

    @property
    def usage(self) -> Usage | None:
        """Token counts as far as the provider has told them."""
        return self._reader.usage

    def data(self, chunk: bytes) -> None:
        """Take the next bytes from the provider."""
        if self._is_finished:
            return
        reader = self._reader
        events_before = reader.event_count
        out = reader.feed(chunk)
        if reader.event_count != events_before:
            self._clock.note_event()
        self._take(out)
        if reader.error is not None or reader.is_over:
            self._finish(reader.error)

    def end(self) -> None:
        """Take note that the provider's body has ended."""
        self._has_body_ended = True
        if self._linger is not None:
            self._linger.cancel()
        if not self._is_finished:
            self._take(self._reader.finish())
            self._finish(self._reader.error)

    def fail(self, error: ProxyError) -> None:
        """Take note that the provider's body broke; a complete answer stays complete."""
        if self._reader.is_complete:
            self.end()
        else:
            self._has_body_ended = True
            self._finish(error)

    async def wait_for_content(self, patience_s: float | None) -> bool:
        """
        Return True at the commit point, False when `patience_s` has passed before it.

        Raises:
            ProxyError: the stream failed before it; the client has seen nothing of it.
        """
        timer = None if patience_s is None else self._loop.call_later(patience_s, self._wake)
        if not self._is_committed and not self._is_finished:
            await self._wait()
        if timer is not None:
            timer.cancel()
        if not self._is_committed and self._is_finished:
            raise self._error or UpstreamTruncated()
        return self._is_committed

    def start_keep_alive(self, reply: ReplyWriter) -> None:
        """Show the client signs of life from now on; its reply has just been started."""
        self._reply = reply
        self._keep_alive()
        self._clock.note_write()

    async def deliver(self, reply: ReplyWriter) -> None:
        """
        Send the whole stream to a client whose reply has been started.

        Raises:
            ProxyError: the stream broke; what was good of it has been sent.
        """
        self._reply = reply
        self._is_delivering = True
        reply.on_flow(self._pause, self._resume)
        held, self._held = self._held, []
        self._take(b"".join(held))
        if not self._is_finished:
            await self._wait()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Let go of the provider: at once if it still sends, by itself if it is about to end."""
        self._clock.close()
        self._reply = None
        if self._has_body_ended:
            return
        if self._is_finished and self._error is None:
            # Reading on to the end of the body gives the connection back to its pool.
            self._linger = self._loop.call_later(LINGER_S, self._opened.close)
            self._opened.resume()
        else:
            self._is_finished = True
            self._opened.close()

    def _take(self, out: bytes) -> None:
        if out:
            if self._is_delivering and self._reply is not None:
                self._reply.data(out)
                self._clock.note_write()
            else:
                self._held.append(out)
        if not self._is_committed and self._reader.has_content:
            self._is_committed = True
            self._clock.note_content()
            self._wake()

    def _finish(self, error: ProxyError | None) -> None:
        if not self._is_finished:
            self._is_finished = True
            self._error = error
            self._clock.stop()
            self._wake()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _keep_alive(self) -> None:
        if self._reply is not None:
            self._reply.data(KEEP_ALIVE)

    def _pause(self) -> None:
        self._clock.note_pause(True)
        self._opened.pause()

    def _resume(self) -> None:
        self._clock.note_pause(False)
        self._opened.resume()
