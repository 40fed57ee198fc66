"""A request that costs no tokens, by which is learned how a provider is."""

from collections.abc import Mapping

from proxy.domain.catalog import Provider
from proxy.domain.exchange import OutboundRequest
from proxy.domain.settings import Clocks
from proxy.providers.headers import build_headers


def build_free_probe(
    provider: Provider,
    url: str,
    key_header: tuple[str, str] | None,
    clocks: Clocks,
    more: Mapping[str, str] | None = None,
) -> OutboundRequest:
    """
    Return a GET of `url`, which has no body.

    Args:
        provider: whom to ask.
        url: what is asked.
        key_header: see `build_headers`.
        clocks: of the request.
        more: headers of the provider's dialect.
    """
    headers = build_headers(provider, key_header, more or {}, streams=False)
    headers.pop("Content-Type", None)
    return OutboundRequest(
        provider=provider.name,
        method="GET",
        url=url,
        headers=headers,
        body=b"",
        streams=False,
        clocks=clocks,
        pool=provider.pool,
    )
