"""
The Transport over aiohttp's connections and parser: bodies pushed as they arrive.

aiohttp's client session is left out: of 70 us that a request costs through it, most go into
objects that we do not read. What is used is its connector (`aiohttp_pool.py`) and its
connection, which parses answers in C. The parser feeds a reader that must be awaited chunk
by chunk; once the head has been read, that reader's class is changed for one that gives each
read straight to the sink, so that a chunk costs no task and no await. The version is pinned,
and the contract suite walks every method that this leans on.
"""

import asyncio
from typing import Any

import aiohttp
from aiohttp.connector import Connection
from aiohttp.hdrs import TRANSFER_ENCODING
from aiohttp.http import HttpVersion10, HttpVersion11, RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from proxy.domain.catalog import Provider
from proxy.domain.errors import ProxyError, UpstreamDisconnected, UpstreamError, UpstreamTimeout
from proxy.domain.exchange import OutboundRequest, ResponseHead
from proxy.upstream.aiohttp_faults import describe_break, describe_fault
from proxy.upstream.aiohttp_pool import Pool, ProviderConnection
from proxy.upstream.base import BodySink, OpenedResponse
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.deadline import Deadline
from proxy.upstream.resolver import ResolutionFailed, Resolver

MAX_INTERIM_ANSWERS = 64
_VERSIONS = (HttpVersion11, HttpVersion10)
_JOINED_BODY_BYTES = 64 * 1024


class AiohttpTransport:
    """A Transport (see `upstream/base.py`) with a pool of its own; made inside a running loop."""

    def __init__(
        self, provider: Provider, resolver: Resolver, shared_cap: ConnectionCap | None = None
    ) -> None:
        self._pool = Pool(provider, resolver, shared_cap)
        self._loop = asyncio.get_running_loop()
        self._unfinished: set[_AiohttpResponse] = set()

    @property
    def has_room(self) -> bool:
        """A connection could be had now without waiting (see `upstream/base.py`)."""
        return self._pool.has_room

    async def open(self, request: OutboundRequest, sink: BodySink) -> OpenedResponse:
        """Send a request and return its answer's head (see `upstream/base.py`)."""
        try:
            with Deadline(request.clocks.headers_s if request.streams else request.clocks.answer_s):
                connection, first_lines = await self._pool.connect(request)
                protocol = _protocol_of(connection)
                try:
                    head, body = await _exchange(connection, first_lines, request)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    if not protocol.was_pooled or protocol.has_answered:
                        raise
                    # The pooled connection had died unnoticed and nothing came back on it:
                    # once more on one that is certainly new.
                    connection, first_lines = await self._pool.connect_anew(request)
                    head, body = await _exchange(connection, first_lines, request)
        except (aiohttp.ClientError, HttpProcessingError, ResolutionFailed) as error:
            raise describe_fault(error) from error
        except TimeoutError:
            raise UpstreamTimeout(code="upstream_header_timeout") from None
        return _AiohttpResponse(head, body, connection, sink, self._unfinished, self._loop)

    def retire(self) -> None:
        """Keep no connection any more (see `upstream/base.py`)."""
        self._pool.retire()

    async def close(self) -> None:
        """Close every connection (see `upstream/base.py`)."""
        for response in list(self._unfinished):
            response.disconnect()
        await self._pool.close()


async def _exchange(
    connection: Connection, first_lines: bytes, request: OutboundRequest
) -> tuple[ResponseHead, StreamReader]:
    """Write a request and read its answer's head; whatever goes wrong closes the connection."""
    try:
        protocol = _protocol_of(connection)
        protocol.has_answered = False
        protocol.size_buffer(request.streams)
        protocol.set_response_params(read_until_eof=True, auto_decompress=False)
        _write(protocol, first_lines, request)
        for _ in range(MAX_INTERIM_ANSWERS):
            message, body = await protocol.read()
            if not 100 <= message.code < 200 or message.code == 101:
                _check(message)
                return ResponseHead(message.code, message.headers), body
        raise HttpProcessingError(message="too many interim answers")
    except BaseException:  # also a cancelled request leaves nothing behind
        connection.close()
        raise


def _check(message: RawResponseMessage) -> None:
    """Refuse what aiohttp's parser lets pass in answers, although only a broken server sends it."""
    if not 200 <= message.code <= 599:
        # 101 too: nobody has asked for another protocol.
        raise HttpProcessingError(message="a status that no answer has")
    if message.version not in _VERSIONS:
        raise HttpProcessingError(message="a version that was not asked for")
    encoding = message.headers.get(TRANSFER_ENCODING)
    # The parser tells whether the last of several is `chunked`; the first must be it too.
    if encoding is not None and (encoding.strip().lower() != "chunked" or not message.chunked):
        raise HttpProcessingError(message="a transfer encoding that was not asked for")


def _write(protocol: ProviderConnection, first_lines: bytes, request: OutboundRequest) -> None:
    body = request.body
    fields = "".join([f"{name}: {value}\r\n" for name, value in request.headers.items()])
    head = b"%b%bContent-Length: %d\r\n\r\n" % (first_lines, fields.encode("latin-1"), len(body))
    if protocol.transport is None:
        raise aiohttp.ServerDisconnectedError
    if len(body) <= _JOINED_BODY_BYTES:
        protocol.transport.write(head + body)
    else:
        protocol.transport.write(head)
        protocol.transport.write(body)


def _protocol_of(connection: Connection) -> ProviderConnection:
    protocol = connection.protocol
    if not isinstance(protocol, ProviderConnection):
        # It was closed while it changed hands.
        raise aiohttp.ServerDisconnectedError
    return protocol


class _AiohttpResponse:
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
        unfinished: "set[_AiohttpResponse]",
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
            _protocol_of(self._connection).on_read = self._flush
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
    The reader after its class was changed: what the parser feeds goes to an _AiohttpResponse.

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
