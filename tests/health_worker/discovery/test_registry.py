"""A list behind a URL: with its token, its ETag, and entries that cost only themselves."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from health_worker.discovery.base import SourceFailed
from health_worker.discovery.candidate import Candidate
from health_worker.discovery.registry import RegistrySource
from proxy.domain.discovery import RegistrySettings
from proxy.domain.secret import Secret
from tests.fakes.registry import FakeRegistry, open_registry

pytestmark = pytest.mark.usefixtures("no_leaks")

ENTRY = {"name": "a", "type": "vllm", "base_url": "https://a.example", "models": ["m"]}


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    """A registry."""
    async with open_registry() as fake:
        yield fake


@pytest.fixture
async def source(registry: FakeRegistry) -> AsyncIterator[RegistrySource]:
    """What asks it, with a token."""
    registry.token = "r-token"
    source = RegistrySource(RegistrySettings(registry.url, Secret("r-token")))
    yield source
    await source.close()


@pytest.mark.parametrize("wraps", [True, False])
async def test_a_list_is_read(registry: FakeRegistry, source: RegistrySource, wraps: bool) -> None:
    """A bare list and one under `providers` mean the same; unknown keys mean nothing."""
    entries = [{**ENTRY, "headers": {"x": "y"}, "api_key": "k"}]
    registry.list = {"providers": entries} if wraps else entries
    found = await source.next()
    assert found.candidates == (Candidate("a", "https://a.example/v1", "vllm", ("m",)),)
    assert found.problems == ()


async def test_what_has_not_changed_is_not_sent_again(
    registry: FakeRegistry, source: RegistrySource
) -> None:
    """The ETag goes back, and 304 stands for what was read before."""
    registry.list = [ENTRY]
    first = await source.next()
    assert await source.next() == first
    assert registry.answers == [200, 304]
    registry.list = []
    assert (await source.find()).candidates == ()
    assert registry.answers == [200, 304, 200]


async def test_a_broken_entry_costs_only_itself(
    registry: FakeRegistry, source: RegistrySource
) -> None:
    """Entries that cannot be read are told by their number, never by what they say."""
    registry.list = [{"name": 1}, {**ENTRY, "name": "a b"}, "text", ENTRY]
    found = await source.next()
    assert [candidate.name for candidate in found.candidates] == ["a"]
    assert found.problems == (
        "entry 1 needs name and base_url as text",
        "entry 2 has a name that cannot be used",
        "entry 3 needs name and base_url as text",
    )


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"status": 503}, "status 503"),
        ({"token": "another"}, "status 401"),
        ({"list": b"<html>"}, "not JSON"),
        ({"list": {"a": 1}}, "no list of providers"),
        ({"list": 3}, "no list of providers"),
    ],
)
async def test_an_answer_that_is_no_list_is_a_failure(
    registry: FakeRegistry, source: RegistrySource, what: dict[str, Any], reason: str
) -> None:
    """Errors and pages say nothing of the providers."""
    for key, value in what.items():
        setattr(registry, key, value)
    with pytest.raises(SourceFailed, match=reason):
        await source.next()
