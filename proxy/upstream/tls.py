"""What every connection over TLS goes by: a verified certificate, its name, HTTP/1.1."""

import asyncio
import os
import ssl
import stat
import time
from functools import lru_cache

from proxy.domain.errors import UpstreamTlsError

CA_AGAIN_S = 10.0
"""A `ca_file` that is no good is not read again for so long, unless it changes: it takes 20 ms."""
_MAX_SHARED = 64
"""Contexts that providers share: those of old contents of a `ca_file` are let go of in time."""

Version = tuple[int, int, int, int]
"""Differs when a file's content does: its times, its size, and which file it is."""


@lru_cache(_MAX_SHARED)
def build_context(ca_file: str | None = None, version: Version | None = None) -> ssl.SSLContext:
    """
    Return the context of connections to providers; shared, as it takes 20 ms.

    The system's authorities are trusted, or those that SSL_CERT_FILE and SSL_CERT_DIR name in
    the environment as the process begins to connect, and besides those in `ca_file` (PEM).

    Args:
        ca_file: its path.
        version: which content of it is meant.

    Raises:
        OSError: `ca_file` cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Without a word some servers choose HTTP/2.
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


class Trust:
    """Whom one provider's certificates may be of; its `ca_file` is read anew when it changes."""

    def __init__(self, ca_file: str | None) -> None:
        self._ca_file = ca_file
        self._version: Version | None = None
        self._context: ssl.SSLContext | None = None
        self._failed: Version | None = None
        self._failed_s = float("-inf")
        self._reason = ""

    def find_context(self) -> ssl.SSLContext:
        """
        Return the context of the provider's next connection.

        While a file cannot be read that could be before, what it said then holds.

        Raises:
            UpstreamTlsError: its `ca_file` cannot be read, or holds no certificate.
        """
        if self._ca_file is None:
            return build_context()
        version = None
        try:
            version = _read_version(self._ca_file)
            is_another = self._context is None or version != self._version
            if is_another and not self._has_just_failed(version):
                self._context = build_context(self._ca_file, version)
                self._version = version
        except (OSError, ValueError) as error:
            self._failed, self._failed_s = version, time.monotonic()
            self._reason = tell_reason(error) or "it cannot be read"
        if self._context is None:
            detail = f"the provider's ca_file {self._ca_file!r}: {self._reason}"
            raise UpstreamTlsError(detail=detail)
        return self._context

    def _has_just_failed(self, version: Version) -> bool:
        return version == self._failed and time.monotonic() - self._failed_s < CA_AGAIN_S


async def shake_hands(
    tcp: asyncio.Transport,
    protocol: asyncio.Protocol,
    context: ssl.SSLContext,
    host: str,
    within_s: float,
) -> asyncio.Transport:
    """
    Speak TLS with a host over a connection; return what `protocol` is to write to from then on.

    Not by `create_connection`: cancelled in the turn in which a handshake ends, asyncio's lets
    TCP's transport live on, and uvloop's complains in the log. And nobody else could tell what of
    a request is still unsent. Whatever goes wrong, and a cancellation too, cuts the connection.

    Args:
        tcp: the connection, over which nothing was said yet.
        protocol: who is told what comes; not that it is connected.
        context: see `Trust`.
        host: whom the certificate must name.
        within_s: the clock that the caller sets.

    Raises:
        OSError: the handshake failed, or the connection was closed before its end.
    """
    try:
        if tcp.is_closing():
            raise ConnectionResetError("it was closed before the handshake")
        secured = await asyncio.get_running_loop().start_tls(
            tcp,
            protocol,
            context,
            # Certificates name hosts without the dot that ends a full name.
            server_hostname=host.removesuffix("."),
            # The caller's clock, never the loop's own, which may be the shorter one.
            ssl_handshake_timeout=within_s + 60.0,
        )
        if secured is None:
            raise ConnectionResetError("it was closed as the handshake ended")
    except BaseException:  # also a cancelled request leaves no connection
        tcp.abort()
        raise
    return secured


def count_unsent_bytes(transport: asyncio.Transport, tcp: asyncio.Transport | None) -> int:
    """Return what of a request waits here: TLS does not count what it gave to TCP, below it."""
    below_bytes = 0 if tcp is None or tcp is transport else tcp.get_write_buffer_size()
    return below_bytes + transport.get_write_buffer_size()


def find_fault(ca_file: str) -> str | None:
    """Return why nothing can be trusted by a file, in the system's words; None if it is good."""
    try:
        _read_version(ca_file)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=ca_file)
    except (OSError, ValueError) as error:
        return tell_reason(error) or "it cannot be read"
    return None


def tell_reason(error: Exception) -> str | None:
    """Return the system's or OpenSSL's word for what went wrong: no path, nothing of a peer's."""
    if isinstance(error, ssl.SSLError):
        # One that Python itself raises has none.
        reason: str | None = getattr(error, "reason", None)
        return reason.replace("_", " ").lower() if reason else None
    number = error.errno if isinstance(error, OSError) else None
    return None if number is None else os.strerror(number)


def _read_version(path: str) -> Version:
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        # To open a pipe waits for whoever writes to it.
        raise ValueError("no regular file")
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
