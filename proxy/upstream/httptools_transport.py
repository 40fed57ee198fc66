"""
The Transport of our own: HTTP/1.1 over TCP and TLS, for nothing but what a provider is asked.

A request costs one write, one await and one callback for each read: no stream object, no task,
and nothing built that is not read. Each file beside this one holds one part: `http_pool.py` the
connections, `dialer.py` how they are made, `http_connection.py` one of them, `http_response.py`
what is read from it, and `http_answer.py` the way of a body to its sink.
"""

import asyncio
import time

from proxy.domain.catalog import Provider
from proxy.domain.errors import ProxyError, UpstreamDisconnected, UpstreamTimeout
from proxy.domain.exchange import OutboundRequest, Upload
from proxy.upstream import base  # by its name: tests move STALE_WITHIN_S
from proxy.upstream.base import BodySink, OpenedResponse
from proxy.upstream.connection_cap import ConnectionCap, ConnectionCaps
from proxy.upstream.deadline import Deadline
from proxy.upstream.dialer import Dialer
from proxy.upstream.guard import Guard
from proxy.upstream.http_answer import Answer
from proxy.upstream.http_pool import HttpPool
from proxy.upstream.origin import MAX_TARGETS, Target, read_target
from proxy.upstream.resolver import Resolver
from proxy.upstream.upload import build_framing, send_upload

_TURNS_TO_CLOSE = 4
"""After so many turns of the loop it has closed the sockets of connections that were cut off."""


class HttptoolsTransport:
    """A Transport (see `upstream/base.py`) with a pool of its own; made inside a running loop."""

    def __init__(
        self, provider: Provider, resolver: Resolver, shared_cap: ConnectionCap | None = None
    ) -> None:
        limit = provider.pool.max_connections
        own_cap = None if limit is None else ConnectionCap(limit)
        guard = Guard(provider.base_url, provider.private_networks)
        dialer = Dialer(resolver, guard, provider.ca_file)
        self._pool = HttpPool(provider.pool, ConnectionCaps(own_cap, shared_cap), dialer)
        self._targets: dict[tuple[str, str], Target] = {}

    @property
    def has_room(self) -> bool:
        """A connection could be had now without waiting (see `upstream/base.py`)."""
        return self._pool.has_room

    async def open(self, request: OutboundRequest, sink: BodySink) -> OpenedResponse:
        """Send a request and return its answer's head (see `upstream/base.py`)."""
        if request.upload is not None:
            return await self._open_upload(request, request.upload, sink)
        clocks = request.clocks
        target = self._find_target(request)
        head = _build_head(target, request)
        try:
            with Deadline(clocks.headers_s if request.streams else clocks.answer_s):
                connection = await self._pool.take(target.origin, clocks)
                answer = connection.send(head, request, sink)
                sent_s = time.monotonic()
                error = await _wait_for_head(answer)
                if (
                    isinstance(error, UpstreamDisconnected)
                    and connection.was_pooled
                    and not connection.has_answered
                    and time.monotonic() - sent_s < base.STALE_WITHIN_S
                ):
                    # It had died in the pool unnoticed, and nothing came back on it: once more
                    # on one that is certainly new.
                    connection = await self._pool.take(target.origin, clocks, is_new=True)
                    answer = connection.send(head, request, sink)
                    error = await _wait_for_head(answer)
        except TimeoutError:
            raise UpstreamTimeout(code="upstream_header_timeout") from None
        if error is None:
            return answer
        try:
            raise error
        finally:
            # Its traceback holds this frame, with the request: a ring, unless that lets go of it.
            del error, answer

    async def _open_upload(
        self, request: OutboundRequest, upload: Upload, sink: BodySink
    ) -> OpenedResponse:
        """Send a request whose body still comes in; nothing of it can be sent a second time."""
        clocks = request.clocks
        target = self._find_target(request)
        head = _build_head(target, request)
        # One from the pool may have died there, and would take the body with it.
        connection = await self._pool.take(target.origin, clocks, is_new=True)
        answer = connection.send(head, request, sink)
        connection.is_uploading = True
        error = None
        try:
            if await send_upload(upload, connection, answer.arrived, clocks.idle_s):
                connection.is_uploading = False
            with Deadline(clocks.headers_s if request.streams else clocks.answer_s):
                error = await answer.arrived
        except TimeoutError:
            answer.close()
            raise UpstreamTimeout(code="upstream_header_timeout") from None
        except BaseException:  # whatever ends the sending ends the connection
            answer.close()
            raise
        if error is None:
            return answer
        try:
            raise error
        finally:
            del error, answer  # as above

    def retire(self) -> None:
        """Keep no connection any more (see `upstream/base.py`)."""
        self._pool.retire()

    async def close(self) -> None:
        """Close every connection (see `upstream/base.py`)."""
        self._pool.close()
        for _ in range(_TURNS_TO_CLOSE):
            await asyncio.sleep(0)

    def _find_target(self, request: OutboundRequest) -> Target:
        key = (request.method, request.url)
        target = self._targets.get(key)
        if target is None:
            target = read_target(*key)
            if len(self._targets) >= MAX_TARGETS:
                self._targets.clear()
            self._targets[key] = target
        return target


def _build_head(target: Target, request: OutboundRequest) -> bytes:
    """
    Return a request's head as it travels.

    Raises:
        ValueError: a header holds what would end it, or is not text of HTTP: a fault of ours.
    """
    headers = request.headers
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if fields.count("\n") != len(headers) or fields.count("\r") != len(headers) or "\0" in fields:
        raise ValueError("a header holds a line end or a NUL")
    if not request.body:
        if request.upload is not None:
            framing = build_framing(request.upload.size_bytes)
            return b"%b%b%b\r\n" % (target.first_lines, fields.encode("latin-1"), framing)
        if request.method == "GET":
            # A length says that there is content: some servers refuse it here, even if it is 0.
            return b"%b%b\r\n" % (target.first_lines, fields.encode("latin-1"))
    return b"%b%bContent-Length: %d\r\n\r\n" % (
        target.first_lines,
        fields.encode("latin-1"),
        len(request.body),
    )


async def _wait_for_head(answer: Answer) -> ProxyError | None:
    try:
        return await answer.arrived
    except BaseException:  # a cancelled request, too, lets go of its connection at once
        answer.close()
        raise
