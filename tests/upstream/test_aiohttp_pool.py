"""What aiohttp's pool keeps: no more idle connections than allowed, and TLS as it should be."""

import asyncio
import ssl
from pathlib import Path

import pytest
from msgspec.structs import replace

from proxy.domain.catalog import Provider
from proxy.domain.errors import UpstreamTlsError, UpstreamUnreachable
from proxy.domain.settings import PoolLimits
from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.resolver import Resolver
from proxy.upstream.tls import build_context
from tests.fakes.proxy_server import build_provider
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import build_request, fetch


def open_transport(provider: Provider) -> AiohttpTransport:
    """Open a transport over aiohttp."""
    return AiohttpTransport(provider, Resolver())


pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_no_more_idle_connections_are_kept_than_allowed() -> None:
    """With `max_keepalive_connections: 1` the second of two idle connections is closed."""
    both_arrived = asyncio.Event()
    arrived = 0

    async def script(connection: UpstreamConnection) -> None:
        nonlocal arrived
        await connection.read_request()
        arrived += 1
        if arrived == 2:
            both_arrived.set()
        await both_arrived.wait()
        await connection.answer(b"{}")
        await connection.watch()

    async with open_raw_upstream(script) as upstream:
        pool = PoolLimits(max_keepalive_connections=1)
        transport = open_transport(build_provider(upstream.url, pool=pool))
        await asyncio.gather(*(fetch(transport, build_request(upstream)) for _ in range(2)))
        first, second = (
            asyncio.ensure_future(connection.wait_closed()) for connection in upstream.connections
        )
        done, open_still = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
        assert (len(done), len(open_still)) == (1, 1)
        for task in open_still:
            task.cancel()
        await transport.close()


async def test_a_closed_pool_opens_nothing() -> None:
    """A request to a transport that has been closed leaves no connection behind."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.watch()

    async with open_raw_upstream(script) as upstream:
        transport = open_transport(build_provider(upstream.url))
        await transport.close()
        with pytest.raises(Exception, match="provider"):
            await transport.open(build_request(upstream), RecordingSink())


async def test_an_address_that_cannot_be_asked_is_unreachable() -> None:
    """A URL that no request can be made of fails as unreachable, not as a fault of ours."""
    transport = open_transport(build_provider("http://127.0.0.1/v1"))
    with pytest.raises(UpstreamUnreachable):
        await transport.open(build_request(1, host="\u0661.test"), RecordingSink())
    await transport.close()


def test_certificates_are_always_verified() -> None:
    """What every connection over TLS uses asks for a certificate, its name, and TLS 1.2."""
    context = build_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


async def test_authorities_that_cannot_be_read_open_no_connection(tmp_path: Path) -> None:
    """A `ca_file` that is not there, or holds no certificate, ends the attempt and says so."""
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")

    async def script(connection: UpstreamConnection) -> None:
        await connection.watch()

    async with open_raw_upstream(script) as upstream:
        for path in (tmp_path / "nowhere.pem", empty):
            provider = replace(build_provider("https://127.0.0.1/v1"), ca_file=str(path))
            transport = open_transport(provider)
            with pytest.raises(UpstreamTlsError) as caught:
                await transport.open(build_request(upstream, scheme="https"), RecordingSink())
            assert caught.value.detail is not None
            assert "ca_file" in caught.value.detail
            await transport.close()
        assert upstream.connections == []


async def test_one_address_takes_several_methods() -> None:
    """A GET and a POST to the same URL each go out as what they are."""
    lines: list[str] = []

    async def script(connection: UpstreamConnection) -> None:
        for _ in range(2):
            line, _, _ = await connection.read_request()
            lines.append(line)
            await connection.answer(b"{}")

    async with open_raw_upstream(script) as upstream:
        transport = open_transport(build_provider(upstream.url))
        for method in ("POST", "GET"):
            await fetch(transport, replace(build_request(upstream), method=method))
        await transport.close()
    assert lines == [f"{m} /v1/chat/completions HTTP/1.1" for m in ("POST", "GET")]
