"""What aiohttp's connections raise -> the errors of this house, with a detail for the log."""

import errno
import os
import re

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
from proxy.upstream.resolver import NameServersSilent, NobodyAsked, ResolutionFailed

_OUR_OWN = frozenset((errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM))
"""What this machine is out of, files, ports or memory, no provider can be blamed for."""
_NO_NETWORK = frozenset((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN))
"""Nothing was let through, and so nothing came back: this machine may be cut off."""
_NETWORK_DOWN = (
    "The provider could not be reached: this server has no network to it, "
    "or no name server that knows its host."
)
_ERRNO = re.compile(r"\[Errno (\d+)\]")
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
        return _describe_lookup(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _describe_dial(error.os_error)
    if isinstance(error, aiohttp.InvalidURL):
        return UpstreamUnreachable()
    if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError):
        return UpstreamDisconnected()
    return UpstreamProtocolError()


def describe_break(error: BaseException) -> UpstreamError:
    """Return our word for what ended a body before its end."""
    is_junk = isinstance(error, HttpProcessingError)
    return UpstreamProtocolError() if is_junk else UpstreamDisconnected()


def _describe_lookup(error: ResolutionFailed) -> UpstreamError:
    detail = str(error)
    if isinstance(error, NobodyAsked):
        return UpstreamNotDialled(detail=detail)
    if isinstance(error, NameServersSilent):
        return _tell_network_down(detail)
    return UpstreamUnreachable(_NO_ADDRESS, code="upstream_dns", detail=detail)


def _describe_dial(cause: OSError) -> UpstreamError:
    if isinstance(cause, AddressRefused):
        return UpstreamAddressRefused(detail=cause.detail)
    numbers = _read_numbers(cause)
    detail = ", ".join(os.strerror(number) for number in numbers) or None
    if numbers and _OUR_OWN.issuperset(numbers):
        return UpstreamNotDialled(detail=detail)
    if numbers and (_NO_NETWORK | _OUR_OWN).issuperset(numbers):
        return _tell_network_down(detail)
    return UpstreamUnreachable(detail=detail)


def _tell_network_down(detail: str | None) -> UpstreamUnreachable:
    return UpstreamUnreachable(_NETWORK_DOWN, code="upstream_network_down", detail=detail)


def _read_numbers(cause: OSError) -> list[int]:
    """Return the numbers of what went wrong; of several addresses, each that is different."""
    if cause.errno is not None:
        return [cause.errno]
    # Addresses that fail in different ways are raised as one error, whose text lists them.
    return sorted({int(number) for number in _ERRNO.findall(str(cause))})
