"""Providers behind an outgoing proxy: through a tunnel for https, by absolute URLs for http."""

import asyncio

import pytest

from proxy.domain.errors import (
    UpstreamAddressRefused,
    UpstreamError,
    UpstreamTimeout,
    UpstreamTlsError,
    UpstreamUnreachable,
)
from proxy.domain.exchange import OutboundRequest
from proxy.domain.secret import Secret
from proxy.upstream.aiohttp_tunnel import MAX_HEAD_BYTES, ProxyRefused, TunnelRequest
from proxy.upstream.base import Transport
from proxy.upstream.resolver import Resolver
from tests.canaries import KEY_MARK
from tests.fakes.forward_proxy import CREDENTIALS, LOGIN, ForwardProxy, open_forward_proxy
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.fakes.tls_relay import AUTHORITY
from tests.fakes.trust import Trust
from tests.faults.fault_upstream import build_server_tls, open_black_hole
from tests.upstream.asking import Transports, build_request, fetch, take_turns
from tests.upstream.contract_cancel import CancelContract
from tests.upstream.contract_dial import answer_all
from tests.upstream.contract_distrust import DistrustContract
from tests.upstream.contract_endings import EndingsContract
from tests.upstream.contract_exchange import ExchangeContract
from tests.upstream.contract_retire import RetireContract
from tests.upstream.contract_reuse import ReuseContract
from tests.upstream.contract_tls import TlsContract
from tests.upstream.guard_vectors import ADDRESSES, HOSTS

pytestmark = pytest.mark.usefixtures("no_leaks")

PUBLIC_URL = "https://api.provider.test/v1"
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"
CLOSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"


async def fail(transport: Transport, request: OutboundRequest) -> UpstreamError:
    """Return the error that a request ends with before the head of its answer."""
    with pytest.raises(UpstreamError) as caught:
        await transport.open(request, RecordingSink())
    told = f"{caught.value!r} {caught.value} {caught.value.detail} {caught.value.__cause__!r}"
    assert KEY_MARK not in told
    assert CREDENTIALS.removeprefix("Basic ") not in told
    return caught.value


@pytest.fixture
def transports(proxied: Transports) -> Transports:
    """Opens transports that go through the proxy."""
    return proxied


@pytest.fixture
async def transport(transports: Transports) -> Transport:
    """A transport to 127.0.0.1 with default limits, through the proxy."""
    return transports.open()


class TestBehindAProxy(
    ExchangeContract,
    EndingsContract,
    ReuseContract,
    RetireContract,
    DistrustContract,
    TlsContract,
    CancelContract,
):
    """What every transport promises holds through a proxy too."""


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_asks_who_we_are(transports: Transports, scheme: str) -> None:
    """407 is `upstream_proxy_refused`, over http and over https, and closes the connection."""
    async with open_forward_proxy(credentials=CREDENTIALS) as proxy:
        transport = transports.open(proxy=Secret(proxy.url), base_url=f"{scheme}://127.0.0.1")
        error = await fail(transport, build_request(9, scheme=scheme))
        assert isinstance(error, UpstreamUnreachable)
        assert error.code == "upstream_proxy_refused"
        assert error.detail is not None
        assert error.detail.startswith("the outgoing proxy answered 407")
        await proxy.is_idle.wait()


async def test_a_provider_in_a_tunnel_speaks_for_itself(
    transports: Transports, trust: Trust
) -> None:
    """407 from inside of a tunnel is the provider's, and no word of the proxy."""
    trust("ca.pem")

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.answer(b"{}", status=407)
        await connection.watch()

    async with open_raw_upstream(script, build_server_tls()) as upstream:
        transport = transports.open("https://127.0.0.1")
        opened = await transport.open(build_request(upstream, scheme="https"), RecordingSink())
        assert opened.head.status == 407
        opened.close()


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (CLOSED, "answered 403 to CONNECT"),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n<html>", "answered 502 to CONNECT"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "answered 101 to CONNECT"),
        (OPEN + b"\x16\x03", "sent more than the head of its answer to CONNECT"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "answered with something that is not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES, "answered CONNECT with a head without"),
    ],
    ids=["403", "502", "101", "more than a head", "another protocol", "no end"],
)
async def test_a_proxy_that_opens_no_tunnel(
    transports: Transports, answer: bytes, detail: str
) -> None:
    """Any other answer than a plain 2xx is `upstream_proxy_refused`; the detail has the status."""
    async with open_forward_proxy(answer=answer) as proxy:
        transport = transports.open(
            PUBLIC_URL, proxy=Secret(f"http://{LOGIN}127.0.0.1:{proxy.port}")
        )
        error = await fail(transport, build_request(443, scheme="https", host="api.provider.test"))
        assert (type(error), error.code) == (UpstreamUnreachable, "upstream_proxy_refused")
        assert error.detail is not None
        assert error.detail.startswith(f"the outgoing proxy {detail}")
        assert "proxy" in error.message
        await proxy.is_idle.wait()


async def test_a_proxy_that_hangs_up(transports: Transports, loopback_port: int) -> None:
    """A proxy that closes instead of an answer is `upstream_proxy_refused`."""
    error = await fail(
        transports.open("https://127.0.0.1"), build_request(loopback_port, scheme="https")
    )
    assert error.code == "upstream_proxy_refused"
    assert error.detail == "the outgoing proxy closed the connection"


async def test_a_proxy_that_is_not_there(transports: Transports, loopback_port: int) -> None:
    """What keeps us from the proxy is told with its name; the codes are those of a provider."""
    nowhere = transports.open(PUBLIC_URL, proxy=Secret(f"http://127.0.0.1:{loopback_port}"))
    error = await fail(nowhere, build_request(443, scheme="https", host="api.provider.test"))
    assert (error.code, error.detail) == (
        "upstream_unreachable",
        "the outgoing proxy: Connection refused",
    )
    unknown = transports.open(
        PUBLIC_URL,
        proxy=Secret("http://proxy.test:3128"),
        resolver=Resolver(lambda _: []),
    )
    error = await fail(unknown, build_request(443, scheme="https", host="api.provider.test"))
    assert error.detail == "the outgoing proxy: no addresses"


async def test_a_tunnel_is_waited_for_as_long_as_for_a_connection(transports: Transports) -> None:
    """A proxy that cannot be reached, or says nothing, ends with `connect_s`."""
    async with open_black_hole() as port, open_forward_proxy(answer=b"") as silent:
        for proxy_port in (port, silent.port):
            transport = transports.open(PUBLIC_URL, proxy=Secret(f"http://127.0.0.1:{proxy_port}"))
            request = build_request(443, scheme="https", host="api.provider.test", connect_s=0.1)
            async with asyncio.timeout(10.0):
                error = await fail(transport, request)
            assert isinstance(error, UpstreamTimeout)
            assert error.code == "upstream_connect_timeout"
        await silent.is_idle.wait()


async def test_a_proxy_is_guarded_by_its_own_address(
    transports: Transports, forward: ForwardProxy
) -> None:
    """A proxy's name may lead where the `private_networks` allow it, and nowhere else."""
    names = Resolver(lambda _: ["127.0.0.1"])
    url = Secret(f"http://proxy.test:{forward.port}")
    request = build_request(443, scheme="https", host="api.provider.test")
    error = await fail(transports.open(PUBLIC_URL, proxy=url, resolver=names), request)
    assert isinstance(error, UpstreamAddressRefused)
    assert error.detail is not None
    assert error.detail.startswith("the outgoing proxy: 127.0.0.1 is not public")
    assert forward.accepted == 0
    async with open_raw_upstream(answer_all) as upstream:
        transport = transports.open(
            "http://name.test", proxy=url, resolver=names, private_networks=("127.0.0.1/32",)
        )
        sink = await fetch(transport, build_request(upstream, host="name.test"))
        assert sink.endings == [None]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_proxy_is_asked_for_an_address_inside(
    transports: Transports, forward: ForwardProxy, scheme: str
) -> None:
    """However an address is written that the provider may not have, no proxy hears of it."""
    transport = transports.open(PUBLIC_URL)
    literals = [f"[{address}]" for address in ADDRESSES if ":" in address]
    names = ("localhost", "LOCALHOST.", "api.localhost", "a%2eb", "%31%32%37.0.0.1", "x%0d%0aY")
    for host in (*(each for each in ADDRESSES if ":" not in each), *literals, *HOSTS, *names):
        error = await fail(transport, build_request(80, scheme=scheme, host=host))
        assert isinstance(error, UpstreamAddressRefused | UpstreamUnreachable), host
    assert (forward.asked, forward.accepted) == ([], 0)


async def test_an_own_authority_is_trusted_inside_of_a_tunnel(transports: Transports) -> None:
    """`ca_file` holds for the provider behind a proxy; without it the handshake fails."""
    async with open_raw_upstream(answer_all, build_server_tls()) as upstream:
        request = build_request(upstream, scheme="https")
        transport = transports.open("https://127.0.0.1", ca_file=str(AUTHORITY))
        assert (await fetch(transport, request)).endings == [None]
        error = await fail(transports.open("https://127.0.0.1"), request)
        assert isinstance(error, UpstreamTlsError)


class _Wire(asyncio.Transport):
    """A connection to a proxy that notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_paused = False
        self.is_aborted = False

    def write(self, data: object) -> None:
        self.written += bytes(data)  # type: ignore[call-overload]

    def pause_reading(self) -> None:
        self.is_paused = True

    def abort(self) -> None:
        self.is_aborted = True


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_a_tunnel_opens_however_its_answer_is_cut(size: int) -> None:
    """Interim answers are passed over; behind the head nothing is read that is for TLS."""
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OPEN
    request, wire = TunnelRequest(), _Wire()
    request.connection_made(wire)
    asking = asyncio.create_task(request.ask(b"CONNECT"))
    await take_turns(1)
    for at in range(0, len(answer), size):
        assert not wire.is_paused
        request.data_received(answer[at : at + size])
    assert await asking is wire
    assert (wire.written, wire.is_paused, wire.is_aborted) == (b"CONNECT", True, False)


async def test_a_connection_that_is_lost_before_it_was_asked() -> None:
    """A proxy that hung up at once has refused, and nobody is told of it twice."""
    request = TunnelRequest()
    request.connection_made(_Wire())
    request.connection_lost(None)
    with pytest.raises(ProxyRefused):
        await request.ask(b"CONNECT")
