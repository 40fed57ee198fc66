"""Opens the transport that a provider's configuration names."""

from proxy.domain.catalog import Provider
from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.base import Transport


def open_transport(provider: Provider) -> Transport:
    """Return a new transport to a provider that is reached over HTTP."""
    return AiohttpTransport(provider.pool)
