"""Every fault of a connection gets our word; what only an operator may read is its detail."""

import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError

from proxy.upstream.aiohttp_faults import describe_break, describe_fault
from proxy.upstream.aiohttp_pool import DialTimeout
from proxy.upstream.aiohttp_tunnel import ProxyRefused
from proxy.upstream.dial_faults import AddressRefused
from proxy.upstream.resolver import NameServersSilent, NobodyAsked, ResolutionFailed

KEY = ConnectionKey("llm.test", 443, True, True, None, None, None)


def _refused_certificate() -> aiohttp.ClientConnectorSSLError:
    error = ssl.SSLCertVerificationError(1, "text")
    error.verify_message = "certificate has expired"
    return aiohttp.ClientConnectorSSLError(KEY, error)


@pytest.mark.parametrize(
    ("fault", "code", "detail"),
    [
        (_refused_certificate(), "upstream_tls_error", "certificate has expired"),
        (aiohttp.ServerFingerprintMismatch(b"", b"", "h", 1), "upstream_tls_error", None),
        (
            aiohttp.ClientConnectorSSLError(KEY, ConnectionResetError(104, "at 10.0.0.5")),
            "upstream_tls_error",
            "Connection reset by peer",
        ),
        (DialTimeout("upstream_connect_timeout"), "upstream_connect_timeout", None),
        (ResolutionFailed("no addresses"), "upstream_dns", "no addresses"),
        (NameServersSilent("no answer in time"), "upstream_network_down", "no answer in time"),
        (NobodyAsked("no thread"), "upstream_not_dialled", "no thread"),
        (
            aiohttp.ClientConnectorError(KEY, AddressRefused("10.0.0.5 is not public")),
            "upstream_address_refused",
            "10.0.0.5 is not public",
        ),
        (
            aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "at 10.0.0.5")),
            "upstream_unreachable",
            "Connection refused",
        ),
        (
            aiohttp.ClientConnectorError(KEY, OSError(errno.EMFILE, "at 10.0.0.5")),
            "upstream_not_dialled",
            "Too many open files",
        ),
        (
            aiohttp.ClientConnectorError(KEY, OSError(errno.EHOSTUNREACH, "at 10.0.0.5")),
            "upstream_network_down",
            "No route to host",
        ),
        (
            aiohttp.ClientConnectorError(KEY, OSError("[Errno 101] at ::1, [Errno 111] at 1.2")),
            "upstream_unreachable",
            "Network is unreachable, Connection refused",
        ),
        (aiohttp.ClientConnectorError(KEY, OSError("several")), "upstream_unreachable", None),
        (
            ProxyRefused("the outgoing proxy answered 407"),
            "upstream_proxy_refused",
            "the outgoing proxy answered 407",
        ),
        (
            aiohttp.ClientProxyConnectionError(KEY, ConnectionRefusedError(111, "at 10.0.0.5")),
            "upstream_unreachable",
            "the outgoing proxy: Connection refused",
        ),
        (
            aiohttp.ClientProxyConnectionError(KEY, OSError("several")),
            "upstream_unreachable",
            "the outgoing proxy: nobody answers",
        ),
        (aiohttp.InvalidURL("http://"), "upstream_unreachable", None),
        (aiohttp.ServerDisconnectedError(), "upstream_disconnected", None),
        (aiohttp.ClientPayloadError(), "upstream_disconnected", None),
        (BadHttpMessage("junk"), "upstream_protocol_error", None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_faults_before_the_head(
    fault: aiohttp.ClientError | HttpProcessingError | ResolutionFailed,
    code: str,
    detail: str | None,
) -> None:
    """Each has its code, and its reason in the detail where one is known."""
    error = describe_fault(fault)
    assert (error.code, error.detail) == (code, detail)


def test_name_servers_are_quoted() -> None:
    """The detail of a failed look-up tells a denial from silence."""
    denial = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    detail = describe_fault(ResolutionFailed(str(denial))).detail
    assert detail is not None
    assert "Name or service not known" in detail


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (BadHttpMessage("junk"), "upstream_protocol_error"),
        (ConnectionResetError(), "upstream_disconnected"),
    ],
)
def test_what_breaks_a_body(fault: BaseException, code: str) -> None:
    """Junk is a fault of the protocol, everything else a connection that has gone."""
    assert describe_break(fault).code == code
