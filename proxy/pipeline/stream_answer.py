"""A streamed answer between the provider that pushes it and the client that takes it."""

import asyncio

from msgspec.structs import replace

from proxy.domain.errors import ProxyError, UpstreamTooLarge, UpstreamTruncated
from proxy.domain.exchange import Anomaly
from proxy.domain.settings import Clocks, Settings
from proxy.domain.usage import Usage
from proxy.pipeline.base import ReplyWriter
from proxy.pipeline.signs_of_life import KEEP_ALIVE
from proxy.pipeline.stream_clock import StreamClock
from proxy.upstream.base import OpenedResponse
from proxy.wire.base import StreamReader

LINGER_S = 1.0
"""How long a provider may take to end its body after the terminal event."""


class StreamAnswer:
    """
    The BodySink of one streamed attempt (see `upstream/base.py`).

    Until the commit point everything is held back, so that the attempt can still fail
    unseen. Once `deliver` has begun each push is one write to the client; no task and no
    await lie between. `spent_s` is how long the attempt has run already.
    """

    def __init__(
        self,
        reader: StreamReader,
        opened: OpenedResponse,
        clocks: Clocks,
        spent_s: float,
        settings: Settings,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._opened = opened
        self._reply: ReplyWriter | None = None
        self._is_committed = False
        self._is_finished = False
        self._has_body_ended = False
        self._error: ProxyError | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._max_held_bytes = settings.max_event_bytes
        self._room_bytes = settings.max_stream_bytes
        self._waiter: asyncio.Future[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._clock = StreamClock(
            clocks, settings.keep_alive_s, spent_s, self._give_up, self._keep_alive
        )

    @property
    def usage(self) -> Usage | None:
        """Token counts: as reported, else estimated, else None: nothing has been delivered."""
        reader, usage = self._reader, self._reader.usage
        if usage is None:
            return reader.estimate_usage() if self._is_committed else None
        if reader.has_said_more and not reader.is_complete:
            # Reported on the way to an end that never came: what followed counts as well.
            outputs = reader.estimate_usage().output_tokens
            if outputs > usage.output_tokens:
                return replace(usage, output_tokens=outputs, source="estimated")
        return usage

    @property
    def anomalies(self) -> tuple[Anomaly, ...]:
        """What was odd about the provider's events."""
        return tuple(self._reader.anomalies)

    def data(self, chunk: bytes) -> None:
        """Take the next bytes from the provider."""
        if self._is_finished:
            return
        self._room_bytes -= len(chunk)
        if self._room_bytes < 0:
            self._take_last(chunk)
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

    async def wait_for_content(self) -> None:
        """
        Return at the commit point.

        Raises:
            ProxyError: the stream failed before it; the client has seen nothing of it.
        """
        if not self._is_committed and not self._is_finished:
            await self._wait()
        if not self._is_committed:
            raise self._error or UpstreamTruncated()

    async def deliver(self, reply: ReplyWriter) -> None:
        """
        Send the whole stream to a client whose reply has been started.

        Raises:
            ProxyError: the stream broke; what was good of it has been sent.
        """
        self._reply = reply
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
            if self._reply is not None:
                self._reply.data(out)
                self._clock.note_write()
            else:
                self._held.append(out)
                self._held_bytes += len(out)
                if self._held_bytes > self._max_held_bytes and not self._reader.has_content:
                    self._finish(UpstreamTooLarge())
        if not self._is_committed and self._reader.has_content:
            self._is_committed = True
            self._clock.note_content()
            self._wake()

    def _take_last(self, chunk: bytes) -> None:
        """Take what the stream's cap leaves of a piece, and no more of the provider."""
        fitting_bytes = self._room_bytes = len(chunk) + self._room_bytes
        self.data(chunk[:fitting_bytes])
        if not self._is_finished:
            self._give_up(
                UpstreamTooLarge(
                    "The provider's stream is longer than this proxy accepts.",
                    code="limit_exceeded",
                )
            )

    def _finish(self, error: ProxyError | None) -> None:
        if not self._is_finished:
            self._is_finished = True
            self._error = error
            self._clock.stop()
            self._wake()

    def _give_up(self, error: ProxyError) -> None:
        """Take no more of the provider: the answer fails, unless it is complete already."""
        if self._reader.is_complete:
            # All that was missing was its terminal event: the client gets that from us.
            self._take(self._reader.finish())
            self._opened.close()
            self._has_body_ended = True
            self._finish(self._reader.error)
        else:
            self._finish(error)

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
