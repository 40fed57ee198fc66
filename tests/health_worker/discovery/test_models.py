"""Servers are asked for their models with the key of the search, and only where they may be."""

import pytest

from health_worker.discovery.candidate import Candidate
from health_worker.discovery.models import ModelAsker
from proxy.domain.discovery import DiscoverySettings
from proxy.domain.secret import Secret
from tests.fakes.ports import find_port
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering

pytestmark = pytest.mark.usefixtures("no_leaks")

HERE = ("127.0.0.0/8",)
MODELS = {"object": "list", "data": [{"id": "m-1"}, {"id": "m-2"}]}


async def test_a_server_is_asked_with_the_key_of_the_search() -> None:
    """Its list is read, and the key goes to what was found elsewhere, not to a local server."""
    server = answering(MODELS)
    async with open_raw_upstream(server) as upstream:
        asker = ModelAsker(DiscoverySettings(api_key=Secret("sk-search"), private_networks=HERE))
        candidate = Candidate("a", upstream.url)
        assert (await asker.ask(candidate, "registry")).models == ("m-1", "m-2")
        assert (await asker.ask(candidate, "local")).models == ("m-1", "m-2")
        await asker.close()
    lines = [line for line, _, _ in server.requests]
    assert lines == ["GET /v1/models HTTP/1.1"] * 2
    sent = [headers.get("authorization") for _, headers, _ in server.requests]
    assert sent == ["Bearer sk-search", None]


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (Candidate("a", "http://127.0.0.1:1/v1"), "not in discovery.private_networks"),
        (Candidate("a", "http://169.254.169.254/v1"), "no provider is ever reached"),
        (Candidate("a", "https://a.example", "no-such"), "its type is not known"),
    ],
)
async def test_nobody_is_asked_at_a_forbidden_address(candidate: Candidate, reason: str) -> None:
    """What may not be a provider is not spoken to either."""
    asker = ModelAsker(DiscoverySettings())
    assert reason in (await asker.ask(candidate, "registry")).reason
    await asker.close()


async def test_whoever_names_no_models_is_told_apart() -> None:
    """An empty list, an error and a port that nobody listens at have reasons of their own."""
    asker = ModelAsker(DiscoverySettings())
    async with open_raw_upstream(answering({"data": []})) as upstream:
        asked = await asker.ask(Candidate("a", upstream.url), "local")
        assert (asked.models, asked.reason) == ((), "it lists no models")
        asker.rest()
    async with open_raw_upstream(answering({}, 503)) as upstream:
        asked = await asker.ask(Candidate("b", upstream.url), "local")
        assert not asked.is_refused
        assert "503" in asked.reason
    asked = await asker.ask(Candidate("c", f"http://127.0.0.1:{find_port()}/v1"), "local")
    assert asked.is_refused
    await asker.close()
