"""What aiohttp's connections raise -> the errors of this house, with a detail for the log."""

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from proxy.domain.errors import (
    UpstreamDisconnected,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamTlsError,
    UpstreamUnreachable,
)
from proxy.upstream.aiohttp_pool import DialTimeout
from proxy.upstream.aiohttp_tunnel import THE_PROXY, ProxyRefused
from proxy.upstream.dial_faults import describe_dial, describe_handshake, describe_lookup
from proxy.upstream.resolver import ResolutionFailed

_PROXY_REFUSED = "The provider could not be reached: the proxy in front of it lets nothing through."


def describe_fault(
    error: aiohttp.ClientError | HttpProcessingError | ResolutionFailed,
) -> UpstreamError:
    """Return our word for what was raised before the head was complete."""
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch):
        refusal = getattr(error, "os_error", None)
        return UpstreamTlsError() if refusal is None else describe_handshake(refusal)
    if isinstance(error, DialTimeout):
        return UpstreamTimeout(code=error.code)
    if isinstance(error, ResolutionFailed):
        return describe_lookup(error)
    if isinstance(error, ProxyRefused):
        detail = error.detail
        return UpstreamUnreachable(_PROXY_REFUSED, code="upstream_proxy_refused", detail=detail)
    if isinstance(error, aiohttp.ClientConnectorError):
        fault = describe_dial(error.os_error)
        if isinstance(error, aiohttp.ClientProxyConnectionError):
            fault.detail = f"{THE_PROXY}: {fault.detail or 'nobody answers'}"
        return fault
    if isinstance(error, aiohttp.InvalidURL):
        return UpstreamUnreachable()
    if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError):
        return UpstreamDisconnected()
    return UpstreamProtocolError()


def describe_break(error: BaseException) -> UpstreamError:
    """Return our word for what ended a body before its end."""
    is_junk = isinstance(error, HttpProcessingError)
    return UpstreamProtocolError() if is_junk else UpstreamDisconnected()
