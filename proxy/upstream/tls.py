"""What every connection over TLS goes by: a verified certificate, its name, HTTP/1.1."""

import ssl
import time
from functools import cache

from proxy.domain.errors import UpstreamTlsError

CA_AGAIN_S = 10.0
"""A `ca_file` that could not be read is not looked at again for so long: each look takes 20 ms."""


@cache
def build_context(ca_file: str | None = None) -> ssl.SSLContext:
    """
    Return the context of connections to providers; one for each `ca_file`, as it takes 20 ms.

    The system's authorities are trusted, or those that SSL_CERT_FILE and SSL_CERT_DIR name in
    the environment as the process begins to connect, and besides those in `ca_file` (PEM).

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
    """Whom one provider's certificates may be of; a file that cannot be read is remembered."""

    def __init__(self, ca_file: str | None) -> None:
        self._ca_file = ca_file
        self._failed_s = float("-inf")

    def find_context(self) -> ssl.SSLContext:
        """
        Return the context of the provider's connections.

        Raises:
            UpstreamTlsError: its `ca_file` cannot be read, or holds no certificate.
        """
        detail = "the provider's ca_file cannot be read, or holds no certificate"
        if time.monotonic() - self._failed_s < CA_AGAIN_S:
            raise UpstreamTlsError(detail=detail)
        try:
            return build_context(self._ca_file)
        except (OSError, ValueError) as error:
            self._failed_s = time.monotonic()
            raise UpstreamTlsError(detail=detail) from error
