"""A provider's configuration opens the transport that it names."""

import pytest

from proxy.domain.catalog import Provider
from proxy.domain.errors import UpstreamUnreachable
from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.factory import open_transport
from proxy.upstream.httptools_transport import HttptoolsTransport
from proxy.upstream.resolver import Resolver
from tests.fakes.proxy_server import build_provider
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import build_request


@pytest.mark.parametrize(
    ("name", "kind"), [("httptools", HttptoolsTransport), ("aiohttp", AiohttpTransport)]
)
async def test_a_provider_gets_the_transport_that_it_names(name: str, kind: type) -> None:
    """Each of the two has its name, and closing it leaves nothing."""
    transport = open_transport(build_provider("http://127.0.0.1:1/v1", transport=name))
    assert type(transport) is kind
    await transport.close()


def test_our_own_is_the_default() -> None:
    """Who names no transport gets the one over httptools."""
    assert Provider("p", "openai", "http://127.0.0.1:1/v1").transport == "httptools"


async def test_transports_can_share_a_resolver(loopback_port: int) -> None:
    """What one transport has looked up the next need not ask for."""
    asked: list[str] = []

    def look_up(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    names = Resolver(look_up)
    for _ in range(2):
        provider = build_provider("http://name.test", private_networks=("127.0.0.1/32",))
        transport = open_transport(provider, names)
        with pytest.raises(UpstreamUnreachable):
            await transport.open(build_request(loopback_port, host="name.test"), RecordingSink())
        await transport.close()
    assert asked == ["name.test"]
