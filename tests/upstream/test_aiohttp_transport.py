"""The transport over aiohttp's client keeps the contract."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.domain.catalog import Provider
from proxy.upstream import aiohttp_pool
from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.base import Transport
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.resolver import Resolver
from tests.upstream.asking import Transports, opening
from tests.upstream.contract import TransportContract
from tests.upstream.contract_tls import Trust

pytestmark = pytest.mark.usefixtures("no_leaks")

CERTIFICATES = Path(__file__).parents[1] / "fakes" / "tls"


def _make(provider: Provider, resolver: Resolver | None, cap: ConnectionCap | None) -> Transport:
    return AiohttpTransport(provider, resolver or Resolver(), cap)


@pytest.fixture
async def transports() -> AsyncIterator[Transports]:
    """Opens transports over aiohttp, and closes them."""
    async with opening(_make) as transports:
        yield transports


@pytest.fixture
async def transport(transports: Transports) -> Transport:
    """A transport to 127.0.0.1 with default limits."""
    return transports.open()


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> Trust:
    """Trusts a certificate as SSL_CERT_FILE does for a process that starts with it."""

    def trust(certificate: str) -> None:
        context = ssl.create_default_context(cafile=str(CERTIFICATES / certificate))
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", context)

    return trust


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request for which no connection is free waits for 50 ms only."""
    monkeypatch.setattr(aiohttp_pool, "POOL_WAIT_S", 0.05)


class TestAiohttpTransport(TransportContract):
    """The shared contract, over aiohttp."""
