"""Through an outgoing proxy on both loops: uvloop, which workers run on, has a TLS of its own."""

import asyncio

import pytest

from proxy.domain.secret import Secret
from proxy.domain.settings import PoolLimits
from proxy.upstream.resolver import Resolver
from tests.fakes.forward_proxy import CREDENTIALS, LOGIN, ForwardProxy, open_forward_proxy
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.fakes.trust import Trust
from tests.faults.fault_upstream import build_server_tls
from tests.leaks import leaving_nothing
from tests.upstream.asking import Transports, build_request, fetch
from tests.upstream.contract_dial import answer_all

pytestmark = pytest.mark.both_loops


def nobody_may_ask(host: str) -> list[str]:
    """Look up nothing: a proxy is asked for names."""
    raise AssertionError(host)


async def test_a_tunnel_is_asked_for_and_kept(proxied: Transports, trust: Trust) -> None:
    """Two requests over https cost one CONNECT, which alone says who asks."""
    trust("ca.pem")
    heard: list[dict[str, str]] = []

    async def script(connection: UpstreamConnection) -> None:
        while True:
            line, headers, _ = await connection.read_request()
            heard.append({"": line, **headers})
            await connection.answer(b"{}")

    async with (
        leaving_nothing(),
        open_forward_proxy(credentials=CREDENTIALS) as proxy,
        open_raw_upstream(script, build_server_tls()) as upstream,
    ):
        url = Secret(f"http://{LOGIN}127.0.0.1:{proxy.port}")
        transport = proxied.open("https://localhost/v1", proxy=url)
        for _ in range(2):
            request = build_request(upstream, scheme="https", host="localhost")
            assert (await fetch(transport, request)).endings == [None]
        there = f"localhost:{upstream.port}"
        (asked,) = proxy.asked
        assert asked.line == f"CONNECT {there} HTTP/1.1"
        assert asked.headers == {"host": there, "proxy-authorization": CREDENTIALS}
        assert (proxy.accepted, len(upstream.connections)) == (1, 1)
        await transport.close()
    for headers in heard:
        assert headers[""] == "POST /v1/chat/completions HTTP/1.1"
        assert headers["authorization"] == "Bearer k"
        assert "proxy-authorization" not in headers


async def test_plain_http_is_asked_by_its_whole_url(proxied: Transports) -> None:
    """A proxy is told the URL of what goes over http, and looks up the name itself."""
    async with (
        leaving_nothing(),
        open_forward_proxy(credentials=CREDENTIALS) as proxy,
        open_raw_upstream(answer_all) as upstream,
    ):
        transport = proxied.open(
            "http://name.test/v1",
            proxy=Secret(f"http://{LOGIN}127.0.0.1:{proxy.port}/"),
            resolver=Resolver(nobody_may_ask),
        )
        for _ in range(2):
            request = build_request(upstream, host="name.test")
            assert (await fetch(transport, request)).endings == [None]
        where = f"name.test:{upstream.port}"
        assert [each.line for each in proxy.asked] == [
            f"POST http://{where}/v1/chat/completions HTTP/1.1"
        ] * 2
        assert proxy.asked[0].headers["host"] == where
        assert proxy.asked[0].headers["proxy-authorization"] == CREDENTIALS
        assert proxy.accepted == 1
        await transport.close()


async def test_a_request_that_is_cancelled_leaves_no_tunnel(
    proxied: Transports, forward: ForwardProxy
) -> None:
    """Cancelled while the proxy is silent, or who is behind it: all is closed, no slot is lost."""
    caught = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_some()
        caught.set()
        await connection.watch()

    async with (
        leaving_nothing(),
        open_forward_proxy(answer=b"") as silent,
        open_raw_upstream(script) as upstream,
    ):
        for proxy, began in ((silent, silent.was_asked), (forward, caught)):
            transport = proxied.open(
                "https://127.0.0.1",
                proxy=Secret(proxy.url),
                pool=PoolLimits(max_connections=1),
            )
            request = build_request(upstream, scheme="https")
            task = asyncio.create_task(transport.open(request, RecordingSink()))
            await began.wait()
            assert not transport.has_room
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert transport.has_room
            await proxy.is_idle.wait()
