"""A provider's configuration opens the transport that it names."""

from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.factory import open_transport
from tests.fakes.proxy_server import build_provider


async def test_providers_over_http_get_the_aiohttp_transport() -> None:
    """The default transport is the one over aiohttp, and closing it leaves nothing."""
    transport = open_transport(build_provider("http://127.0.0.1:1/v1"))
    assert isinstance(transport, AiohttpTransport)
    await transport.close()
