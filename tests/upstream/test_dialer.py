"""A dial ends with a connection or with nothing, on either loop."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import cast

import pytest

from proxy.domain.errors import UpstreamTlsError
from proxy.domain.settings import Clocks
from proxy.upstream import tls
from proxy.upstream.dialer import Dialer
from proxy.upstream.guard import Guard
from proxy.upstream.origin import Origin
from proxy.upstream.resolver import Resolver
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.trust import CERTIFICATES
from tests.faults.fault_upstream import build_server_tls, open_black_hole
from tests.leaks import leaving_nothing
from tests.upstream.asking import take_turns

pytestmark = pytest.mark.both_loops


def _dialer(scheme: str = "http", ca_file: str | None = None) -> Dialer:
    return Dialer(Resolver(), Guard(f"{scheme}://127.0.0.1"), ca_file)


class _Keeping(asyncio.Protocol):
    """Keeps the transports that it is told of."""

    def __init__(self, made: list[asyncio.Transport]) -> None:
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._made.append(cast("asyncio.Transport", transport))


async def _watch(connection: UpstreamConnection) -> None:
    await connection.watch()


async def test_a_ca_file_is_trusted_for_its_provider_only() -> None:
    """With `ca_file` a certificate of one's own authority is good; without it is refused."""
    async with leaving_nothing(), open_raw_upstream(_watch, build_server_tls()) as upstream:
        origin = Origin("https", "127.0.0.1", upstream.port)
        with pytest.raises(UpstreamTlsError):
            await _dialer("https").dial(origin, Clocks(), asyncio.Protocol)
        dialer = _dialer("https", str(CERTIFICATES / "ca.pem"))
        made: list[asyncio.Transport] = []
        await dialer.dial(origin, Clocks(), lambda: _Keeping(made))
        made[-1].abort()
        await take_turns()


async def test_a_server_that_prefers_http2_is_asked_for_http1() -> None:
    """The handshake offers HTTP/1.1 alone, so that a server of both does not choose the other."""
    tls_context = build_server_tls()
    tls_context.set_alpn_protocols(["h2", "http/1.1"])
    async with leaving_nothing(), open_raw_upstream(_watch, tls_context) as upstream:
        origin = Origin("https", "127.0.0.1", upstream.port)
        made: list[asyncio.Transport] = []
        dialer = _dialer("https", str(CERTIFICATES / "ca.pem"))
        await dialer.dial(origin, Clocks(), lambda: _Keeping(made))
        assert made[-1].get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        made[-1].abort()
        await take_turns()


async def test_a_ca_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The operator reads which file cannot be read, and why; nothing is dialled."""
    path = str(tmp_path / "none.pem")
    dialer = _dialer("https", path)
    with pytest.raises(UpstreamTlsError) as caught:
        await dialer.dial(Origin("https", "127.0.0.1", 1), Clocks(), asyncio.Protocol)
    assert caught.value.detail == f"the provider's ca_file '{path}': No such file or directory"


async def test_a_ca_file_that_failed_is_not_looked_at_for_each_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One look takes 20 ms, in which nobody else is served; after a while it is looked at again."""
    looks = 0

    def look(*_: object) -> ssl.SSLContext:
        nonlocal looks
        looks += 1
        raise ssl.SSLError

    monkeypatch.setattr(tls, "build_context", look)
    path = tmp_path / "ca.pem"
    path.touch()
    dialer = _dialer("https", str(path))
    for _ in range(3):
        with pytest.raises(UpstreamTlsError):
            await dialer.dial(Origin("https", "127.0.0.1", 1), Clocks(), asyncio.Protocol)
    assert looks == 1
    monkeypatch.setattr(tls, "CA_AGAIN_S", 0.0)
    with pytest.raises(UpstreamTlsError):
        await dialer.dial(Origin("https", "127.0.0.1", 1), Clocks(), asyncio.Protocol)
    assert looks == 2


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("turns", range(8))
async def test_a_dial_that_is_cancelled_leaves_nothing(scheme: str, turns: int) -> None:
    """Whenever the cancellation comes, no socket stays open; the handshake is never answered."""
    async with leaving_nothing():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            origin = Origin(scheme, "127.0.0.1", listener.getsockname()[1])  # type: ignore[arg-type]
            made: list[asyncio.Transport] = []
            dialer = _dialer(scheme)
            dialling = asyncio.ensure_future(dialer.dial(origin, Clocks(), lambda: _Keeping(made)))
            await take_turns(turns)
            dialling.cancel()
            await asyncio.wait([dialling])
            # A socket that is opened now may get a number that has just become free.
            ours, theirs = socket.socketpair()
            if not dialling.cancelled():
                made[-1].abort()
            await take_turns()
            with ours, theirs:
                ours.sendall(b"still there")
                assert theirs.recv(32) == b"still there"


async def test_cancelling_a_silent_dial_leaves_nothing() -> None:
    """A connection that nobody accepts is given up at once."""
    async with leaving_nothing(), open_black_hole() as port:
        origin = Origin("http", "127.0.0.1", port)
        dialling = asyncio.ensure_future(_dialer().dial(origin, Clocks(), asyncio.Protocol))
        await take_turns()
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
