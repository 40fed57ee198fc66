"""Opens the transport that a provider's configuration names."""

from proxy.domain.catalog import Provider
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
    resolver = resolver or Resolver()
    # Here and not above: a worker loads the one that it uses.
    if provider.transport == "aiohttp":
        from proxy.upstream.aiohttp_transport import AiohttpTransport

        return AiohttpTransport(provider, resolver, shared_cap)
    from proxy.upstream.httptools_transport import HttptoolsTransport

    return HttptoolsTransport(provider, resolver, shared_cap)
