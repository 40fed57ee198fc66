"""The transport of our own keeps the contract."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from proxy.domain.catalog import Provider
from proxy.upstream import connection_cap
from proxy.upstream.base import Transport
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.httptools_transport import HttptoolsTransport
from proxy.upstream.resolver import Resolver
from proxy.upstream.tls import build_context
from tests.upstream.asking import Transports, opening
from tests.upstream.contract import TransportContract
from tests.upstream.contract_tls import Trust

pytestmark = pytest.mark.usefixtures("no_leaks")

CERTIFICATES = Path(__file__).parents[1] / "fakes" / "tls"


def _make(provider: Provider, resolver: Resolver | None, cap: ConnectionCap | None) -> Transport:
    return HttptoolsTransport(provider, resolver or Resolver(), cap)


@pytest.fixture
async def transports() -> AsyncIterator[Transports]:
    """Opens transports of our own, and closes them."""
    async with opening(_make) as transports:
        yield transports


@pytest.fixture
async def transport(transports: Transports) -> Transport:
    """A transport to 127.0.0.1 with default limits."""
    return transports.open()


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trust]:
    """Trusts a certificate as SSL_CERT_FILE does for a process that starts with it."""

    def trust(certificate: str) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / certificate))
        build_context.cache_clear()

    yield trust
    build_context.cache_clear()


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request for which no connection is free waits for 50 ms only."""
    monkeypatch.setattr(connection_cap, "POOL_WAIT_S", 0.05)


class TestHttptoolsTransport(TransportContract):
    """The shared contract, over our own transport."""
