"""The contract of the guard: however an address is written or given, nobody there is dialled."""

import asyncio
from pathlib import Path

import pytest

from proxy.domain.errors import UpstreamAddressRefused, UpstreamError, UpstreamUnreachable
from proxy.upstream import resolver
from proxy.upstream.base import Transport
from proxy.upstream.resolver import Resolver
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.faults.fault_upstream import open_canary
from tests.upstream.asking import Transports, build_request, fetch
from tests.upstream.contract_dial import answer_all
from tests.upstream.guard_vectors import ADDRESSES, HOSTS

PUBLIC_URL = "https://api.provider.test/v1"
TRICKS = (
    "api.provider.test@127.0.0.1", "api.provider.test:443@127.0.0.1", "127.0.0.1:80@127.0.0.1",
    "localhost", "localhost.", "LOCALHOST", "api.localhost", "[::1]", "[::ffff:127.0.0.1]",
    "[::FFFF:7F00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]",
)  # fmt: skip


async def read_refusal(transport: Transport, host: str, port: int) -> type[UpstreamError]:
    """Return the type of the error with which a request to this host must fail."""
    with pytest.raises((UpstreamAddressRefused, UpstreamUnreachable)) as caught:
        await transport.open(build_request(port, host=host, connect_s=0.2), RecordingSink())
    return caught.type


class GuardContract:
    """Which sockets are never opened; a listener on this machine sees that they are not."""

    async def test_no_name_leads_inside(self, transports: Transports) -> None:
        """Whatever a resolver says, an address that is not public is refused for what it is."""
        async with open_canary() as (port, seen):
            for address in ADDRESSES:
                names = Resolver(lambda _, address=address: [address])  # type: ignore[misc]
                transport = transports.open(PUBLIC_URL, resolver=names)
                error = await read_refusal(transport, "api.provider.test", port)
                assert error is UpstreamAddressRefused, address
            assert seen == []

    async def test_no_spelling_of_an_address_leads_inside(self, transports: Transports) -> None:
        """Numbers, foreign digits, user names and brackets in a URL reach nobody on loopback."""
        transport = transports.open(PUBLIC_URL)
        literals = [f"[{address}]" for address in ADDRESSES if ":" in address.partition("%")[0]]
        vectors = [*HOSTS, *TRICKS, *literals]
        async with open_canary() as (port, seen):
            for host in vectors:
                await read_refusal(transport, host, port)
            assert seen == []
        assert len(vectors) + len(ADDRESSES) >= 600

    async def test_a_refusal_names_the_address_for_the_operator(
        self, transports: Transports
    ) -> None:
        """The detail says where a name led and what would allow it; the message does not."""
        names = Resolver(lambda _: ["10.1.2.3", "10.1.2.4"])
        transport = transports.open("http://llm.test/v1", resolver=names)
        with pytest.raises(UpstreamAddressRefused) as caught:
            await transport.open(build_request(80, host="llm.test"), RecordingSink())
        detail = "10.1.2.3 is not public, and not in the provider's private_networks"
        assert caught.value.detail == detail
        assert "10.1.2" not in caught.value.message

    async def test_a_literal_allows_itself_and_nothing_beside_it(
        self, transports: Transports
    ) -> None:
        """`base_url: http://127.0.0.2` lets 127.0.0.2 pass, and 127.0.0.1 not."""
        transport = transports.open("http://127.0.0.2/v1")
        async with open_canary() as (port, seen):
            assert await read_refusal(transport, "127.0.0.1", port) is UpstreamAddressRefused
            assert await read_refusal(transport, "127.0.0.2", port) is UpstreamUnreachable
            assert seen == []

    async def test_an_answer_that_changes_is_looked_at_again(
        self, transports: Transports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name that was good once and then leads elsewhere is refused at its next dial (A13)."""
        monkeypatch.setattr(resolver, "REUSE_S", 0.0)
        answers = ["127.0.0.1"]

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.answer(b"{}", extra="Connection: close\r\n")
            connection.close()

        async with open_raw_upstream(script) as upstream:
            transport = transports.open(
                "http://turns.test",
                resolver=Resolver(lambda _: list(answers)),
                private_networks=("127.0.0.1/32",),
            )
            await fetch(transport, build_request(upstream, host="turns.test"))
            for address in ("127.0.0.2", "169.254.169.254", "::ffff:10.0.0.1"):
                answers[:] = [address]
                error = await read_refusal(transport, "turns.test", upstream.port)
                assert error is UpstreamAddressRefused
            answers[:] = ["127.0.0.1"]
            await fetch(transport, build_request(upstream, host="turns.test"))
            assert len(upstream.connections) == 2

    async def test_of_many_addresses_only_the_allowed_are_dialled(
        self, transports: Transports
    ) -> None:
        """A name that leads inside and outside is asked at the address that it may have."""
        names = Resolver(lambda _: ["10.0.0.1", "169.254.169.254", "127.0.0.1"])
        async with open_raw_upstream(answer_all) as upstream, asyncio.timeout(10.0):
            transport = transports.open(
                "http://mixed.test", resolver=names, private_networks=("127.0.0.0/8",)
            )
            sink = await fetch(transport, build_request(upstream, host="mixed.test"))
            assert sink.endings == [None]

    @pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
    async def test_redirects_lead_nowhere(self, transport: Transport, status: int) -> None:
        """A 3xx comes back as it is, and nobody knocks where it points (U30, A14)."""
        async with open_canary() as (port, seen):

            async def script(connection: UpstreamConnection) -> None:
                await connection.read_request()
                place = f"Location: http://127.0.0.1:{port}/\r\n"
                await connection.answer(b"away", status=status, extra=place)
                await connection.watch()

            async with open_raw_upstream(script) as upstream:
                sink = RecordingSink()
                opened = await transport.open(build_request(upstream), sink)
                assert opened.head.status == status
                opened.resume()
                await sink.over.wait()
                assert len(upstream.connections) == 1
            assert seen == []

    async def test_nothing_of_the_environment_changes_where_requests_go(
        self, transports: Transports, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Proxies named by the environment are not used, and no `.netrc` is read."""
        sent: list[dict[str, str]] = []

        async def script(connection: UpstreamConnection) -> None:
            sent.append((await connection.read_request())[1])
            await connection.answer(b"{}")
            await connection.watch()

        netrc = tmp_path / ".netrc"
        netrc.write_text("machine 127.0.0.1 login someone password from-the-netrc\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("HOME", str(tmp_path))
        async with open_canary() as (port, seen), open_raw_upstream(script) as upstream:
            for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
                monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{port}")
            monkeypatch.setenv("NO_PROXY", "")
            transport = transports.open()
            assert (await fetch(transport, build_request(upstream))).endings == [None]
            assert seen == []
        assert sent[0]["authorization"] == "Bearer k"
        assert "proxy-authorization" not in sent[0]
