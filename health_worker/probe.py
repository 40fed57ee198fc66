"""
Asks targets how they are, over the same transports that requests go through.

Whatever goes wrong is a reading. Probes never come through the pipeline: they are in nobody's
usage, and on nobody's bill.
"""

import asyncio
import errno
import os
import re
import time
import zlib
from collections.abc import Callable, Mapping
from weakref import WeakSet

from msgspec.structs import replace

from health_worker.cost import Spending
from health_worker.targets import Target
from health_worker.verdict import ProbeResult
from proxy.domain.catalog import Provider
from proxy.domain.errors import ProxyError, UpstreamTlsError
from proxy.domain.exchange import OutboundRequest, ResponseHead
from proxy.domain.health import ProbeReading
from proxy.domain.settings import Clocks
from proxy.providers.probe_answer import MAX_PROBE_BODY_BYTES
from proxy.providers.registry import find_type
from proxy.upstream.base import Transport
from proxy.upstream.deadline import Deadline
from proxy.upstream.factory import open_transport
from proxy.upstream.resolver import Resolver

MAX_AT_ONCE = 32
"""So many probes are under way at once; the others wait, and their clocks with them."""

_GZIP_OR_ZLIB = 47
_WORDS = {
    "upstream_unreachable": "no connection",
    "upstream_dns": "its name has no address",
    "upstream_network_down": "this machine has no network to it, or no name server",
    "upstream_proxy_refused": "the proxy in front of it lets nothing through",
    "upstream_address_refused": "its name leads to an address that is not allowed to it",
    "upstream_pool_full": "every connection to it is in use",
    "upstream_not_dialled": "this machine has no file or port left for a connection",
    "upstream_tls_error": "TLS",
    "upstream_connect_timeout": "no connection in time",
    "upstream_tls_timeout": "no TLS handshake in time",
    "upstream_disconnected": "the connection broke",
    "upstream_protocol_error": "what answers there is not HTTP",
}
"""By code, in words that hold nothing of what was sent, and no address."""
_OWN_FAULTS = frozenset(("upstream_not_dialled", "upstream_pool_full"))
"""Codes of what this process has run out of: that says nothing of whom it wanted to ask."""
REFUSED = "connection refused"
"""The reason of a probe where nobody listens."""
_REFUSED = os.strerror(errno.ECONNREFUSED)
_TLS_REASON = re.compile(r"[A-Za-z][A-Za-z -]{2,59}")
"""The beginning of OpenSSL's words; what names a host comes behind a comma."""


class Prober:
    """Probes targets, several at once; keeps one transport for each, for as long as it is asked."""

    def __init__(
        self,
        open_one: Callable[[Provider], Transport] | None = None,
        read_clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open transports with `open_one`; made inside a running loop."""
        resolver = Resolver()
        self._open_one = open_one or (lambda provider: open_transport(provider, resolver))
        self._read_clock_s = read_clock_s
        self._spending = Spending()
        self._turns = asyncio.Semaphore(MAX_AT_ONCE)
        self._kept: dict[str, tuple[Target, Transport]] = {}
        self._retired: WeakSet[Transport] = WeakSet()

    async def probe(self, target: Target, timeout_s: float) -> ProbeResult:
        """Ask one target, within `timeout_s` from its turn on; being cancelled leaves nothing."""
        async with self._turns:
            return await self._ask(target, timeout_s)

    def keep(self, targets: Mapping[str, Target]) -> None:
        """Let go of the connections to all but these; what is under way goes on."""
        for name, (kept, transport) in list(self._kept.items()):
            target = targets.get(name)
            if target is None or not target.is_asked_like(kept):
                del self._kept[name]
                self._retire(transport)

    async def close(self) -> None:
        """Close every connection; probes that are under way fail."""
        for transport in (*(kept for _, kept in self._kept.values()), *self._retired):
            await transport.close()
        self._kept.clear()

    async def _ask(self, target: Target, timeout_s: float) -> ProbeResult:
        provider, refusal = self._settle_cost(target.provider)
        provider_type = find_type(provider.type)
        request = provider_type.build_probe(provider, _build_clocks(provider, timeout_s))
        if request is None:
            return ProbeResult(ProbeReading("unknown", "there is nothing to ask it"))
        body = _Body()
        began_s = self._read_clock_s()
        try:
            with Deadline(timeout_s):
                await _fetch(self._take(target), request, body)
        except TimeoutError:
            return _fail(f"no answer within {timeout_s:g} s", body)
        except ProxyError as error:
            reason = describe_fault(error, timeout_s)
            if error.code in _OWN_FAULTS:
                return ProbeResult(ProbeReading("unknown", reason), has_answered=False)
            return _fail(reason, body)
        took_s = self._read_clock_s() - began_s
        reading = provider_type.read_probe(provider, body.status, body.inflate())
        if target.is_watched_only and reading.state == "key_rejected":
            # Nothing is routed there, and it has no key by design: that it answers is good.
            reading = replace(reading, state="healthy")
        if refusal is not None:
            reading = replace(reading, reason=f"{reading.reason}; asked without tokens: {refusal}")
        return ProbeResult(reading, took_s)

    def _settle_cost(self, provider: Provider) -> tuple[Provider, str | None]:
        """Return whom to ask and how: where a completion is not paid for, free, and why."""
        if provider.probe.kind != "completion":
            return provider, None
        refusal = self._spending.book(provider, self._read_clock_s())
        if refusal is None:
            return provider, None
        return replace(provider, probe=replace(provider.probe, kind="free")), refusal

    def _take(self, target: Target) -> Transport:
        kept = self._kept.get(target.name)
        if kept is not None:
            if target.is_asked_like(kept[0]):
                return kept[1]
            self._retire(kept[1])
        transport = self._open_one(target.provider)
        self._kept[target.name] = target, transport
        return transport

    def _retire(self, transport: Transport) -> None:
        transport.retire()
        self._retired.add(transport)


class _Body:
    """A BodySink (see `upstream/base.py`) for the beginning of one answer's body."""

    def __init__(self) -> None:
        self.status = 0
        """Of the answer; 0: its head has not come."""
        self.ended: asyncio.Future[ProxyError | None] = asyncio.get_running_loop().create_future()
        self._encoding = ""
        self._chunks: list[bytes] = []
        self._room_bytes = MAX_PROBE_BODY_BYTES

    def begin(self, head: ResponseHead) -> None:
        """Take the head; the body is expected from now on."""
        self.status = head.status
        self._encoding = head.headers.get("content-encoding", "").strip().lower()

    def data(self, chunk: bytes) -> None:
        """Take bytes; with enough of them, the rest is not waited for."""
        self._chunks.append(chunk[: self._room_bytes])
        self._room_bytes -= len(self._chunks[-1])
        if not self._room_bytes:
            self._finish(None)

    def end(self) -> None:
        """Take note that all of it has come."""
        self._finish(None)

    def fail(self, error: ProxyError) -> None:
        """Take note that it broke."""
        self._finish(error)

    def inflate(self) -> bytes:
        """Return what has come, as plain bytes, at most MAX_PROBE_BODY_BYTES."""
        raw = b"".join(self._chunks)
        if self._encoding in ("", "identity"):
            return raw
        # It was asked not to; some compress all the same.
        try:
            return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(raw, MAX_PROBE_BODY_BYTES)
        except zlib.error:
            return raw

    def _finish(self, error: ProxyError | None) -> None:
        if not self.ended.done():
            self.ended.set_result(error)


async def _fetch(transport: Transport, request: OutboundRequest, body: _Body) -> None:
    """Send a request and wait until its answer has ended; close it where it is not waited for."""
    opened = await transport.open(request, body)
    try:
        body.begin(opened.head)
        opened.resume()
        error = await body.ended
    finally:
        opened.close()
    if error is not None:
        raise error


def _build_clocks(provider: Provider, timeout_s: float) -> Clocks:
    return Clocks(
        connect_s=min(provider.clocks.connect_s, timeout_s),
        tls_s=min(provider.clocks.tls_s, timeout_s),
        headers_s=timeout_s,
        answer_s=timeout_s,
    )


def _fail(reason: str, body: _Body) -> ProbeResult:
    """Return a failure's result; one that broke in its body has been answered by somebody."""
    if body.status:
        reason += ", in the middle of its answer"
    return ProbeResult(ProbeReading("unhealthy", reason), has_answered=bool(body.status))


def describe_fault(error: ProxyError, timeout_s: float) -> str:
    """Return an error in words that hold no address and nothing of what was sent or came."""
    if error.code == "upstream_header_timeout":
        return f"no answer within {timeout_s:g} s"
    words = _WORDS.get(error.code or "", "no answer")
    detail = error.detail or ""
    if error.code == "upstream_unreachable" and _REFUSED in detail:
        return REFUSED
    if isinstance(error, UpstreamTlsError):
        reason = _TLS_REASON.match(detail)
        return f"{words}: {reason[0].strip()}" if reason else f"{words}: the handshake failed"
    return words
