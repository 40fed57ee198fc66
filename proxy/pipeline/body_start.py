"""The first bytes of a body whose content type does not say what it is."""

import asyncio
from codecs import BOM_UTF8

from proxy.domain.errors import ProxyError, UpstreamTimeout
from proxy.upstream.base import BodySink, OpenedResponse
from proxy.upstream.deadline import Deadline
from proxy.wire.sse import starts_event_stream

MAX_START_BYTES = 64 * 1024


class BodyStart:
    """A BodySink (see `upstream/base.py`) that looks at a body's start and then hands it on."""

    def __init__(self, opened: OpenedResponse) -> None:
        self._opened = opened
        self._chunks: list[bytes] = []
        self._start = b""
        self._size_bytes = 0
        self._has_ended = False
        self._error: ProxyError | None = None
        self._is_stream: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def data(self, chunk: bytes) -> None:
        """Keep the bytes, and stop the flow as soon as they tell what they are."""
        self._chunks.append(chunk)
        self._size_bytes += len(chunk)
        if self._is_stream.done():
            return
        # What has not told anything yet is blanks, or a few bytes: it is not looked at again.
        self._start = (self._start + chunk).removeprefix(BOM_UTF8).lstrip()
        answer = starts_event_stream(self._start)
        if answer is None and self._size_bytes > MAX_START_BYTES:
            answer = False
        if answer is not None:
            self._opened.pause()
            self._is_stream.set_result(answer)

    def end(self) -> None:
        """Take note that the body is over: an empty one is the stream that never began."""
        self._has_ended = True
        if not self._is_stream.done():
            self._is_stream.set_result(not b"".join(self._chunks).strip())

    def fail(self, error: ProxyError) -> None:
        """Take note that the body broke."""
        self._has_ended = True
        self._error = error
        if not self._is_stream.done():
            self._is_stream.set_exception(error)

    @property
    def is_object(self) -> bool:
        """What has come begins like a JSON object."""
        return b"".join(self._chunks).lstrip().startswith(b"{")

    async def wait(self, timeout_s: float) -> bool:
        """
        Let the body flow until it tells what it is, and return whether it is an event stream.

        Raises:
            ProxyError: it broke before, or said nothing for `timeout_s`.
        """
        try:
            with Deadline(timeout_s):
                self._opened.resume()
                return await self._is_stream
        except TimeoutError:
            raise UpstreamTimeout(code="upstream_first_token_timeout") from None

    def hand_over(self, sink: BodySink) -> None:
        """Give a sink all that has come so far; what comes next it must be given directly."""
        if self._chunks:
            sink.data(b"".join(self._chunks))
            self._chunks.clear()
        if self._error is not None:
            sink.fail(self._error)
        elif self._has_ended:
            sink.end()
