"""Certificates of `tests/fakes/tls` that this machine trusts while a test runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.upstream.tls import build_context

CERTIFICATES = Path(__file__).parent / "tls"

Trust = Callable[[str], None]
"""Makes a certificate, by the name of its file, one that this machine trusts."""


@contextmanager
def trusting(patch: pytest.MonkeyPatch) -> Iterator[Trust]:
    """Give what does to the transports as SSL_CERT_FILE does to a process that starts with it."""

    def trust(certificate: str) -> None:
        patch.setenv("SSL_CERT_FILE", str(CERTIFICATES / certificate))
        build_context.cache_clear()

    try:
        yield trust
    finally:
        # What was built meanwhile must serve nobody else.
        build_context.cache_clear()
