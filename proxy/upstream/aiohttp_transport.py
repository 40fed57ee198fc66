"""
The Transport over aiohttp's connections and parser: bodies pushed as they arrive.

aiohttp's client session is left out: of 70 us that a request costs through it, most go into
objects that we do not read. What is used is its connector (`aiohttp_pool.py`) and its
connection, which parses answers in C; `aiohttp_response.py` pushes what it has parsed. The
version is pinned, and the contract suite walks every method that this leans on.
"""

import asyncio
import time
from http import HTTPStatus

import aiohttp
from aiohttp.connector import Connection
from aiohttp.hdrs import TRANSFER_ENCODING
from aiohttp.http import HttpVersion10, HttpVersion11, RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from proxy.domain.catalog import Provider
from proxy.domain.errors import UpstreamTimeout
from proxy.domain.exchange import OutboundRequest, ResponseHead, Upload
from proxy.upstream import base  # by its name: tests move STALE_WITHIN_S
from proxy.upstream.aiohttp_connection import ProviderConnection, protocol_of
from proxy.upstream.aiohttp_faults import describe_fault
from proxy.upstream.aiohttp_pool import Pool
from proxy.upstream.aiohttp_response import AiohttpResponse
from proxy.upstream.aiohttp_tunnel import THE_PROXY, ProxyRefused
from proxy.upstream.base import BodySink, OpenedResponse
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.deadline import Deadline
from proxy.upstream.resolver import ResolutionFailed, Resolver
from proxy.upstream.upload import build_framing, send_upload

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
        self._unfinished: set[AiohttpResponse] = set()

    @property
    def has_room(self) -> bool:
        """A connection could be had now without waiting (see `upstream/base.py`)."""
        return self._pool.has_room

    async def open(self, request: OutboundRequest, sink: BodySink) -> OpenedResponse:
        """Send a request and return its answer's head (see `upstream/base.py`)."""
        if request.upload is not None:
            return await self._open_upload(request, request.upload, sink)
        try:
            with Deadline(request.clocks.headers_s if request.streams else request.clocks.answer_s):
                connection, first_lines = await self._pool.connect(request)
                protocol = protocol_of(connection)
                sent_s = time.monotonic()
                try:
                    head, body = await _exchange(connection, first_lines, request)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    is_late = time.monotonic() - sent_s >= base.STALE_WITHIN_S
                    if not protocol.was_pooled or protocol.has_answered or is_late:
                        raise
                    # The pooled connection had died unnoticed and nothing came back on it:
                    # once more on one that is certainly new.
                    connection, first_lines = await self._pool.connect_anew(request)
                    head, body = await _exchange(connection, first_lines, request)
        except (aiohttp.ClientError, HttpProcessingError, ResolutionFailed) as error:
            raise describe_fault(error) from error
        except TimeoutError:
            raise UpstreamTimeout(code="upstream_header_timeout") from None
        return self._begin_response(request, head, body, connection, sink)

    async def _open_upload(
        self, request: OutboundRequest, upload: Upload, sink: BodySink
    ) -> OpenedResponse:
        """Send a request whose body still comes in; nothing of it can be sent a second time."""
        try:
            # One from the pool may have died there, and would take the body with it.
            connection, first_lines = await self._pool.connect_anew(request)
            head, body = await _exchange_upload(connection, first_lines, request, upload)
        except (aiohttp.ClientError, HttpProcessingError, ResolutionFailed) as error:
            raise describe_fault(error) from error
        except TimeoutError:
            raise UpstreamTimeout(code="upstream_header_timeout") from None
        return self._begin_response(request, head, body, connection, sink)

    def _begin_response(
        self,
        request: OutboundRequest,
        head: ResponseHead,
        body: StreamReader,
        connection: Connection,
        sink: BodySink,
    ) -> OpenedResponse:
        is_refusal = head.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        if is_refusal and self._pool.is_read_by_proxy(request):
            connection.close()
            raise describe_fault(ProxyRefused(f"{THE_PROXY} answered {head.status}"))
        return AiohttpResponse(head, body, connection, sink, self._unfinished, self._loop)

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
        protocol = _prepare(connection, request)
        _write(protocol, first_lines, request)
        return await _read_head(protocol)
    except BaseException:  # also a cancelled request leaves nothing behind
        connection.close()
        raise


async def _exchange_upload(
    connection: Connection, first_lines: bytes, request: OutboundRequest, upload: Upload
) -> tuple[ResponseHead, StreamReader]:
    """Do the same with a body that still comes in, and is sent until the answer is there."""
    reading: asyncio.Task[tuple[ResponseHead, StreamReader]] | None = None
    clocks = request.clocks
    try:
        protocol = _prepare(connection, request)
        head = first_lines + _build_fields(request) + build_framing(upload.size_bytes) + b"\r\n"
        await protocol.write(head)
        reading = asyncio.get_running_loop().create_task(_read_head(protocol))
        if not await send_upload(upload, protocol, reading, clocks.idle_s):
            # What is left of the request must not be waited for in front of another.
            protocol.force_close()
        with Deadline(clocks.headers_s if request.streams else clocks.answer_s):
            return await reading
    except BaseException:  # also a cancelled request leaves nothing behind
        if reading is not None:
            reading.cancel()
            await asyncio.wait((reading,))
        connection.close()
        raise


def _prepare(connection: Connection, request: OutboundRequest) -> ProviderConnection:
    protocol = protocol_of(connection)
    protocol.has_answered = False
    protocol.size_buffer(request.streams)
    protocol.set_response_params(read_until_eof=True, auto_decompress=False)
    return protocol


async def _read_head(protocol: ProviderConnection) -> tuple[ResponseHead, StreamReader]:
    for _ in range(MAX_INTERIM_ANSWERS):
        message, body = await protocol.read()
        if not 100 <= message.code < 200 or message.code == 101:
            _check(message)
            return ResponseHead(message.code, message.headers), body
    raise HttpProcessingError(message="too many interim answers")


def _build_fields(request: OutboundRequest) -> bytes:
    fields = "".join([f"{name}: {value}\r\n" for name, value in request.headers.items()])
    return fields.encode("latin-1")


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
    # A length says that there is content: of a GET some servers refuse it, even if it is 0.
    has_length = body or request.method != "GET"
    length = b"Content-Length: %d\r\n" % len(body) if has_length else b""
    head = b"%b%b%b\r\n" % (first_lines, _build_fields(request), length)
    if protocol.transport is None:
        raise aiohttp.ServerDisconnectedError
    if len(body) <= _JOINED_BODY_BYTES:
        protocol.transport.write(head + body)
    else:
        protocol.transport.write(head)
        protocol.transport.write(body)
