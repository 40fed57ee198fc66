"""A health worker with everything around it, in the loop of the test."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from health_worker import process as process_module
from health_worker.process import HealthProcess
from health_worker.publish import NoPublisher, RedisPublisher
from proxy.domain.catalog import Provider, Snapshot
from proxy.domain.identity import KeyHasher
from proxy.domain.service_errors import HealthWorkerUnavailable
from proxy.domain.settings import InstallSettings, Settings
from proxy.stores.redis_link import RedisLink
from proxy.stores.redis_verdicts import RedisVerdicts
from tests.fakes.model_servers import ModelServers, serving_models
from tests.fakes.ports import find_port

pytestmark = pytest.mark.usefixtures("no_leaks")


class Recorder(NoPublisher):
    """Notes what is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told = asyncio.Event()

    async def tell(self, verdicts: object, **more: object) -> bool:
        """Note that there are verdicts."""
        if verdicts:
            self.told.set()
        return True


@asynccontextmanager
async def running(
    folder: Path,
    port: int,
    servers: ModelServers,
    *,
    must_listen: bool = True,
    is_good: bool = True,
) -> AsyncIterator[tuple[HealthProcess, Recorder]]:
    """Run one over a single provider."""
    install = InstallSettings(state_dir=str(folder), health_listen=("127.0.0.1", port))
    publisher = Recorder()
    process = HealthProcess(install, KeyHasher(b"pepper"), publisher)
    url = f"http://127.0.0.1:{servers.port}/a/v1"
    provider = Provider("a", "openai_compatible", url, models=("m",))
    process.take_config(Snapshot(1, 0.0, Settings(), {"a": provider}, {}, {}), (), install)
    stop = asyncio.Event()
    try:
        await process.open(must_listen=must_listen)
        work = asyncio.create_task(process.run(asyncio.create_task(stop.wait())))
        yield process, publisher
        stop.set()
        assert await asyncio.wait_for(work, 20) == is_good
    finally:
        await process.close()


async def read_health(port: int) -> int:
    """Return the status of `/health`."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/health") as answer,
    ):
        return answer.status


async def test_it_probes_and_serves_its_api(tmp_path: Path) -> None:
    """What is configured is probed, the API answers, and one line says how it stands."""
    port = find_port()
    with serving_models() as servers:
        async with running(tmp_path, port, servers) as (process, publisher):
            await asyncio.wait_for(publisher.told.wait(), 20)
            assert process.describe() == "probes; 1 of 1 healthy"
            assert await read_health(port) == 200
            process.take_config(Snapshot(2, 0.0, Settings(), {}, {}, {}), (), InstallSettings())
            assert process.describe() == "probes; 0 of 0 healthy"


async def test_one_that_hears_of_no_leader_says_so(tmp_path: Path) -> None:
    """Without Redis there it says that nobody is heard of, and not that another one probes."""
    link = RedisLink("redis://127.0.0.1:1")
    process = HealthProcess(
        InstallSettings(state_dir=str(tmp_path), health_listen=None),
        KeyHasher(b"pepper"),
        RedisPublisher(link),
        verdicts=RedisVerdicts(link),
    )
    assert process.describe() == "stands by; nobody that is heard of probes 0 targets"
    await process.close()


async def test_an_address_that_is_taken_ends_one_that_must_listen(tmp_path: Path) -> None:
    """It is an error that names the address."""
    with serving_models() as servers, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}"):
            async with running(tmp_path, port, servers):
                pytest.fail("it has begun")


async def test_an_address_that_is_taken_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that need not listen probes meanwhile, and serves its API once the address is free."""
    tried = asyncio.Event()
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds == 0.017:
            tried.set()
        await real_sleep(seconds)

    monkeypatch.setattr(process_module, "LISTEN_AGAIN_S", 0.017)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    with serving_models() as servers, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with running(tmp_path, port, servers, must_listen=False) as (_, publisher):
            await asyncio.wait_for(publisher.told.wait(), 20)
            await asyncio.wait_for(tried.wait(), 20)
            taken.close()
            async with asyncio.timeout(20):
                while True:
                    try:
                        assert await read_health(port) == 200
                    except aiohttp.ClientConnectionError:
                        continue
                    break


async def test_a_fault_of_the_loop_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the loop itself fails, that is told and so is the end, so that it is started anew."""

    async def fail() -> bool:
        raise RuntimeError("a fault of ours")

    with serving_models() as servers:
        async with running(tmp_path, find_port(), servers, is_good=False) as (process, publisher):
            await asyncio.wait_for(publisher.told.wait(), 20)
            monkeypatch.setattr(publisher, "lead", fail)
            with pytest.raises(HealthWorkerUnavailable):
                await process.worker.order("check")
