"""Opens the transport that a provider's configuration names."""

from proxy.domain.catalog import Provider
from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.base import Transport
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.resolver import Resolver


def open_transport(
    provider: Provider, resolver: Resolver | None = None, shared_cap: ConnectionCap | None = None
) -> Transport:
    """
    Return a new transport to a provider that is reached over HTTP.

    All transports of a worker share one `resolver`, and one `shared_cap` if there is one.
    """
    return AiohttpTransport(provider, resolver or Resolver(), shared_cap)
