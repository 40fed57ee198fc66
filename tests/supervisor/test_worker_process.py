"""One worker as the supervisor sees it: told, heard, and missed when it is gone."""

import asyncio

import pytest

from proxy.control.messages import Ask, Publish
from proxy.supervisor.worker_process import WorkerProcess, describe_end
from tests.supervisor.fleets import ORDERS, spawn_scripted

pytestmark = pytest.mark.usefixtures("no_leaks")


class Asked:
    """Keeps what workers ask."""

    def __init__(self) -> None:
        self.asks: list[Ask] = []
        self.news = asyncio.Event()

    def take(self, worker: WorkerProcess, ask: Ask) -> None:
        """Keep one ask."""
        self.asks.append(ask)
        self.news.set()


async def begin(manner: str, asked: Asked | None = None) -> WorkerProcess:
    """Start a scripted worker and give it its orders."""
    worker = WorkerProcess(spawn_scripted(manner), 0, (asked or Asked()).take)
    await worker.begin(ORDERS.start, [])
    worker.send(ORDERS.tell)
    worker.publish(ORDERS.publish)
    return worker


async def test_it_is_ready_serves_and_ends() -> None:
    """Ready and the acknowledged number are known; after a drain it is gone with status 0."""
    async with asyncio.timeout(20):
        worker = await begin("good")
        await worker.ready.wait()
        await worker.news.wait()
        assert worker.served_generation == 1
        worker.drain(1.0)
        await worker.gone.wait()
    assert worker.status == 0
    assert worker.leaving.is_set()


async def test_only_the_newest_of_many_snapshots_waits() -> None:
    """A worker that is busy with one snapshot gets the last of those that came meanwhile."""
    async with asyncio.timeout(20):
        worker = await begin("good")
        for generation in range(2, 50):
            worker.publish(Publish(generation, ()))
        seen = []
        while worker.served_generation < 49:
            worker.news.clear()
            await worker.news.wait()
            seen.append(worker.served_generation)
        worker.drain(1.0)
        await worker.gone.wait()
    assert seen in ([1, 49], [49])


async def test_a_kill_is_noticed() -> None:
    """The end of its process is known at once, and by which signal."""
    async with asyncio.timeout(20):
        worker = await begin("good")
        await worker.ready.wait()
        worker.kill()
        await worker.gone.wait()
    assert describe_end(worker.status) == "SIGKILL"


async def test_one_that_died_before_its_orders_is_gone() -> None:
    """A process that ends while it is being spoken to is one that is gone, and no exception."""
    async with asyncio.timeout(20):
        spawned = spawn_scripted("good")
        spawned.process.kill()
        spawned.process.wait()
        worker = WorkerProcess(spawned, 0, Asked().take)
        await worker.begin(ORDERS.start, [])
        await worker.gone.wait()
    assert not worker.ready.is_set()


async def test_what_it_asks_is_answered() -> None:
    """An ask reaches the supervisor, and the answer the worker that has asked."""
    asked = Asked()
    async with asyncio.timeout(20):
        worker = await begin("asks", asked)
        await asked.news.wait()
        [ask] = asked.asks
        assert (ask.what, ask.by) == ("reload", "a test")
        worker.drain(1.0)
        await worker.gone.wait()


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exit status 0"), (-9, "SIGKILL"), (-40, "signal 40"), (None, "still running")],
)
def test_an_end_has_words(status: int | None, words: str) -> None:
    """Statuses and signals are told as operators know them."""
    assert describe_end(status) == words
