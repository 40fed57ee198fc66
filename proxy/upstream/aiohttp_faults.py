"""What aiohttp's connections raise -> the errors of this house, with a detail for the log."""

import errno
import os

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from proxy.domain.errors import (
    UpstreamAddressRefused,
    UpstreamDisconnected,
    UpstreamError,
    UpstreamNotDialled,
    UpstreamPoolFull,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamTlsError,
    UpstreamUnreachable,
)
from proxy.upstream.aiohttp_pool import AddressRefused, DialTimeout, PoolFull
from proxy.upstream.resolver import ResolutionFailed

_OUR_OWN = frozenset((errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM))
"""What this machine is out of, files, ports or memory, no provider can be blamed for."""
_NO_ADDRESS = "The provider could not be reached: no address was found for its host name."


def describe_fault(
    error: aiohttp.ClientError | HttpProcessingError | ResolutionFailed,
) -> UpstreamError:
    """Return our word for what was raised before the head was complete."""
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch):
        refusal = getattr(error, "os_error", None)
        # OpenSSL's words, such as "certificate has expired"; nothing of what the provider sent.
        return UpstreamTlsError(detail=getattr(refusal, "verify_message", None))
    if isinstance(error, DialTimeout):
        return UpstreamTimeout(code=error.code)
    if isinstance(error, PoolFull):
        return UpstreamPoolFull()
    if isinstance(error, ResolutionFailed):
        return UpstreamUnreachable(_NO_ADDRESS, code="upstream_dns", detail=str(error))
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        if isinstance(cause, AddressRefused):
            return UpstreamAddressRefused(detail=cause.detail)
        if cause.errno in _OUR_OWN:
            return UpstreamNotDialled(detail=os.strerror(cause.errno))
        return UpstreamUnreachable(detail=os.strerror(cause.errno) if cause.errno else None)
    if isinstance(error, aiohttp.InvalidURL):
        return UpstreamUnreachable()
    if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError):
        return UpstreamDisconnected()
    return UpstreamProtocolError()


def describe_break(error: BaseException) -> UpstreamError:
    """Return our word for what ended a body before its end."""
    is_junk = isinstance(error, HttpProcessingError)
    return UpstreamProtocolError() if is_junk else UpstreamDisconnected()
