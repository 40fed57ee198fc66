"""What every connection over TLS goes by: a verified certificate, its name, HTTP/1.1."""

import ssl
from functools import cache


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
