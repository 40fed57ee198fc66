"""The transport over aiohttp's client keeps the contract."""

from collections.abc import AsyncIterator

import pytest

from proxy.domain.catalog import Provider
from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.base import Transport
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.resolver import Resolver
from tests.upstream.asking import Transports, opening
from tests.upstream.contract import TransportContract

pytestmark = [pytest.mark.usefixtures("no_leaks"), pytest.mark.both_loops]


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


class TestAiohttpTransport(TransportContract):
    """The shared contract, over aiohttp."""
