"""Row U28: certificates and handshakes that are refused, whatever else would work."""

import asyncio
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from proxy.domain.settings import Clocks
from tests.fakes.proxy_server import proxying
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.trust import Trust, trusting
from tests.faults.fault_upstream import (
    build_good,
    build_server_tls,
    judging_faults,
    tell,
)
from tests.faults.oracle import judging

pytestmark = pytest.mark.both_transports

both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trust]:
    """Trusts a certificate, whichever transport asks."""
    with trusting(monkeypatch) as trust:
        yield trust


@both
async def test_u28_a_trusted_provider_is_asked(stream: bool, trust: Trust) -> None:
    """U28: the good case, so that the others are refused for their own reason."""
    trust("ca.pem")
    async with judging_faults(tell(build_good(stream)), tls=build_server_tls()) as (judge, _):
        assert (await judge.ask(stream=stream)).kind == "answer"


@both
@pytest.mark.parametrize(
    ("shown", "trusted"),
    [("server.pem", None), ("other_name.pem", "other_name.pem"), ("expired.pem", "expired.pem")],
    ids=["unknown authority", "another name", "expired"],
)
async def test_u28_certificates_that_are_refused(
    shown: str, trusted: str | None, stream: bool, trust: Trust
) -> None:
    """U28: unknown authority, another name, expired: 502, and no request is sent."""
    if trusted is not None:
        trust(trusted)
    deed = tell(build_good(stream))
    async with judging_faults(deed, tls=build_server_tls(shown)) as (judge, script):
        outcome = await judge.ask(stream=stream)
        assert script.requests == []
    assert outcome.verdict == ("refused", 502, "upstream_tls_error")


@contextmanager
def _serving_old_tls() -> Iterator[int]:
    """Give a port where nothing newer than TLS 1.1 is spoken, and the refusal is told."""
    context = build_server_tls()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        # Python warns of exactly what is wrong with this server.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            context.wrap_socket(connection, server_side=True).close()

    # asyncio's server would reset the connection and swallow the alert that says why.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@both
async def test_u28_an_old_version_is_refused(stream: bool, trust: Trust) -> None:
    """U28: a server that knows nothing newer than TLS 1.1: 502."""
    trust("ca.pem")
    with _serving_old_tls() as port:
        async with judging(proxying(f"https://127.0.0.1:{port}/v1")) as judge:
            outcome = await judge.ask(stream=stream)
    assert outcome.verdict == ("refused", 502, "upstream_tls_error")


@both
async def test_u28_a_handshake_that_stalls(stream: bool) -> None:
    """U28: a server that accepts and says nothing: 504 with the handshake's own clock."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.watch()

    async with open_raw_upstream(script) as upstream:
        url = upstream.url.replace("http:", "https:")
        async with judging(proxying(url, clocks=Clocks(tls_s=0.1))) as judge:
            async with asyncio.timeout(10.0):
                outcome = await judge.ask(stream=stream)
                await upstream.connections[0].wait_closed()
    assert outcome.verdict == ("refused", 504, "upstream_tls_timeout")


@both
async def test_u28_plain_http_is_never_spoken_instead(stream: bool) -> None:
    """U28: a server without TLS behind `https:`: 502, and it gets no request in clear."""
    heard = []

    async def script(connection: UpstreamConnection) -> None:
        heard.append(await connection.read_some())
        await connection.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await connection.watch()

    async with open_raw_upstream(script) as upstream:
        url = upstream.url.replace("http:", "https:")
        async with judging(proxying(url)) as judge:
            outcome = await judge.ask(stream=stream)
        assert len(upstream.connections) == 1
    assert outcome.verdict == ("refused", 502, "upstream_tls_error")
    assert b"POST" not in b"".join(heard)
