"""An answer that is collected whole before anything is decided about it."""

import asyncio

from msgspec import Struct

from proxy.domain.errors import ProxyError, UpstreamTimeout, UpstreamTooLarge
from proxy.upstream.base import OpenedResponse
from proxy.upstream.deadline import GRACE_TURNS

ANSWER_TOO_LARGE = "answer_too_large"
"""A whole answer above `max_answer_bytes`: how long it is, and that it is held, is the client's."""


class WholeAnswer(Struct):
    """A complete answer, checked, in the client's dialect; a stream has its `[DONE]`."""

    body: bytes
    is_stream: bool = False


class BodyCollector:
    """A BodySink (see `upstream/base.py`) that gathers one body under a cap and a clock."""

    __slots__ = (
        "_body",
        "_chunks",
        "_keeps_start",
        "_loop",
        "_max_bytes",
        "_opened",
        "_size_bytes",
        "_timer",
    )

    def __init__(self, opened: OpenedResponse, max_bytes: int, keeps_start: bool = False) -> None:
        self._opened = opened
        self._max_bytes = max_bytes
        self._keeps_start = keeps_start
        self._chunks: list[bytes] = []
        self._size_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._body: asyncio.Future[bytes] = self._loop.create_future()
        self._timer: asyncio.Handle | None = None

    def data(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._body.done():
            return
        self._chunks.append(chunk)
        self._size_bytes += len(chunk)
        if self._size_bytes > self._max_bytes:
            self._opened.close()
            if self._keeps_start:
                self.end()
            else:
                self.fail(UpstreamTooLarge(code=ANSWER_TOO_LARGE))

    def end(self) -> None:
        """Take note that the body is complete."""
        if not self._body.done():
            self._body.set_result(b"".join(self._chunks)[: self._max_bytes])

    def fail(self, error: ProxyError) -> None:
        """Take note that the body broke."""
        if not self._body.done():
            self._body.set_exception(error)

    async def collect(self, timeout_s: float) -> bytes:
        """
        Let the body flow and return it; with `keeps_start`, as much of it as the cap allows.

        Raises:
            ProxyError: it broke, was too large, or took longer than `timeout_s`.
        """
        try:
            self._opened.resume()
            if not self._body.done():
                self._timer = self._loop.call_later(max(timeout_s, 0.0), self._expire)
            return await self._body
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._opened.close()

    def _expire(self, turns_left: int = GRACE_TURNS) -> None:
        # The body alone is waited for: failing it costs less than cancelling its task.
        if turns_left:
            self._timer = self._loop.call_soon(self._expire, turns_left - 1)
        else:
            self.fail(UpstreamTimeout(code="upstream_answer_timeout"))
