"""Local servers are found at their ports, stay while they are busy, and leave with their port."""

import pytest

from health_worker.discovery.candidate import Candidate
from health_worker.discovery.local_servers import SERVERS, LocalServer, LocalServersSource
from health_worker.discovery.models import ModelAsker
from proxy.domain.discovery import DiscoverySettings
from tests.fakes.ports import find_port
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_a_server_is_found_while_its_port_is_open() -> None:
    """It is named with the models it lists; one that loads a model is kept until it is gone."""
    asker = ModelAsker(DiscoverySettings(local_servers=True))
    server = answering({"data": [{"id": "m"}]})
    async with open_raw_upstream(server) as upstream:
        programs = [
            LocalServer("local-lm-studio", "lm_studio", upstream.port),
            LocalServer("local-other", "no-such-type", find_port()),
        ]
        source = LocalServersSource(asker, (), programs)
        wanted = Candidate(
            "local-lm-studio", f"http://127.0.0.1:{upstream.port}/v1", "lm_studio", ("m",)
        )
        assert (await source.next()).candidates == (wanted,)
        server.status = 503
        assert (await source.next()).candidates == (wanted,)
    assert (await source.next()).candidates == ()
    await source.close()
    await asker.close()


async def test_this_proxy_is_no_local_server() -> None:
    """A port that the proxy itself listens at is not asked."""
    asker = ModelAsker(DiscoverySettings(local_servers=True))
    async with open_raw_upstream(answering({"data": [{"id": "m"}]})) as upstream:
        programs = [LocalServer("a", "llama_cpp", upstream.port)]
        source = LocalServersSource(asker, {upstream.port}, programs)
        assert (await source.find()).candidates == ()
        assert upstream.connections == []
    await asker.close()


def test_the_ports_are_those_of_the_programs() -> None:
    """LM Studio, llama.cpp and Ollama are looked for where they listen by default."""
    ports = {server.type: server.port for server in SERVERS}
    assert ports == {"lm_studio": 1234, "llama_cpp": 8080, "ollama": 11434}
