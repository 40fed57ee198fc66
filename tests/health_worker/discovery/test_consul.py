"""Services of Consul: blocking queries that are resumed, reset, and paused by failures."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from health_worker.discovery.base import SourceFailed
from health_worker.discovery.candidate import Candidate, Found
from health_worker.discovery.consul import ConsulSource
from proxy.domain.discovery import ConsulSettings
from proxy.domain.secret import Secret
from tests.fakes.consul import FakeConsul, Instance, open_consul

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
async def consul() -> AsyncIterator[FakeConsul]:
    """An agent that asks for a token."""
    async with open_consul() as fake:
        fake.token = "c-token"
        yield fake


@pytest.fixture
async def source(consul: FakeConsul) -> AsyncIterator[ConsulSource]:
    """What asks for two services."""
    settings = ConsulSettings(consul.url, ("vllm", "tgi"), token=Secret("c-token"))
    source = ConsulSource(settings, pause_s=0.0)
    yield source
    await source.close()


def names(found: Found) -> list[str]:
    """Return who was found."""
    return [candidate.name for candidate in found.candidates]


async def test_passing_instances_are_providers(consul: FakeConsul, source: ConsulSource) -> None:
    """Meta says type, path and models; an instance without an address is at its node."""
    meta = {"type": "vllm", "path": "/api", "models": "a, b,a", "scheme": "https"}
    await consul.put(
        "vllm", Instance("10.0.0.7", meta=meta), Instance("10.0.0.8", is_passing=False)
    )
    await consul.put("tgi", Instance("", 80))
    found = await source.next()
    assert found.candidates == (
        Candidate("vllm-10-0-0-7-8000", "https://10.0.0.7:8000/api", "vllm", ("a", "b")),
        Candidate("tgi-10-9-9-9-80", "http://10.9.9.9:80/v1"),
    )
    assert await source.find() == found


async def test_a_change_is_told_at_once(consul: FakeConsul, source: ConsulSource) -> None:
    """Each service waits with the index that it has seen; other changes tell nothing."""
    await consul.put("vllm", Instance("10.0.0.7"))
    await source.next()
    waiting = asyncio.create_task(source.next())
    await consul.wait_for_questions(2)
    await consul.put("other", Instance("10.0.0.1"))
    await consul.wait_for_questions(4)
    assert not waiting.done()
    await consul.put("tgi", Instance("10.0.0.9", 80))
    assert names(await waiting) == ["vllm-10-0-0-7-8000", "tgi-10-0-0-9-80"]
    assert {query.get("wait") for query in consul.asked if "index" in query} == {"60s"}


async def test_an_index_that_goes_backwards_is_forgotten(
    consul: FakeConsul, source: ConsulSource
) -> None:
    """After a restored backup each service is asked without an index, once."""
    await source.next()
    waiting = asyncio.create_task(source.next())
    await consul.wait_for_questions(2)
    before = len(consul.asked)
    await consul.restore()
    await consul.wait_for_questions(4)
    again = consul.asked[before:]
    assert sorted(query.get("index", "") for query in again) == ["", "", "2", "2"]
    await consul.put("vllm", Instance("10.0.0.7"))
    assert names(await waiting) == ["vllm-10-0-0-7-8000"]


async def test_a_failure_says_nothing_of_the_services(
    consul: FakeConsul, source: ConsulSource
) -> None:
    """An agent that fails, or refuses the token, is a failure; then what has changed is told."""
    await consul.put("vllm", Instance("10.0.0.7"))
    await source.next()
    consul.status = 500
    with pytest.raises(SourceFailed, match="status 500"):
        await source.find()
    await consul.put("vllm", Instance("10.0.0.8"))
    with pytest.raises(SourceFailed, match="status 500"):
        await source.next()
    consul.status, consul.token = 200, "another"
    with pytest.raises(SourceFailed, match=r"may not read services .*403"):
        await source.find()
    consul.token = "c-token"
    assert names(await source.find()) == ["vllm-10-0-0-8-8000"]


async def test_what_a_search_has_told_meanwhile_is_corrected(consul: FakeConsul) -> None:
    """A service that is again as it was before an outage is told again."""
    consul.token = None
    source = ConsulSource(ConsulSettings(consul.url, ("vllm",)), pause_s=0.0)
    await consul.put("vllm", Instance("10.0.0.7"))
    assert names(await source.next()) == ["vllm-10-0-0-7-8000"]
    consul.status = 500
    await consul.put("vllm")
    with pytest.raises(SourceFailed):
        await source.next()
    consul.status = 200
    assert names(await source.find()) == []
    await consul.put("vllm", Instance("10.0.0.7"))
    async with asyncio.timeout(10):
        assert names(await source.next()) == ["vllm-10-0-0-7-8000"]
    await source.close()


async def test_a_weight_of_consuls_becomes_one_of_ours(
    consul: FakeConsul, source: ConsulSource
) -> None:
    """Weights go from 1 to 1000 here, and an instance with another one serves all the same."""
    weights = (0, 7, 65535)
    await consul.put("vllm", *(Instance(f"10.0.0.{w % 9}", weight=w) for w in weights))
    found = await source.find()
    assert sorted(candidate.weight for candidate in found.candidates) == [1, 7, 1000]


async def test_a_tag_narrows_the_search(consul: FakeConsul) -> None:
    """Only instances with the tag are found."""
    await consul.put("vllm", Instance("10.0.0.7", tags=["gpu"]), Instance("10.0.0.8"))
    consul.token = None
    source = ConsulSource(ConsulSettings(consul.url, ("vllm",), tag="gpu"), pause_s=0.0)
    assert names(await source.find()) == ["vllm-10-0-0-7-8000"]
    await source.close()
