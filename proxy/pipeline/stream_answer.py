"""A streamed answer between the provider that pushes it and the client that takes it."""

import asyncio
import time

from msgspec.structs import replace

from proxy.domain.errors import ProxyError, UpstreamTooLarge, UpstreamTruncated
from proxy.domain.exchange import Anomaly
from proxy.domain.settings import Settings
from proxy.domain.usage import Usage
from proxy.pipeline.base import ReplyWriter
from proxy.pipeline.context import Attempt
from proxy.pipeline.stream_clock import StreamClock
from proxy.pipeline.whole_answer import ANSWER_TOO_LARGE
from proxy.upstream.base import OpenedResponse
from proxy.wire.base import StreamReader

LINGER_S = 1.0
"""How long a provider may take to end its body after the terminal event."""


class StreamAnswer:
    """
    The BodySink of one streamed attempt (see `upstream/base.py`).

    Until the commit point everything is held back, so that the attempt can still fail
    unseen. Once `deliver` has begun each push is one write to the client; no task and no
    await lie between. With `is_buffered` everything is held back to the end, which
    `wait_for_end` returns. With `holds_end` the piece that makes it complete waits for
    `deliver_end`: what its client may refer to is kept by then. The attempt is told when its
    first content has come.
    """

    def __init__(
        self,
        reader: StreamReader,
        opened: OpenedResponse,
        attempt: Attempt,
        settings: Settings,
        *,
        is_buffered: bool,
        keep_alive: bytes,
        holds_end: bool = False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._opened = opened
        self._attempt = attempt
        self._is_buffered = is_buffered
        self._holds_end = holds_end
        self._sign_of_life = keep_alive
        self._reply: ReplyWriter | None = None
        self._has_content = False
        self._is_finished = False
        self._has_body_ended = False
        self._error: Exception | None = None
        self._held = bytearray()
        self._max_held_bytes = (
            settings.max_answer_bytes if is_buffered else settings.max_event_bytes
        )
        self._room_bytes = settings.max_stream_bytes
        self._waiter: asyncio.Future[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._clock = StreamClock(
            attempt.deployment.provider.clocks,
            settings.keep_alive_s,
            time.monotonic() - attempt.started_monotonic_s,
            self._give_up,
            self._keep_alive,
        )

    @property
    def usage(self) -> Usage | None:
        """Token counts: as reported, else estimated, else None: there has been no content."""
        reader, usage = self._reader, self._reader.usage
        if usage is None:
            return reader.estimate_usage() if self._has_content else None
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
        try:
            self._read(chunk)
        except Exception as fault:  # noqa: BLE001
            # Of a reader, of ours or of some package's: raised to the connection it would be
            # lost, and the client would wait until a clock runs out.
            self._finish(fault)

    def end(self) -> None:
        """Take note that the provider's body has ended."""
        self._has_body_ended = True
        if self._linger is not None:
            self._linger.cancel()
        if self._is_finished:
            return
        try:
            self._take(self._reader.finish())
            self._finish(self._reader.error)
        except Exception as fault:  # noqa: BLE001
            # As above.
            self._finish(fault)

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
        if not self._has_content and not self._is_finished:
            await self._wait()
        if not self._has_content:
            raise self._error or UpstreamTruncated()

    async def wait_for_end(self) -> bytes:
        """
        Return all of a buffered stream, once it is complete.

        Raises:
            ProxyError: the stream failed, however late; the client has seen nothing of it.
        """
        if not self._is_finished:
            await self._wait()
        if self._error is not None or not self._has_content:
            raise self._error or UpstreamTruncated()
        return self._take_held()

    async def deliver(self, reply: ReplyWriter) -> None:
        """
        Send the whole stream to a client whose reply has been started.

        Raises:
            ProxyError: the stream broke; what was good of it has been sent.
        """
        self._reply = reply
        reply.on_flow(self._pause, self._resume)
        self._take(self._take_held())
        if not self._is_finished:
            await self._wait()
        if self._error is not None:
            raise self._error

    def deliver_end(self) -> None:
        """Send what `holds_end` has held back; nothing if that is nothing."""
        if self._reply is not None and self._held:
            self._reply.data(self._take_held())

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

    def _read(self, chunk: bytes) -> None:
        reader = self._reader
        events_before = reader.event_count
        out = reader.feed(chunk)
        if reader.event_count != events_before:
            self._clock.note_event()
        self._take(out)
        if reader.error is not None or reader.is_over:
            self._finish(reader.error)

    def _take(self, out: bytes) -> None:
        if not self._has_content and self._reader.has_content:
            self._has_content = True
            self._attempt.content_monotonic_s = time.monotonic()
            self._clock.note_content()
            if not self._is_buffered:
                self._wake()
        if not out:
            return
        if self._reply is not None and not (self._holds_end and self._reader.is_over):
            self._reply.data(out)
            self._clock.note_write()
        else:
            self._hold(out)

    def _hold(self, out: bytes) -> None:
        """Hold back what may not be shown yet, up to the cap."""
        self._held += out
        may_grow = self._has_content and not self._is_buffered  # it is about to be delivered
        if len(self._held) > self._max_held_bytes and not may_grow and not self._reader.is_over:
            code = ANSWER_TOO_LARGE if self._is_buffered else None
            self._give_up(UpstreamTooLarge(code=code))

    def _take_held(self) -> bytes:
        held, self._held = self._held, bytearray()
        return bytes(held)

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

    def _finish(self, error: Exception | None) -> None:
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
            self._reply.data(self._sign_of_life)

    def _pause(self) -> None:
        self._clock.note_pause(True)
        self._opened.pause()

    def _resume(self) -> None:
        self._clock.note_pause(False)
        self._opened.resume()
