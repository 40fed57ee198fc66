"""One response's body on its way to a sink: held until it is wanted, then pushed read by read."""

import asyncio
from typing import Protocol

from proxy.domain.errors import ProxyError
from proxy.domain.exchange import ResponseHead
from proxy.upstream.base import BodySink


class Source(Protocol):
    """What an answer asks of the connection that it comes over."""

    def listen(self) -> None:
        """Go on reading."""

    def stop_listening(self) -> None:
        """Read no more, so that the peer is held up."""

    def abort(self) -> None:
        """Cut it off, silently."""


class Answer:
    """
    An OpenedResponse (see `upstream/base.py`), made as its request is sent.

    `arrived` is done when the head is there, or when there will be none: then it holds the
    error, as a result, which nobody has to look at.
    """

    __slots__ = (
        "_chunks",
        "_ending",
        "_has_ended",
        "_is_over",
        "_is_paused",
        "_is_started",
        "_loop",
        "_sink",
        "_source",
        "arrived",
        "head",
    )

    head: ResponseHead

    def __init__(self, source: Source, sink: BodySink, loop: asyncio.AbstractEventLoop) -> None:
        self.arrived: asyncio.Future[ProxyError | None] = loop.create_future()
        self._source: Source = source
        self._sink: BodySink = sink
        self._loop = loop
        self._chunks: list[bytes] = []
        self._ending: ProxyError | None = None
        self._has_ended = self._is_over = self._is_paused = self._is_started = False

    # For whoever asked.

    def resume(self) -> None:
        """Let the body flow."""
        if not self._is_started:
            self._is_started = True
            self._flush()
        elif self._is_paused:
            self._is_paused = False
            # Later: a sink resumes in the middle of its own business.
            if self._chunks:
                self._loop.call_soon(self._flush)
        else:
            return
        if not self._is_over and not self._is_paused:
            self._source.listen()

    def pause(self) -> None:
        """Stop the flow; what has been read but not pushed waits for `resume`."""
        if self._is_started and not self._is_paused and not self._has_ended:
            self._is_paused = True
            self._source.stop_listening()

    def close(self) -> None:
        """Drop the body and its connection, unless that is free already."""
        if not self._is_over:
            source = self._source
            self._let_go()
            source.abort()

    # For the connection.

    @property
    def has_head(self) -> bool:
        """The head is there, or there will be none."""
        return self.arrived.done()

    def take_head(self, head: ResponseHead) -> None:
        """Wake who waits for the head."""
        self.head = head
        if not self.arrived.done():
            self.arrived.set_result(None)

    def take(self, chunks: list[bytes]) -> None:
        """Push what was read at once, as one piece; or hold it, and have the peer held up."""
        if self._is_started:
            if self._chunks:
                self._chunks += chunks
            else:
                self._chunks = chunks
            self._flush()
        elif self._chunks:
            self._chunks += chunks
            self._source.stop_listening()
        else:
            # Most bodies are wanted in the very next turn: nobody is held up for that.
            self._chunks = chunks

    def end(self, chunks: list[bytes], error: ProxyError | None = None) -> None:
        """
        Take the last of the body, which is complete or broken; the connection has left already.

        All of it is told at once, also to a sink that is paused: it is small, and here.
        """
        if self._is_over or self._has_ended:
            return
        self._has_ended = True
        self._is_paused = False
        self._source = _NOBODY
        if not self.arrived.done():
            self._let_go()
            self.arrived.set_result(error)
            return
        self._ending = error
        self._chunks += chunks
        if self._is_started:
            self._flush()

    def _flush(self) -> None:
        if self._is_over or self._is_paused:
            return
        chunks = self._chunks
        if chunks:
            self._chunks = []
            self._sink.data(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        if self._has_ended and not self._is_over:
            sink, ending = self._sink, self._ending
            self._let_go()
            if ending is None:
                sink.end()
            else:
                sink.fail(ending)

    def _let_go(self) -> None:
        """Be over, and forget who pushes and who is pushed to: a ring waits for the collector."""
        self._is_over = True
        self._chunks = []
        self._source = _NOBODY
        self._sink = _NOBODY


class _Nobody:
    """What an answer that is over listens to and pushes to."""

    def listen(self) -> None:
        """Do nothing."""

    def stop_listening(self) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing."""

    def data(self, chunk: bytes) -> None:
        """Drop it."""

    def end(self) -> None:
        """Drop it."""

    def fail(self, error: ProxyError) -> None:
        """Drop it."""


_NOBODY = _Nobody()
