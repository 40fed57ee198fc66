"""What a transport's pool holds just now, whichever transport it is."""

from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.base import Transport
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.httptools_transport import HttptoolsTransport


def list_caps(transport: Transport) -> tuple[ConnectionCap, ...]:
    """Return the caps under which a transport's connections are."""
    assert isinstance(transport, AiohttpTransport | HttptoolsTransport)
    return transport._pool._caps._caps


def count_free_slots(transport: Transport) -> int:
    """Return how many connections may still be taken, all caps together."""
    return sum(cap._free for cap in list_caps(transport))


def count_busy(transport: Transport) -> int:
    """Return how many connections are in use."""
    if isinstance(transport, AiohttpTransport):
        return len(transport._pool._pooled._acquired)
    assert isinstance(transport, HttptoolsTransport)
    return len(transport._pool._busy)


def is_over_http(transport: Transport) -> bool:
    """Tell whether a transport has a pool at all."""
    return isinstance(transport, AiohttpTransport | HttptoolsTransport)
