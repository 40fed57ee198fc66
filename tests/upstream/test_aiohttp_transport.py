"""The transport over aiohttp's client keeps the contract, and its pool its limits."""

from collections.abc import AsyncIterator

import pytest

from proxy.domain.settings import PoolLimits
from proxy.upstream.aiohttp_transport import AiohttpTransport
from tests.upstream.contract import TransportContract

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    """A transport with default limits."""
    transport = AiohttpTransport(PoolLimits())
    yield transport
    await transport.close()


class TestAiohttpTransport(TransportContract):
    """The shared contract, over aiohttp."""
