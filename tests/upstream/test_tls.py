"""What connections over TLS ask for, whichever transport makes them."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.upstream.tls import build_context

CA = Path(__file__).parents[1] / "fakes" / "tls" / "ca.pem"


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    build_context.cache_clear()
    yield
    build_context.cache_clear()


@pytest.mark.parametrize("ca_file", [None, str(CA)])
def test_certificates_are_always_verified(ca_file: str | None) -> None:
    """A certificate, its name and TLS 1.2 are asked for, with an authority of one's own too."""
    context = build_context(ca_file)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_an_authority_of_ones_own_is_trusted_besides_the_systems() -> None:
    """`ca_file` adds its certificates; for another provider nothing changes."""
    ours, theirs = build_context(str(CA)), build_context()
    assert len(ours.get_ca_certs()) == len(theirs.get_ca_certs()) + 1
    assert build_context() is theirs


def test_a_file_without_certificates_is_an_error(tmp_path: Path) -> None:
    """A file that is not there or holds none raises OSError, and is read again next time."""
    path = tmp_path / "ca.pem"
    for _ in range(2):
        with pytest.raises(OSError):
            build_context(str(path))
        path.write_text("nothing")
    path.write_bytes(CA.read_bytes())
    assert build_context(str(path)).get_ca_certs()
