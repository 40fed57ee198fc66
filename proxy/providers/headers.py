"""The head of a request to a provider, alike for all types."""

from collections.abc import Mapping

from proxy.domain.catalog import Provider
from proxy.version import __version__

AUTHORIZATION = "Authorization"
EVENT_STREAM = "text/event-stream"
"""The media type of the streams of nearly all of them."""
_USER_AGENT = f"llm-proxy-api/{__version__}"


def build_key_header(provider: Provider, name: str) -> tuple[str, str] | None:
    """Return the header that a provider's key goes into, None where it has none."""
    if provider.api_key is None:
        return None
    key = provider.api_key.reveal()
    is_bearer = provider.auth == "bearer" or name == AUTHORIZATION
    return (AUTHORIZATION, f"Bearer {key}") if is_bearer else (name, key)


def build_headers(
    provider: Provider,
    key_header: tuple[str, str] | None,
    more: Mapping[str, str],
    *,
    streams: bool,
) -> dict[str, str]:
    """
    Return all headers of a request but Host and Content-Length, built from nothing.

    Args:
        provider: whose own `headers` win over all others, however their names are written.
        key_header: name and value of the header that its key goes into; None: it has none.
        more: those of a trace, or of the provider's dialect.
        streams: the answer is to be an event stream.
    """
    headers = {
        "Content-Type": "application/json",
        "Accept": EVENT_STREAM if streams else "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": _USER_AGENT,
        **more,
    }
    if key_header is not None:
        name, value = key_header
        headers[name] = value
    if not provider.headers:
        return headers
    # None is sent twice.
    own = {name.lower() for name in provider.headers}
    kept = {name: value for name, value in headers.items() if name.lower() not in own}
    return {**kept, **provider.headers}
