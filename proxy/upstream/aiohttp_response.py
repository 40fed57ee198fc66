"""
A response over aiohttp's connection, whose body is pushed as it arrives.

aiohttp's parser feeds a reader that must be awaited chunk by chunk. Once the head has been read,
that reader's class is changed for one that gives each read straight to the sink, so that a chunk
costs no task and no await.
"""

import asyncio
from typing import Any

from aiohttp.connector import Connection
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from proxy.domain.errors import ProxyError, UpstreamDisconnected, UpstreamError
from proxy.domain.exchange import ResponseHead
from proxy.upstream.aiohttp_connection import ProviderConnection, protocol_of
from proxy.upstream.aiohttp_faults import describe_break
from proxy.upstream.base import BodySink


class AiohttpResponse:
    """An OpenedResponse (see `upstream/base.py`)."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_is_deaf",
        "_loop",
        "_over",
        "_paused",
        "_reader",
        "_sink",
        "_started",
        "_unfinished",
        "head",
    )

    def __init__(
        self,
        head: ResponseHead,
        reader: StreamReader,
        connection: Connection,
        sink: BodySink,
        unfinished: "set[AiohttpResponse]",
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.head = head
        self._reader = reader
        self._connection = connection
        self._sink = sink
        self._loop = loop
        self._chunks: list[bytes] = []
        self._started = False
        self._paused = False
        self._is_deaf = False
        self._over = False
        self._unfinished = unfinished
        unfinished.add(self)

    def resume(self) -> None:
        """Let the body flow."""
        if self._over:
            return
        if not self._started:
            self._started = True
            self._start()
        elif self._paused:
            self._paused = False
            if self._chunks:
                self._loop.call_soon(self._flush)
            self._set_reading(True)

    def pause(self) -> None:
        """Stop the flow; what has been read but not pushed waits for `resume`."""
        if self._started and not self._paused and not self._over:
            self._paused = True
            self._set_reading(False)

    def close(self) -> None:
        """Drop the body and its connection."""
        if not self._over:
            self._over = True
            self._chunks.clear()
            self._let_go()
            self._connection.close()

    def disconnect(self) -> None:
        """Fail: the transport is closing. A body that was not asked for yet fails when it is."""
        if self._started:
            self._finish(UpstreamDisconnected())
        else:
            self._unfinished.discard(self)
            self._connection.close()

    def push(self, chunk: bytes) -> None:
        """Take one piece from the parser; pieces of one read go to the sink together."""
        self._chunks.append(chunk)

    def push_end(self) -> None:
        """Take note of the end of the body."""
        self._finish(None)

    def push_error(self, error: BaseException) -> None:
        """Take note that the body broke."""
        self._finish(describe_break(error))

    def _start(self) -> None:
        reader = self._reader
        if self._connection.protocol is None:
            self._finish(UpstreamDisconnected())
            return
        if reader is EMPTY_PAYLOAD:
            self._hand_back()
            self._finish(None)
            return
        is_complete = reader.is_eof()
        self._chunks.extend(reader._buffer)
        broken_by = reader.exception()
        if broken_by is not None:
            self._finish(describe_break(broken_by))
        elif is_complete:
            self._hand_back()
            self._finish(None)
        else:
            reader.__class__ = _PushedReader
            reader._buffer = self  # type: ignore[assignment]
            protocol_of(self._connection).on_read = self._flush
            self._flush()
            # The reader may have stopped the socket while nobody took its bytes; a sink that
            # has paused at the first of them stops it again.
            if not self._over:
                self._set_reading(not self._paused)

    def _flush(self) -> None:
        if self._chunks and not self._paused and not self._over:
            chunks = self._chunks
            chunk = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            self._chunks = []
            self._sink.data(chunk)

    def _finish(self, error: UpstreamError | None) -> None:
        # A body that ended while paused is small and already here: it is given at once.
        self._paused = False
        self._flush()
        if self._over:
            return
        self._over = True
        sink = self._sink
        self._let_go()
        if error is None:
            if self._connection.protocol is not None:
                # Not before the parser is done with this read: bytes after the body's end
                # make the connection unfit for another request, and only then it knows.
                self._loop.call_soon(self._hand_back)
            sink.end()
        else:
            self._connection.close()
            sink.fail(error)

    def _hand_back(self) -> None:
        transport = self._connection.transport
        if transport is not None and transport.get_write_buffer_size():
            # The answer came before the request was sent whole: what is left of it must not
            # go out in front of another.
            self._connection.close()
        else:
            if self._is_deaf:
                # Its sink paused as the last bytes came; the next answer must be heard.
                self._set_reading(True)
            self._connection.release()

    def _let_go(self) -> None:
        """Forget who pushes and who is pushed to: a ring of them would wait for the collector."""
        self._unfinished.discard(self)
        self._sink = _NOBODY
        protocol = self._connection.protocol
        if isinstance(protocol, ProviderConnection):
            protocol.on_read = None
        if isinstance(self._reader, _PushedReader):
            self._reader._buffer = _NOBODY

    def _set_reading(self, on: bool) -> None:
        self._is_deaf = not on
        protocol = self._connection.protocol
        if protocol is not None:
            if on:
                protocol.resume_reading()
            else:
                protocol.pause_reading()


class _Nobody:
    """What a reader pushes to, and a response's sink, when nobody listens any more."""

    def push(self, chunk: bytes) -> None:
        """Drop it."""

    def push_end(self) -> None:
        """Drop it."""

    def push_error(self, error: BaseException) -> None:
        """Drop it."""

    def data(self, chunk: bytes) -> None:
        """Drop it."""

    def end(self) -> None:
        """Drop it."""

    def fail(self, error: ProxyError) -> None:
        """Drop it."""


_NOBODY = _Nobody()


class _PushedReader(StreamReader):
    """
    The reader after its class was changed: what the parser feeds goes to an AiohttpResponse.

    It has no slot of its own, so that its layout is its parent's; the response lives in the
    slot that held the buffer, which nothing reads any more.
    """

    __slots__ = ()

    _buffer: Any

    def feed_data(self, data: bytes, size: int = 0) -> bool:
        self._buffer.push(data)
        return False

    def feed_eof(self) -> None:
        super().feed_eof()
        self._buffer.push_end()

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        super().set_exception(exc, *cause)
        self._buffer.push_error(exc)

    def begin_http_chunk_receiving(self) -> None:
        """Chunk borders mean nothing to us."""

    def end_http_chunk_receiving(self) -> None:
        """Chunk borders mean nothing to us."""
