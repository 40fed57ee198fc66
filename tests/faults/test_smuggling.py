"""A16, P17: one request in, one or none out; straight to us, behind nginx and behind HAProxy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.domain.settings import ClientClocks
from tests.fakes.proxy_server import ProxyServer, proxying
from tests.fakes.raw_upstream import open_raw_upstream
from tests.faults.smuggling_fronts import FRONTS, find_program, open_front
from tests.faults.smuggling_oracle import PASSED, TagUpstream, attack_all_through, attack_straight
from tests.faults.smuggling_vectors import VECTORS, Vector

HASTY = ClientClocks(head_s=0.3, body_s=0.3)


@asynccontextmanager
async def serving_tags() -> AsyncIterator[tuple[ProxyServer, TagUpstream]]:
    """Serve in front of an upstream that tells whose requests it was asked."""
    script = TagUpstream()
    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, client_clocks=HASTY) as server,
    ):
        yield server, script


def test_the_table_is_large_and_every_name_is_its_own() -> None:
    """There are at least 30 vectors, and each failure names one of them."""
    assert len(VECTORS) >= 30
    assert len({vector.name for vector in VECTORS}) == len(VECTORS)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
async def test_straight_to_us(vector: Vector) -> None:
    """Whatever is framed in two ways is a 4xx in JSON and a close; the rest is read in one way."""
    async with serving_tags() as (server, upstream):
        assert await attack_straight(server.port, vector, upstream) == PASSED
        # As two packets: the head, and what follows it.
        cut = vector.data.find(b"\r\n\r\n") + 4
        assert await attack_straight(server.port, vector, upstream, cut=cut) == PASSED


@pytest.mark.parametrize("front", FRONTS)
async def test_behind_a_front(front: str, tmp_path: Path) -> None:
    """Through a front, no vector becomes a second request, nor another caller's answer."""
    program = front.partition(" ")[0]
    if find_program(program) is None:
        pytest.skip(f"{program} is not installed")
    async with (
        serving_tags() as (server, upstream),
        open_front(front, server.port, tmp_path) as port,
    ):
        verdicts = await attack_all_through(port, upstream)
    bad = {name: verdict for name, (verdict, _) in verdicts.items() if verdict != PASSED}
    assert bad == {}
