"""What went wrong while a connection was made -> the errors of this house."""

import errno
import os
import re
import ssl

from proxy.domain.errors import (
    UpstreamAddressRefused,
    UpstreamError,
    UpstreamNotDialled,
    UpstreamTlsError,
    UpstreamUnreachable,
)
from proxy.upstream.resolver import NameServersSilent, NobodyAsked, ResolutionFailed
from proxy.upstream.tls import tell_reason

_OUR_OWN = frozenset((errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM))
"""What this machine is out of, files, ports or memory, no provider can be blamed for."""
_NO_NETWORK = frozenset((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN))
"""Nothing was let through, and so nothing came back: this machine may be cut off."""
_NETWORK_DOWN = (
    "The provider could not be reached: this server has no network to it, "
    "or no name server that knows its host."
)
_ERRNO = re.compile(r"\[Errno (\d+)\]")
_UNKNOWN_AUTHORITY = frozenset((2, 18, 19, 20, 21))
"""OpenSSL's numbers for a certificate that is of nobody who is trusted, or of itself."""
_OWN_AUTHORITY = "an authority of your own goes into the provider's ca_file"
_NOT_TLS = frozenset(("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"))
"""What OpenSSL says of bytes that are of another protocol."""
_NO_ADDRESS = "The provider could not be reached: no address was found for its host name."


class AddressRefused(OSError):
    """The guard let an address not pass; an OSError, so that the next address is tried."""

    def __init__(self, detail: str | None) -> None:
        # Always the same words: who dials raises the first as it is if all that failed read alike.
        super().__init__("the address is not one of this provider's")
        self.detail = detail


def describe_lookup(error: ResolutionFailed) -> UpstreamError:
    """Return our word for a name that has no address."""
    detail = str(error)
    if isinstance(error, NobodyAsked):
        return UpstreamNotDialled(detail=detail)
    if isinstance(error, NameServersSilent):
        return _tell_network_down(detail)
    return UpstreamUnreachable(_NO_ADDRESS, code="upstream_dns", detail=detail)


def describe_dial(cause: OSError) -> UpstreamError:
    """Return our word for a host at none of whose addresses anybody was reached."""
    if isinstance(cause, AddressRefused):
        return UpstreamAddressRefused(detail=cause.detail)
    numbers = _read_numbers(cause)
    detail = ", ".join(os.strerror(number) for number in numbers) or None
    if numbers and _OUR_OWN.issuperset(numbers):
        return UpstreamNotDialled(detail=detail)
    if numbers and (_NO_NETWORK | _OUR_OWN).issuperset(numbers):
        return _tell_network_down(detail)
    return UpstreamUnreachable(detail=detail)


def describe_handshake(cause: Exception) -> UpstreamTlsError:
    """Return our word for a handshake that failed, also where the peer just hung up."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        # OpenSSL's words, such as "certificate has expired"; nothing of what the provider sent.
        detail = getattr(cause, "verify_message", None)
        if detail and getattr(cause, "verify_code", None) in _UNKNOWN_AUTHORITY:
            detail = f"{detail}; {_OWN_AUTHORITY}"
    elif isinstance(cause, ssl.SSLError) and getattr(cause, "reason", None) in _NOT_TLS:
        detail = "what answers there is not TLS: http:// in base_url?"
    else:
        detail = tell_reason(cause) or "the connection was closed in the handshake"
    return UpstreamTlsError(detail=detail)


def _tell_network_down(detail: str | None) -> UpstreamUnreachable:
    return UpstreamUnreachable(_NETWORK_DOWN, code="upstream_network_down", detail=detail)


def _read_numbers(cause: OSError) -> list[int]:
    """Return the numbers of what went wrong; of several addresses, each that is different."""
    if cause.errno is not None:
        return [cause.errno]
    # Addresses that fail in different ways are raised as one error, whose text lists them.
    return sorted({int(number) for number in _ERRNO.findall(str(cause))})
