"""Providers over TLS: a good certificate is used, any other is refused and never gone around."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from proxy.domain.errors import UpstreamTlsError
from proxy.domain.exchange import OutboundRequest
from proxy.domain.settings import PoolLimits
from proxy.upstream.aiohttp_transport import AiohttpTransport
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.contract import build_request

pytestmark = pytest.mark.usefixtures("no_leaks")

CERTIFICATES = Path(__file__).parents[1] / "fakes" / "tls"


@dataclass
class TlsUpstream:
    """A server behind the test authority's certificate, and what it was asked."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)

    def build_request(self, host: str) -> OutboundRequest:
        """Return a request to this server by one of its names."""
        return replace(
            build_request(self.port), url=f"https://{host}:{self.port}/v1/chat/completions"
        )


@asynccontextmanager
async def serving_tls() -> AsyncIterator[TlsUpstream]:
    """Answer every request over TLS in two chunks."""
    upstream = TlsUpstream()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                upstream.heads.append(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(2)
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
                await writer.drain()
                writer.write(b"1\r\nb\r\n0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem", CERTIFICATES / "server.key")
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    """A transport with default limits."""
    transport = AiohttpTransport(PoolLimits())
    yield transport
    await transport.close()


@pytest.fixture
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    # What SSL_CERT_FILE does to a process that starts with it.
    context = ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", context)


@pytest.mark.usefixtures("_trusted")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_trusted_provider_is_asked_and_its_connection_kept(
    transport: AiohttpTransport, host: str
) -> None:
    """Two requests go over one connection, encrypted, and come back whole."""
    async with serving_tls() as upstream:
        for _ in range(2):
            sink = RecordingSink()
            (await transport.open(upstream.build_request(host), sink)).resume()
            await sink.over.wait()
            assert (sink.body, sink.endings) == (b"ab", [None])
        assert len(upstream.heads) == 2


async def test_an_unknown_authority_is_refused(transport: AiohttpTransport) -> None:
    """A certificate that no authority of this system has signed is UpstreamTlsError."""
    async with serving_tls() as upstream:
        with pytest.raises(UpstreamTlsError):
            await transport.open(upstream.build_request("127.0.0.1"), RecordingSink())
        assert upstream.heads == []


@pytest.mark.usefixtures("_trusted")
async def test_a_certificate_of_another_name_is_refused(
    transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good certificate for another name is UpstreamTlsError, and nothing is sent."""

    async def find_here(*_: object, **__: object) -> list[dict[str, object]]:
        return [
            {"hostname": "other.test", "host": "127.0.0.1", "port": upstream.port,
             "family": 2, "proto": 6, "flags": 0}
        ]  # fmt: skip

    async with serving_tls() as upstream:
        monkeypatch.setattr("aiohttp.TCPConnector._resolve_host", find_here)
        with pytest.raises(UpstreamTlsError):
            await transport.open(upstream.build_request("other.test"), RecordingSink())
        assert upstream.heads == []


async def test_a_plain_server_behind_https_is_refused(transport: AiohttpTransport) -> None:
    """A server that does not speak TLS fails the handshake; plain HTTP is never tried instead."""
    received = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(4))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstream = TlsUpstream(port)
    with pytest.raises(UpstreamTlsError):
        await transport.open(upstream.build_request("127.0.0.1"), RecordingSink())
    server.close()
    assert b"POST" not in received
