"""The contract of the way to a provider: names, connecting, each under its own clock."""

import asyncio
import errno
import socket
import threading
from collections.abc import Mapping

import pytest

from proxy.domain.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from proxy.upstream import resolver
from proxy.upstream.base import Transport
from proxy.upstream.dialer import NEXT_ADDRESS_S
from proxy.upstream.resolver import Resolver
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.faults.fault_upstream import open_black_hole
from tests.upstream.asking import Transports, build_request, fetch


async def answer_all(connection: UpstreamConnection) -> None:
    """Answer every request alike."""
    while True:
        await connection.read_request()
        await connection.answer(b"{}")


def break_network(patch: pytest.MonkeyPatch, numbers: Mapping[int, int]) -> None:
    """Have every connection of a family fail with the error that it is given here."""

    class Broken(socket.socket):
        def connect(self, address: object) -> None:
            if self.family in numbers:
                raise OSError(numbers[self.family], "made up")
            super().connect(address)  # type: ignore[arg-type]

    patch.setattr("socket.socket", Broken)


class DialContract:
    """How a provider is reached, and what it is called when it cannot be."""

    async def test_refused_connections_are_unreachable(
        self, transport: Transport, loopback_port: int
    ) -> None:
        """Nobody listening is UpstreamUnreachable."""
        with pytest.raises(UpstreamUnreachable) as caught:
            await transport.open(build_request(loopback_port), RecordingSink())
        assert caught.value.code == "upstream_unreachable"

    async def test_connecting_has_a_clock(self, transport: Transport) -> None:
        """A SYN that nobody answers ends with `connect_s` (U2)."""
        async with open_black_hole() as port:
            async with asyncio.timeout(10.0):
                with pytest.raises(UpstreamTimeout) as caught:
                    await transport.open(build_request(port, connect_s=0.1), RecordingSink())
        assert caught.value.code == "upstream_connect_timeout"

    async def test_all_addresses_share_the_clock(self, transports: Transports) -> None:
        """A name with many addresses that do not answer costs `connect_s` once, not each."""
        names = Resolver(lambda _: ["127.0.0.1"] * 100)
        async with open_black_hole() as port:
            transport = transports.open(
                "http://many.test", resolver=names, private_networks=("127.0.0.0/8",)
            )
            request = build_request(port, host="many.test", connect_s=0.1)
            async with asyncio.timeout(5.0):
                with pytest.raises(UpstreamTimeout) as caught:
                    await transport.open(request, RecordingSink())
        assert caught.value.code == "upstream_connect_timeout"

    async def test_a_dead_address_does_not_hide_a_good_one(self, transports: Transports) -> None:
        """Of two addresses the second is used where nobody listens on the first."""
        names = Resolver(lambda _: ["127.0.0.9", "127.0.0.1"])
        async with open_raw_upstream(answer_all) as upstream:
            transport = transports.open(
                "http://two.test", resolver=names, private_networks=("127.0.0.0/8",)
            )
            sink = await fetch(transport, build_request(upstream, host="two.test"))
            assert sink.endings == [None]

    async def test_a_silent_address_does_not_hide_a_good_one(self, transports: Transports) -> None:
        """Of two addresses the second is dialled soon where nobody answers at the first (I38)."""
        names = Resolver(lambda _: ["127.0.0.9", "127.0.0.1"])
        async with (
            open_raw_upstream(answer_all) as upstream,
            open_black_hole("127.0.0.9", upstream.port),
        ):
            transport = transports.open(
                "http://two.test", resolver=names, private_networks=("127.0.0.0/8",)
            )
            request = build_request(upstream, host="two.test", connect_s=30.0)
            async with asyncio.timeout(20 * NEXT_ADDRESS_S):
                sink = await fetch(transport, request)
            assert sink.endings == [None]

    async def test_a_broken_family_does_not_hide_the_other(
        self, transports: Transports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where there is no way to any IPv6 address the IPv4 ones are dialled at once (I38)."""
        break_network(monkeypatch, {socket.AF_INET6: errno.ENETUNREACH})
        names = Resolver(lambda _: [*["::1"] * 40, "127.0.0.1"])
        async with open_raw_upstream(answer_all) as upstream:
            transport = transports.open(
                "http://both.test", resolver=names, private_networks=("127.0.0.0/8", "::1/128")
            )
            async with asyncio.timeout(20 * NEXT_ADDRESS_S):
                sink = await fetch(transport, build_request(upstream, host="both.test"))
            assert sink.endings == [None]

    @pytest.mark.parametrize(
        ("v6", "v4", "code"),
        [
            (errno.ENETUNREACH, errno.ENETUNREACH, "upstream_network_down"),
            (errno.ENETUNREACH, errno.EHOSTUNREACH, "upstream_network_down"),
            (errno.EADDRNOTAVAIL, errno.ENETDOWN, "upstream_network_down"),
            (errno.ENETUNREACH, errno.ECONNREFUSED, "upstream_unreachable"),
            (errno.EADDRNOTAVAIL, errno.EMFILE, "upstream_not_dialled"),
        ],
    )
    async def test_no_way_out_is_told_from_a_refusal(
        self, transports: Transports, monkeypatch: pytest.MonkeyPatch, v6: int, v4: int, code: str
    ) -> None:
        """Only where no address at all could be sent anything is it this machine's network."""
        break_network(monkeypatch, {socket.AF_INET6: v6, socket.AF_INET: v4})
        names = Resolver(lambda _: ["::1", "127.0.0.1"])
        transport = transports.open(
            "http://both.test", resolver=names, private_networks=("127.0.0.0/8", "::1/128")
        )
        with pytest.raises(UpstreamError) as caught:
            await transport.open(build_request(1, host="both.test"), RecordingSink())
        assert caught.value.code == code

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "llm.localhost"])
    async def test_localhost_asks_nobody(self, transports: Transports, host: str) -> None:
        """`localhost` and the names under it are this machine, without a resolver."""
        names = Resolver(lambda _: pytest.fail("it was asked"))
        async with open_raw_upstream(answer_all) as upstream:
            transport = transports.open(f"http://{host}/v1", resolver=names)
            sink = await fetch(transport, build_request(upstream, host=host))
            assert sink.endings == [None]

    @pytest.mark.parametrize(
        ("number", "code"),
        [
            (socket.EAI_NONAME, "upstream_dns"),
            (socket.EAI_AGAIN, "upstream_network_down"),
            (socket.EAI_FAIL, "upstream_network_down"),
        ],
    )
    async def test_a_name_without_address_has_its_own_code(
        self, transports: Transports, number: int, code: str
    ) -> None:
        """NXDOMAIN is `upstream_dns`; SERVFAIL and silence may be this machine's network."""

        def look_up(_: str) -> list[str]:
            raise socket.gaierror(number, "no")

        transport = transports.open("http://none.test", resolver=Resolver(look_up))
        with pytest.raises(UpstreamUnreachable) as caught:
            await transport.open(build_request(1, host="none.test"), RecordingSink())
        assert (caught.value.code, caught.value.status) == (code, 502)

    async def test_a_slow_name_holds_up_nobody_else(
        self, transports: Transports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While one provider's name is waited for, others are dialled; it gives up in time."""
        monkeypatch.setattr(resolver, "LOOKUP_S", 0.1)
        is_asked, may_answer = threading.Event(), threading.Event()

        def look_up(host: str) -> list[str]:
            if host == "slow.test":
                is_asked.set()
                may_answer.wait()
            return ["127.0.0.1"]

        names = Resolver(look_up)
        try:
            async with open_raw_upstream(answer_all) as upstream:
                slow, quick = (
                    transports.open(
                        f"http://{host}", resolver=names, private_networks=("127.0.0.1/32",)
                    )
                    for host in ("slow.test", "quick.test")
                )
                waiting = asyncio.ensure_future(
                    slow.open(build_request(upstream, host="slow.test"), RecordingSink())
                )
                while not is_asked.is_set():  # noqa: ASYNC110  a thread tells no loop
                    await asyncio.sleep(0)
                # Its own time is set by now: who is good has as much as it needs.
                monkeypatch.setattr(resolver, "LOOKUP_S", 60.0)
                sink = await fetch(quick, build_request(upstream, host="quick.test"))
                assert sink.endings == [None]
                async with asyncio.timeout(10.0):
                    with pytest.raises(UpstreamUnreachable) as caught:
                        await waiting
            assert caught.value.code == "upstream_network_down"
        finally:
            may_answer.set()
