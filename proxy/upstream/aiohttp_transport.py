"""
The Transport over aiohttp's client: one pool per provider, bodies pushed as they arrive.

aiohttp hands out bodies through a reader that must be awaited chunk by chunk. The push that
`upstream/base.py` asks for costs no task and no await: once the head has been read, the
reader's class is changed for one that gives each read straight to the sink. This leans on
four methods that aiohttp's parser calls on its reader (`feed_data`, `feed_eof`,
`set_exception`, the two chunk marks); the version is pinned and the contract suite walks
every one of them.
"""

import asyncio
import io
import socket
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from yarl import URL

from proxy.domain.errors import (
    ProxyError,
    UpstreamDisconnected,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamTlsError,
    UpstreamUnreachable,
)
from proxy.domain.exchange import OutboundRequest, ResponseHead
from proxy.domain.settings import PoolLimits
from proxy.upstream.base import BodySink, OpenedResponse
from proxy.upstream.deadline import Deadline

POOL_WAIT_S = 2.0
_LARGE_BODY_BYTES = 1 << 20


class _Dials:
    """How many sockets one `open` has made: none means that it was given a pooled one."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


_dials: ContextVar[_Dials] = ContextVar("dials")


class AiohttpTransport:
    """A Transport (see `upstream/base.py`) with a pool of its own; made inside a running loop."""

    def __init__(self, pool: PoolLimits) -> None:
        self._pooled = _open_session(_Pool(pool))
        self._pool_wait_s = POOL_WAIT_S if pool.max_connections else None
        self._fresh: aiohttp.ClientSession | None = None
        self._timeouts: dict[tuple[float, float], aiohttp.ClientTimeout] = {}
        self._urls: dict[str, URL] = {}
        self._unfinished: set[_AiohttpResponse] = set()

    async def open(self, request: OutboundRequest, sink: BodySink) -> OpenedResponse:
        """Send a request and return its answer's head (see `upstream/base.py`)."""
        head_s = request.clocks.headers_s if request.streams else request.clocks.answer_s
        dials = _Dials()
        _dials.set(dials)
        try:
            with Deadline(head_s):
                try:
                    response = await self._send(self._pooled, request)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                    if dials.count or isinstance(error, aiohttp.ClientConnectorError):
                        raise
                    # The pooled connection had died unnoticed and nothing came back on it:
                    # once more on one that is certainly new.
                    response = await self._send(self._open_fresh(), request)
        except aiohttp.ClientError as error:
            raise _describe(error) from error
        except TimeoutError:
            raise UpstreamTimeout(code="upstream_header_timeout") from None
        return _AiohttpResponse(response, sink, self._unfinished)

    async def close(self) -> None:
        """Close every connection (see `upstream/base.py`)."""
        for response in list(self._unfinished):
            response.push_error(UpstreamDisconnected())
        await self._pooled.close()
        if self._fresh is not None:
            await self._fresh.close()

    async def _send(
        self, session: aiohttp.ClientSession, request: OutboundRequest
    ) -> aiohttp.ClientResponse:
        body = request.body
        return await session.request(
            request.method,
            self._url(request.url),
            headers=request.headers,
            # aiohttp warns of large bytes, which it writes at once; a file it writes in parts.
            data=body if len(body) <= _LARGE_BODY_BYTES else io.BytesIO(body),
            allow_redirects=False,
            timeout=self._timeout(request),
        )

    def _url(self, text: str) -> URL:
        url = self._urls.get(text)
        if url is None:
            url = self._urls[text] = URL(text, encoded=True)
        return url

    def _timeout(self, request: OutboundRequest) -> aiohttp.ClientTimeout:
        clocks = request.clocks
        dial_s = clocks.connect_s + (clocks.tls_s if request.url.startswith("https:") else 0.0)
        key = (dial_s, clocks.connect_s)
        timeout = self._timeouts.get(key)
        if timeout is None:
            wait_s = None if self._pool_wait_s is None else self._pool_wait_s + dial_s
            timeout = aiohttp.ClientTimeout(total=None, connect=wait_s, sock_connect=dial_s)
            self._timeouts[key] = timeout
        return timeout

    def _open_fresh(self) -> aiohttp.ClientSession:
        if self._fresh is None:
            self._fresh = _open_session(
                aiohttp.TCPConnector(force_close=True, limit=0, socket_factory=_open_socket)
            )
        return self._fresh


class _Pool(aiohttp.TCPConnector):
    """aiohttp's pool, which also knows how many idle connections are enough."""

    def __init__(self, limits: PoolLimits) -> None:
        super().__init__(
            limit=limits.max_connections or 0,
            keepalive_timeout=limits.keepalive_s,
            socket_factory=_open_socket,
        )
        self._max_idle = limits.max_keepalive_connections

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        if self._max_idle is not None and len(self._conns.get(key, ())) >= self._max_idle:
            should_close = True
        super()._release(key, protocol, should_close=should_close)


def _open_session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


def _open_socket(address: tuple[Any, ...]) -> socket.socket:
    """Make the socket of one dial; every connection of this transport comes through here."""
    dials = _dials.get(None)
    if dials is not None:
        dials.count += 1
    family, kind, protocol, *_ = address
    return socket.socket(family, kind, protocol)


class _AiohttpResponse:
    """An OpenedResponse (see `upstream/base.py`)."""

    __slots__ = (
        "_chunks",
        "_loop",
        "_over",
        "_paused",
        "_reader",
        "_response",
        "_sink",
        "_started",
        "_unfinished",
        "head",
    )

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        sink: BodySink,
        unfinished: "set[_AiohttpResponse]",
    ) -> None:
        self.head = ResponseHead(response.status, response.headers)
        self._response = response
        self._reader = response.content
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._chunks: list[bytes] = []
        self._started = False
        self._paused = False
        self._over = False
        self._unfinished = unfinished
        unfinished.add(self)

    def resume(self) -> None:
        """Let the body flow."""
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
            self._response.close()
            self._let_go()

    def push(self, chunk: bytes) -> None:
        """Take one piece from the parser; pieces of one read go to the sink together."""
        self._chunks.append(chunk)
        if len(self._chunks) == 1 and not self._paused:
            self._loop.call_soon(self._flush)

    def push_end(self) -> None:
        """Take note of the end of the body."""
        self._finish(None)

    def push_error(self, error: BaseException) -> None:
        """Take note that the body broke."""
        self._finish(UpstreamDisconnected())

    def _start(self) -> None:
        reader = self._reader
        if reader is EMPTY_PAYLOAD:
            self._finish(None)
            return
        error, is_complete = reader.exception(), reader.is_eof()
        read_ahead = list(reader._buffer)
        _push_into(reader, self)
        self._chunks.extend(read_ahead)
        if error is not None:
            self.push_error(error)
        elif is_complete:
            self.push_end()
        else:
            if self._chunks:
                self._flush()
            # The reader may have stopped the socket while nobody took its bytes.
            self._set_reading(True)

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
        if error is not None:
            self._response.close()
        self._let_go()
        if error is None:
            sink.end()
        else:
            sink.fail(error)

    def _let_go(self) -> None:
        """Forget who pushes and who is pushed to: a ring of them would wait for the collector."""
        self._unfinished.discard(self)
        self._sink = _NOBODY
        if isinstance(self._reader, _PushedReader):
            self._reader._buffer = _NOBODY

    def _set_reading(self, on: bool) -> None:
        connection = self._response.connection
        protocol = connection.protocol if connection is not None else None
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


def _push_into(reader: StreamReader, response: _AiohttpResponse) -> None:
    reader.__class__ = _PushedReader
    reader._buffer = response  # type: ignore[assignment]


def _describe(error: aiohttp.ClientError) -> UpstreamError:
    """Return our word for what aiohttp raised before the head was complete."""
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch):
        return UpstreamTlsError()
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamTimeout(code="upstream_connect_timeout")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL):
        return UpstreamUnreachable()
    if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError):
        return UpstreamDisconnected()
    return UpstreamProtocolError()
