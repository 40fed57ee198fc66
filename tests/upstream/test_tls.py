"""What connections over TLS ask for, whichever transport makes them."""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.domain.errors import UpstreamTlsError
from proxy.upstream import tls
from proxy.upstream.tls import Trust, build_context, find_fault

CA = Path(__file__).parents[1] / "fakes" / "tls" / "ca.pem"
OTHER = CA.with_name("other_name.pem")
_AUTHORITY = "test authority"


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


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    """The next connection goes by what the file says now; what has not changed is not read."""
    path = tmp_path / "ca.pem"
    path.write_bytes(OTHER.read_bytes())
    trust = Trust(str(path))
    before = trust.find_context()
    assert trust.find_context() is before
    assert _AUTHORITY not in str(before.get_ca_certs())
    path.write_bytes(CA.read_bytes())
    assert _AUTHORITY in str(trust.find_context().get_ca_certs())
    path.write_bytes(OTHER.read_bytes())
    assert _AUTHORITY not in str(trust.find_context().get_ca_certs())


def test_providers_share_what_they_trust() -> None:
    """Two providers with one `ca_file` have one context, as have those without."""
    assert Trust(str(CA)).find_context() is Trust(str(CA)).find_context()
    assert Trust(None).find_context() is build_context()


def test_while_a_file_cannot_be_read_what_it_said_holds(tmp_path: Path) -> None:
    """A file that is being replaced, or has gone, fails no connection of who has read it."""
    path = tmp_path / "ca.pem"
    path.write_bytes(CA.read_bytes())
    trust = Trust(str(path))
    before = trust.find_context()
    path.write_bytes(b"")
    assert trust.find_context() is before
    path.unlink()
    assert trust.find_context() is before


def test_a_file_that_could_not_be_read_mends_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then the error names the file and the reason; then a connection can be made."""
    # What has changed is looked at again at once.
    monkeypatch.setattr(tls, "CA_AGAIN_S", float("inf"))
    path = tmp_path / "ca.pem"
    trust = Trust(str(path))
    with pytest.raises(UpstreamTlsError) as caught:
        trust.find_context()
    assert caught.value.detail == f"the provider's ca_file '{path}': No such file or directory"
    path.write_bytes(CA.read_bytes()[:100])
    with pytest.raises(UpstreamTlsError):
        trust.find_context()
    path.write_bytes(CA.read_bytes())
    assert trust.find_context().get_ca_certs()


def test_why_a_file_is_no_good(tmp_path: Path) -> None:
    """The reason is the system's, and the path is not in it; a pipe is not waited for."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert find_fault(str(CA)) is None
    assert find_fault(str(tmp_path / "none.pem")) == "No such file or directory"
    assert find_fault(str(tmp_path)) == "Is a directory"
    assert find_fault(str(CA.with_name("server.key"))) == "no certificate or crl found"
    assert find_fault(str(pipe)) == "it cannot be read"
