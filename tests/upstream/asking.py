"""What the transport's tests ask with: a request, a body read whole, transports that are closed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from proxy.domain.catalog import Provider
from proxy.domain.exchange import OutboundRequest
from proxy.domain.settings import Clocks
from proxy.upstream.base import Transport
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.resolver import Resolver
from tests.fakes.proxy_server import build_provider
from tests.fakes.raw_upstream import RawUpstream
from tests.fakes.recording_sink import RecordingSink

LOOPBACK = "http://127.0.0.1/v1"

TransportMaker = Callable[[Provider, Resolver | None, ConnectionCap | None], Transport]
"""How a transport of one implementation is made."""


class Transports:
    """Opens transports of one implementation."""

    def __init__(self, make: TransportMaker) -> None:
        self._make = make
        self._opened: list[Transport] = []

    def open(
        self,
        base_url: str = LOOPBACK,
        *,
        resolver: Resolver | None = None,
        cap: ConnectionCap | None = None,
        **fields: Any,
    ) -> Transport:
        """Open a transport to a provider with this address and these fields."""
        transport = self._make(build_provider(base_url, **fields), resolver, cap)
        self._opened.append(transport)
        return transport

    async def close(self) -> None:
        """Close every transport that was opened."""
        for transport in self._opened:
            await transport.close()


@asynccontextmanager
async def opening(make: TransportMaker) -> AsyncIterator[Transports]:
    """Give what opens transports, and close them all behind the block."""
    transports = Transports(make)
    try:
        yield transports
    finally:
        await transports.close()


def build_request(
    upstream: RawUpstream | int,
    body: bytes = b"{}",
    *,
    host: str = "127.0.0.1",
    scheme: str = "http",
    **clocks: Any,
) -> OutboundRequest:
    """Return a streamed POST to an upstream, with clocks of a test's choice."""
    port = upstream if isinstance(upstream, int) else upstream.port
    return OutboundRequest(
        provider="p",
        method="POST",
        url=f"{scheme}://{host}:{port}/v1/chat/completions",
        headers={"Content-Type": "application/json", "Authorization": "Bearer k"},
        body=body,
        streams=True,
        clocks=Clocks(**clocks),
    )


async def fetch(transport: Transport, request: OutboundRequest) -> RecordingSink:
    """Send a request, read its answer to the end, and return what came."""
    sink = RecordingSink()
    (await transport.open(request, sink)).resume()
    await sink.over.wait()
    return sink


async def take_turns(count: int = 20) -> None:
    """Let everything else run for some turns of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)
