"""The contract of TLS: a good certificate is used, any other is refused and never gone around."""

import asyncio
import ssl
import warnings
from pathlib import Path
from typing import Any

import pytest

from proxy.domain.errors import UpstreamTimeout, UpstreamTlsError
from proxy.upstream import tls
from proxy.upstream.base import Transport
from proxy.upstream.resolver import Resolver
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.fakes.trust import CERTIFICATES, Trust
from tests.faults.fault_upstream import build_server_tls
from tests.leaks import leaving_nothing
from tests.upstream.asking import Transports, build_request, fetch, take_turns
from tests.upstream.contract_dial import answer_all

HANDSHAKE = [("read", "SERVER_HELLO"), ("read", "FINISHED"), ("write", "FINISHED")]
"""Messages of TLS as its library tells of them; behind the last the handshake is over."""


class TlsContract:
    """When a provider over TLS is asked, and when not; `trust` is a fixture as well."""

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost."])
    async def test_a_trusted_provider_is_asked_and_its_connection_kept(
        self, transports: Transports, trust: Trust, host: str
    ) -> None:
        """Two requests go over one connection, encrypted, and come back whole."""
        trust("ca.pem")
        transport = transports.open(f"https://{host}")
        async with open_raw_upstream(answer_all, build_server_tls()) as upstream:
            for _ in range(2):
                request = build_request(upstream, scheme="https", host=host)
                sink = await fetch(transport, request)
                assert (sink.body, sink.endings) == (b"{}", [None])
            assert len(upstream.connections) == 1

    @pytest.mark.parametrize(
        ("shown", "trusted", "host"),
        [
            ("server.pem", None, "127.0.0.1"),
            ("other_name.pem", "other_name.pem", "127.0.0.1"),
            ("server.pem", "ca.pem", "name.test"),
            ("expired.pem", "expired.pem", "127.0.0.1"),
        ],
        ids=["unknown authority", "another name", "another name than asked for", "expired"],
    )
    async def test_any_other_certificate_is_refused(
        self, transports: Transports, trust: Trust, shown: str, trusted: str | None, host: str
    ) -> None:
        """Unknown authority, wrong name and expired are UpstreamTlsError; nothing is sent."""
        if trusted is not None:
            trust(trusted)
        transport = transports.open(
            f"https://{host}",
            resolver=Resolver(lambda _: ["127.0.0.1"]),
            private_networks=("127.0.0.1/32",),
        )
        heard: list[bytes] = []

        async def script(connection: UpstreamConnection) -> None:
            heard.append(await connection.read_some())

        async with open_raw_upstream(script, build_server_tls(shown)) as upstream:
            with pytest.raises(UpstreamTlsError) as caught:
                await transport.open(
                    build_request(upstream, scheme="https", host=host), RecordingSink()
                )
        assert caught.value.detail
        assert b"".join(heard) == b""

    async def test_a_ca_file_is_read_anew_when_it_has_changed(
        self, transports: Transports, tmp_path: Path
    ) -> None:
        """New connections go by the new content, without a restart; one that is open goes on."""
        path = tmp_path / "ca.pem"
        path.write_bytes((CERTIFICATES / "other_name.pem").read_bytes())
        transport = transports.open("https://127.0.0.1", ca_file=str(path))
        async with open_raw_upstream(answer_all, build_server_tls()) as upstream:
            request = build_request(upstream, scheme="https")
            with pytest.raises(UpstreamTlsError) as caught:
                await transport.open(request, RecordingSink())
            assert caught.value.detail is not None
            assert "ca_file" in caught.value.detail
            path.write_bytes((CERTIFICATES / "ca.pem").read_bytes())
            assert (await fetch(transport, request)).body == b"{}"
            connections = len(upstream.connections)
            path.write_bytes((CERTIFICATES / "other_name.pem").read_bytes())
            assert (await fetch(transport, request)).body == b"{}"
            assert len(upstream.connections) == connections

    async def test_old_versions_of_tls_are_refused(
        self, transports: Transports, trust: Trust
    ) -> None:
        """A server that knows nothing newer than TLS 1.1 is UpstreamTlsError."""
        trust("ca.pem")
        context = build_server_tls()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            # Python warns of exactly what is wrong with this server.
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        async with open_raw_upstream(answer_all, context) as upstream:
            with pytest.raises(UpstreamTlsError):
                await transports.open("https://127.0.0.1").open(
                    build_request(upstream, scheme="https"), RecordingSink()
                )

    async def test_the_handshake_has_its_own_clock(self, transport: Transport) -> None:
        """A server that accepts and then says nothing ends with `tls_s`, not with `connect_s`."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.watch()

        async with open_raw_upstream(script) as upstream:
            request = build_request(upstream, scheme="https", tls_s=0.6, connect_s=0.5)
            async with asyncio.timeout(10.0):
                with pytest.raises(UpstreamTimeout) as caught:
                    await transport.open(request, RecordingSink())
                await upstream.connections[0].wait_closed()
        assert caught.value.code == "upstream_tls_timeout"

    async def test_plain_http_is_never_spoken_instead(self, transport: Transport) -> None:
        """A server that does not speak TLS fails the handshake and hears no request in clear."""
        heard: list[bytes] = []

        async def script(connection: UpstreamConnection) -> None:
            heard.append(await connection.read_some())
            await connection.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await connection.watch()

        async with open_raw_upstream(script) as upstream:
            with pytest.raises(UpstreamTlsError) as caught:
                await transport.open(build_request(upstream, scheme="https"), RecordingSink())
            assert len(upstream.connections) == 1
        assert caught.value.detail == "what answers there is not TLS: http:// in base_url?"
        assert b"POST" not in b"".join(heard)

    @pytest.mark.parametrize("moment", HANDSHAKE)
    async def test_a_cancellation_in_the_handshake_is_heard_of_nowhere(
        self, transports: Transports, monkeypatch: pytest.MonkeyPatch, moment: tuple[str, str]
    ) -> None:
        """Amid the handshake and as it ends: nothing complains, and no connection is left."""

        def watch(_: object, direction: str, *of: Any) -> None:
            if (direction, of[2].name) == moment:
                asking.cancel()

        context = ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")
        context._msg_callback = watch  # type: ignore[attr-defined]
        monkeypatch.setattr(tls.Trust, "find_context", lambda _: context)
        complaints: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        async with open_raw_upstream(answer_all, build_server_tls()) as upstream, leaving_nothing():
            transport = transports.open("https://127.0.0.1")
            request = build_request(upstream, scheme="https")
            asking = asyncio.ensure_future(transport.open(request, RecordingSink()))
            await asyncio.wait([asking])
            assert asking.cancelled()
            await transport.close()
            await take_turns()
        assert complaints == []

    async def test_over_tls_too_an_early_answer_costs_the_connection(
        self, transports: Transports, trust: Trust
    ) -> None:
        """What TLS has given to TCP and is unsent goes in front of no other request (U32, U40)."""
        trust("ca.pem")
        transport = transports.open("https://127.0.0.1")
        may_read = asyncio.Event()

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_head()
            await connection.answer(b"too large", status=413)
            await may_read.wait()
            await connection.watch()

        async with open_raw_upstream(script, build_server_tls()) as upstream:
            request = build_request(upstream, b"x" * 20_000_000, scheme="https")
            sink = await fetch(transport, request)
            assert (sink.body, sink.endings) == (b"too large", [None])
            may_read.set()
            await upstream.connections[0].wait_closed()
