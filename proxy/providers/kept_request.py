"""Requests about responses that a provider keeps: its address, its key, and an id."""

from typing import Protocol, runtime_checkable

from proxy.domain.catalog import Provider
from proxy.domain.exchange import OutboundRequest
from proxy.providers.headers import build_headers


@runtime_checkable
class ResponseKeeper(Protocol):
    """A ProviderType (see `providers/base.py`) whose providers keep what they have answered."""

    def build_kept_request(
        self, provider: Provider, method: str, path: str, query: str
    ) -> OutboundRequest:
        """
        Return the request about a response that a provider keeps.

        Args:
            provider: who keeps it.
            method: GET or DELETE.
            path: behind that of all responses, such as `/resp_1/input_items`; safe as it is.
            query: without its `?`, safe as it is; "" is none.

        Source: wire-formats §2.7.
        """


def build_bare_request(
    provider: Provider, method: str, url: str, query: str, key_header: tuple[str, str] | None
) -> OutboundRequest:
    """Return a request without a body to an address that may have a query already."""
    if query:
        url += ("&" if "?" in url else "?") + query
    headers = build_headers(provider, key_header, {}, streams=False)
    headers.pop("Content-Type", None)
    return OutboundRequest(
        provider=provider.name,
        method=method,
        url=url,
        headers=headers,
        body=b"",
        streams=False,
        clocks=provider.clocks,
        pool=provider.pool,
    )
