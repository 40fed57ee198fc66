"""EndpointSlices: listed, watched, resumed, listed anew; with a token that changes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from health_worker.discovery.base import SourceFailed
from health_worker.discovery.candidate import Found
from health_worker.discovery.kubernetes import IN_CLUSTER, KubernetesSource, find_api
from proxy.domain.discovery import KubernetesSettings
from tests.fakes.kubernetes import NAMESPACE, FakeKubernetes, build_slice, open_kubernetes

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
async def cluster() -> AsyncIterator[FakeKubernetes]:
    """A cluster with one slice."""
    async with open_kubernetes() as fake:
        await fake.put(build_slice("vllm-a", "10.0.0.7"))
        yield fake


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """What a pod finds in itself."""
    (tmp_path / "token").write_text("token-1\n")
    (tmp_path / "namespace").write_text(NAMESPACE)
    return tmp_path


def open_source(
    cluster: FakeKubernetes, account: Path, port: str | None = None
) -> KubernetesSource:
    """Return what watches the cluster."""
    settings = KubernetesSettings("llm-proxy=true", api_url=cluster.url, port=port)
    return KubernetesSource(settings, {}, account, pause_s=0.0)


@pytest.fixture
async def source(cluster: FakeKubernetes, account: Path) -> AsyncIterator[KubernetesSource]:
    """What watches the cluster."""
    source = open_source(cluster, account)
    yield source
    await source.close()


def urls(found: Found) -> dict[str, str]:
    """Return addresses by name."""
    return {candidate.name: candidate.base_url for candidate in found.candidates}


async def test_ready_endpoints_are_providers(
    cluster: FakeKubernetes, source: KubernetesSource
) -> None:
    """Each ready endpoint is one; labels say its type and path, TCP's first port is used."""
    await cluster.put(build_slice("b", "10.0.0.8", "10.0.0.9", type="llama_cpp", path="api"))
    await cluster.put(build_slice("c", "10.0.0.10", ready=False))
    await cluster.put(build_slice("d", "fd00::1", ready=None))
    await cluster.put(build_slice("e", "10.0.0.11", type="no-such"))
    found = await source.next()
    assert urls(found) == {
        "vllm-10-0-0-7": "http://10.0.0.7:8000/v1",
        "vllm-10-0-0-8": "http://10.0.0.8:8000/api",
        "vllm-10-0-0-9": "http://10.0.0.9:8000/api",
        "vllm-fd00--1": "http://[fd00::1]:8000/v1",
    }
    types = {candidate.name: candidate.type for candidate in found.candidates}
    assert types["vllm-10-0-0-8"] == "llama_cpp"
    assert types["vllm-10-0-0-7"] == "openai_compatible"


async def test_changes_are_told_by_the_watch(
    cluster: FakeKubernetes, source: KubernetesSource
) -> None:
    """What comes, changes and goes is told without another list."""
    await source.next()
    waiting = asyncio.create_task(source.next())
    await cluster.wait_for_watch()
    await cluster.put(build_slice("b", "10.0.0.8"))
    assert set(urls(await waiting)) == {"vllm-10-0-0-7", "vllm-10-0-0-8"}
    await cluster.put(build_slice("b", "10.0.0.8", ready=False))
    assert set(urls(await source.next())) == {"vllm-10-0-0-7"}
    await cluster.delete("vllm-a")
    assert urls(await source.next()) == {}
    assert (cluster.lists, len(cluster.watches)) == (1, 1)


async def test_a_watch_that_ends_is_resumed_behind_the_bookmark(
    cluster: FakeKubernetes, source: KubernetesSource
) -> None:
    """The next watch begins where the last one ended, and misses nothing between."""
    await source.next()
    waiting = asyncio.create_task(source.next())
    await cluster.wait_for_watch(1)
    await cluster.bookmark()
    await cluster.cut()
    await cluster.wait_for_watch(2)
    await cluster.put(build_slice("b", "10.0.0.8"))
    assert "vllm-10-0-0-8" in urls(await waiting)
    assert cluster.lists == 1
    assert cluster.watches == sorted(cluster.watches)


async def test_a_version_that_is_too_old_is_a_new_list(
    cluster: FakeKubernetes, source: KubernetesSource
) -> None:
    """410 Gone leads to a list, and the watch goes on behind that."""
    await source.next()
    waiting = asyncio.create_task(source.next())
    await cluster.wait_for_watch(1)
    await cluster.forget()
    await cluster.cut()
    assert set(urls(await waiting)) == {"vllm-10-0-0-7"}
    assert cluster.lists == 2
    waiting = asyncio.create_task(source.next())
    await cluster.wait_for_watch(3)
    await cluster.put(build_slice("b", "10.0.0.8"))
    assert "vllm-10-0-0-8" in urls(await waiting)


async def test_a_token_is_read_anew(
    cluster: FakeKubernetes, source: KubernetesSource, account: Path
) -> None:
    """A token that was replaced is used at once, and one that is refused is a failure."""
    await source.find()
    cluster.tokens = {"token-2"}
    with pytest.raises(SourceFailed, match=r"may not list and watch .*401"):
        await source.find()
    (account / "token").write_text("token-2")
    assert urls(await source.find())
    (account / "token").unlink()
    with pytest.raises(SourceFailed, match="token file cannot be read"):
        await source.find()


async def test_long_lists_come_in_pages(cluster: FakeKubernetes, source: KubernetesSource) -> None:
    """A list of several pages is one."""
    cluster.page_size = 2
    for number in range(5):
        await cluster.put(build_slice(f"s{number}", f"10.0.1.{number}"))
    assert len((await source.find()).candidates) == 6
    assert cluster.lists == 3


async def test_a_port_can_be_named(cluster: FakeKubernetes, account: Path) -> None:
    """A slice without the port of that name is told, and not guessed at."""
    for port, count in (("http", 1), ("grpc", 0)):
        source = open_source(cluster, account, port)
        found = await source.find()
        assert (len(found.candidates), len(found.problems)) == (count, 1 - count)
        await source.close()


async def test_an_outage_keeps_the_place(cluster: FakeKubernetes, source: KubernetesSource) -> None:
    """After a failure the watch goes on where it was, without another list."""
    await source.next()
    cluster.tokens = set()
    with pytest.raises(SourceFailed):
        await source.next()
    cluster.tokens = {"token-1"}
    await cluster.put(build_slice("b", "10.0.0.8"))
    assert "vllm-10-0-0-8" in urls(await source.next())
    assert cluster.lists == 1


def test_a_pod_knows_where_its_api_is(account: Path) -> None:
    """Without an address it is what a pod finds in its environment, else the service's name."""
    environ = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    assert find_api(environ) == "https://10.96.0.1:6443"
    assert find_api({"KUBERNETES_SERVICE_HOST": "fd00::1"}) == "https://[fd00::1]:443"
    assert find_api({}) == IN_CLUSTER
