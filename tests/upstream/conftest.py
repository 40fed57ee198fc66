"""What several files here stand on: whom to trust, how long to wait, a proxy to go through."""

from collections.abc import AsyncIterator, Iterator

import pytest
from msgspec.structs import replace

from proxy.domain.catalog import Provider
from proxy.domain.secret import Secret
from proxy.upstream import connection_cap
from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.base import Transport
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.resolver import Resolver
from tests.fakes.forward_proxy import ForwardProxy, open_forward_proxy
from tests.fakes.trust import Trust, trusting
from tests.upstream.asking import Transports, opening


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trust]:
    """Trusts a certificate, whichever transport asks."""
    with trusting(monkeypatch) as trust:
        yield trust


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request for which no connection is free waits for 50 ms only."""
    monkeypatch.setattr(connection_cap, "POOL_WAIT_S", 0.05)


@pytest.fixture
async def forward() -> AsyncIterator[ForwardProxy]:
    """A proxy that asks nobody who he is."""
    async with open_forward_proxy() as proxy:
        yield proxy


@pytest.fixture
async def proxied(forward: ForwardProxy) -> AsyncIterator[Transports]:
    """Opens transports that go through `forward` or a proxy of a test's own, and closes them."""

    def make(provider: Provider, resolver: Resolver | None, cap: ConnectionCap | None) -> Transport:
        provider = replace(provider, proxy=provider.proxy or Secret(forward.url))
        return AiohttpTransport(provider, resolver or Resolver(), cap)

    async with opening(make) as transports:
        yield transports
