"""Row U29: a provider's name that leads nowhere, too slowly, or where it may not."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from proxy.upstream.factory import open_transport
from proxy.upstream.resolver import Resolver
from tests.fakes.proxy_server import ProxyServer, build_provider, build_snapshot, serving
from tests.fakes.raw_upstream import open_raw_upstream
from tests.faults.fault_upstream import FaultUpstream, build_good, cut, open_canary
from tests.faults.oracle import judging

pytestmark = pytest.mark.both_transports

Lookup = Callable[[str], list[str]]
LOOPBACK = ("127.0.0.0/8",)


@asynccontextmanager
async def _naming(
    port: int, lookup: Lookup, private_networks: tuple[str, ...] = LOOPBACK
) -> AsyncIterator[ProxyServer]:
    """Serve the model `m` of a provider that is known by a name only."""
    url = f"http://provider.test:{port}/v1"
    provider = build_provider(url, private_networks=private_networks)
    transports = {provider.name: open_transport(provider, Resolver(lookup))}
    async with serving(build_snapshot(provider), transports) as server:
        yield server


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no such name"), "upstream_dns"),
        (socket.gaierror(socket.EAI_AGAIN, "the servers do not say"), "upstream_network_down"),
        (socket.gaierror(socket.EAI_FAIL, "the servers fail"), "upstream_network_down"),
        (OSError("anything"), "upstream_network_down"),
    ],
    ids=["nxdomain", "again", "servfail", "other"],
)
async def test_u29_a_name_without_an_address(error: OSError, code: str, loopback_port: int) -> None:
    """U29: a name that leads nowhere: 502."""

    def look_up(_: str) -> list[str]:
        raise error

    async with judging(_naming(loopback_port, look_up)) as judge:
        outcome = await judge.ask(stream=True)
    assert outcome.verdict == ("refused", 502, code)


async def test_u29_slow_name_servers(monkeypatch: pytest.MonkeyPatch, loopback_port: int) -> None:
    """U29: a lookup that takes too long is not waited for: 502."""
    monkeypatch.setattr("proxy.upstream.resolver.LOOKUP_S", 0.1)
    is_over = threading.Event()

    def look_up(_: str) -> list[str]:
        is_over.wait()
        return ["127.0.0.1"]

    try:
        async with judging(_naming(loopback_port, look_up)) as judge:
            async with asyncio.timeout(10.0):
                outcome = await judge.ask(stream=True)
    finally:
        is_over.set()
    assert outcome.verdict == ("refused", 502, "upstream_network_down")


async def test_u29_the_last_good_answer_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """U29: name servers that fail after they have once answered: the old address still serves."""
    monkeypatch.setattr("proxy.upstream.resolver.REUSE_S", 0.0)
    asked: list[str] = []

    def look_up(host: str) -> list[str]:
        asked.append(host)
        if len(asked) > 1:
            raise socket.gaierror(socket.EAI_AGAIN, "the servers do not say")
        return ["127.0.0.1"]

    async with (
        open_raw_upstream(FaultUpstream(cut(build_good(True)))) as upstream,
        judging(_naming(upstream.port, look_up)) as judge,
    ):
        for _ in range(2):
            assert (await judge.ask(stream=True)).kind == "answer"
    assert asked == ["provider.test"] * 2


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "10.0.0.1", "::ffff:10.0.0.1", "0.0.0.0", "fe80::1"]
)
async def test_u29_an_answer_that_changes(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """U29: a name that leads somewhere else the second time, where it may not: 502."""
    monkeypatch.setattr("proxy.upstream.resolver.REUSE_S", 0.0)
    answers = [["127.0.0.1"], [address]]

    async with (
        open_raw_upstream(FaultUpstream(cut(build_good(True)))) as upstream,
        judging(_naming(upstream.port, lambda _: answers.pop(0))) as judge,
    ):
        assert (await judge.ask(stream=True)).kind == "answer"
        outcome = await judge.ask(stream=True)
        assert len(upstream.connections) == 1
    assert outcome.verdict == ("refused", 502, "upstream_address_refused")


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1"])
async def test_u29_a_public_name_for_this_machine(address: str) -> None:
    """U29: a name that leads to loopback, which nobody has allowed: 502, and nobody connects."""
    async with (
        open_canary() as (port, seen),
        judging(_naming(port, lambda _: [address], private_networks=())) as judge,
    ):
        outcome = await judge.ask(stream=True)
        assert seen == []
    assert outcome.verdict == ("refused", 502, "upstream_address_refused")
