"""A proxy in front of a provider: answers come through it, and its refusals blame nobody else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.domain.secret import Secret
from tests.fakes.forward_proxy import CREDENTIALS, LOGIN, ForwardProxy, open_forward_proxy
from tests.fakes.proxy_server import ProxyServer, build_provider, build_snapshot, serving
from tests.fakes.raw_upstream import open_raw_upstream
from tests.faults.fault_upstream import FaultUpstream, build_good, tell
from tests.faults.oracle import judging


@asynccontextmanager
async def _behind(proxy: ForwardProxy, base_url: str, login: str) -> AsyncIterator[ProxyServer]:
    """Serve the model `m` of a provider that is asked through a proxy."""
    url = Secret(f"http://{login}127.0.0.1:{proxy.port}")
    provider = build_provider(base_url, transport="aiohttp", proxy=url)
    async with serving(build_snapshot(provider)) as server:
        yield server


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
async def test_an_answer_comes_through_a_proxy(stream: bool) -> None:
    """A client sees nothing of a proxy on the way to the provider."""
    async with (
        open_raw_upstream(FaultUpstream(tell(build_good(stream)))) as upstream,
        open_forward_proxy(credentials=CREDENTIALS) as proxy,
        judging(_behind(proxy, upstream.url, LOGIN)) as judge,
    ):
        assert (await judge.ask(stream=stream)).kind == "answer"
        assert len(proxy.asked) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("login", ["", LOGIN], ids=["no login", "another login"])
async def test_a_proxy_that_refuses_us_is_not_the_clients_fault(scheme: str, login: str) -> None:
    """407 of a proxy is 502 `upstream_proxy_refused`; the operator's detail has the status."""
    async with (
        open_forward_proxy(credentials="of somebody else") as proxy,
        judging(_behind(proxy, f"{scheme}://127.0.0.1:9/v1", login)) as judge,
    ):
        outcome = await judge.ask(stream=True)
        record = await judge.read_record(outcome)
    assert outcome.verdict == ("refused", 502, "upstream_proxy_refused")
    assert record.error_detail is not None
    assert record.error_detail.startswith("the outgoing proxy answered 407")
