"""Why no connection could be made, in the words of this house."""

import errno
import ssl

import pytest

from proxy.domain.errors import (
    UpstreamAddressRefused,
    UpstreamNotDialled,
    UpstreamTlsError,
    UpstreamUnreachable,
)
from proxy.upstream.dial_faults import (
    AddressRefused,
    describe_dial,
    describe_handshake,
    describe_lookup,
)
from proxy.upstream.resolver import NameServersSilent, NobodyAsked, ResolutionFailed


@pytest.mark.parametrize(
    ("cause", "kind", "code"),
    [
        (OSError(errno.ECONNREFUSED, "no"), UpstreamUnreachable, "upstream_unreachable"),
        (OSError(errno.EMFILE, "no"), UpstreamNotDialled, "upstream_not_dialled"),
        (OSError(errno.ENETUNREACH, "no"), UpstreamUnreachable, "upstream_network_down"),
        (
            OSError("Multiple exceptions: [Errno 101] a, [Errno 113] b"),
            UpstreamUnreachable,
            "upstream_network_down",
        ),
        (
            OSError("Multiple exceptions: [Errno 101] a, [Errno 111] b"),
            UpstreamUnreachable,
            "upstream_unreachable",
        ),
        (OSError("no number"), UpstreamUnreachable, "upstream_unreachable"),
        (AddressRefused("10.0.0.1 is"), UpstreamAddressRefused, "upstream_address_refused"),
    ],
)
def test_a_dial_that_failed(cause: OSError, kind: type[Exception], code: str) -> None:
    """What this machine lacks, a network that is not there and a refusal are told apart."""
    error = describe_dial(cause)
    assert (type(error), error.code) == (kind, code)


def test_details_name_what_the_system_said_and_nothing_else() -> None:
    """The detail is the system's words for each number, never the text with its addresses."""
    error = describe_dial(OSError("Multiple: [Errno 111] 10.0.0.1, [Errno 113] 10.0.0.2"))
    assert error.detail == "Connection refused, No route to host"
    assert describe_dial(AddressRefused("10.0.0.1 is not public")).detail == (
        "10.0.0.1 is not public"
    )


@pytest.mark.parametrize(
    ("failure", "kind", "code"),
    [
        (ResolutionFailed("none"), UpstreamUnreachable, "upstream_dns"),
        (NameServersSilent("none"), UpstreamUnreachable, "upstream_network_down"),
        (NobodyAsked("none"), UpstreamNotDialled, "upstream_not_dialled"),
    ],
)
def test_a_name_without_address(
    failure: ResolutionFailed, kind: type[Exception], code: str
) -> None:
    """No such name, no name server and no thread to ask one are three things."""
    error = describe_lookup(failure)
    assert (type(error), error.code, error.detail) == (kind, code, "none")


def test_a_handshake_tells_what_was_wrong_with_the_certificate() -> None:
    """OpenSSL's own words are the detail; for an unknown authority it names the setting too."""
    refusal = ssl.SSLCertVerificationError(1, "[SSL] x")
    refusal.verify_code, refusal.verify_message = 10, "certificate has expired"
    assert describe_handshake(refusal).detail == "certificate has expired"
    refusal.verify_code, refusal.verify_message = 20, "unable to get local issuer certificate"
    assert describe_handshake(refusal).detail == (
        "unable to get local issuer certificate; "
        "an authority of your own goes into the provider's ca_file"
    )


def _ssl_error(reason: str | None) -> ssl.SSLError:
    error = ssl.SSLError(1, "[SSL] bytes of the peer")
    error.reason = reason  # type: ignore[assignment]
    return error


@pytest.mark.parametrize(
    ("cause", "detail"),
    [
        (_ssl_error("WRONG_VERSION_NUMBER"), "what answers there is not TLS: http:// in base_url?"),
        (_ssl_error("TLSV1_ALERT_PROTOCOL_VERSION"), "tlsv1 alert protocol version"),
        (ConnectionResetError(errno.ECONNRESET, "10.0.0.1"), "Connection reset by peer"),
        (ConnectionResetError(), "the connection was closed in the handshake"),
        (_ssl_error(None), "the connection was closed in the handshake"),
    ],
)
def test_a_handshake_that_came_to_nothing(cause: OSError, detail: str) -> None:
    """Something that is not TLS, an alert and a peer that hung up are told apart."""
    error = describe_handshake(cause)
    assert isinstance(error, UpstreamTlsError)
    assert error.detail == detail
