"""A fleet of scripted workers, and what it tells while they come, die and drain."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from msgspec.structs import replace

from proxy.control.messages import (
    Answer,
    Ask,
    BreakerOrder,
    Happened,
    Publish,
    Start,
    Tell,
    Verdicts,
)
from proxy.domain.service import ConfigStatus, ServiceStatus, UptimeRecord
from proxy.domain.settings import InstallSettings
from proxy.supervisor.fleet import Fleet, Orders
from proxy.supervisor.spawn import SpawnedWorker
from proxy.supervisor.worker_process import WorkerProcess
from tests.promises.tree import ROOT

STATUS = ServiceStatus(ConfigStatus(1, 0.0), UptimeRecord(0.0, 0.0, 0.0, is_routable=True))
ORDERS = Orders(Start(0, InstallSettings(drain_timeout_s=5.0), b""), Tell(STATUS), Publish(1, ()))


class FleetUnderTest:
    """A fleet, and everything that it has told."""

    def __init__(self, *manners: str) -> None:
        self.restarts: list[str] = []
        self.asked: list[Ask] = []
        self.failures: list[BaseException] = []
        self.publish = ORDERS.publish
        self.breakers: tuple[BreakerOrder, ...] = ()
        self.verdicts: Verdicts | None = None
        self.events: list[Happened] = []
        self.on_spawn: Callable[[], None] = lambda: None
        self.spawned: list[SpawnedWorker] = []
        self._manners = list(manners)
        self._news = asyncio.Event()
        self.fleet = Fleet(
            spawn=self.spawn,
            give_orders=lambda number: replace(
                ORDERS, publish=self.publish, breakers=self.breakers, verdicts=self.verdicts
            ),
            listening=[],
            on_ask=self._take_ask,
            on_change=self._news.set,
            on_restart=self._take_restart,
            on_failure=self.failures.append,
            on_events=self.events.append,
        )

    def spawn(self) -> SpawnedWorker:
        """Start one of the next manner; the last one is that of all further ones."""
        manner = self._manners.pop(0) if len(self._manners) > 1 else self._manners[0]
        spawned = spawn_scripted(manner)
        self.spawned.append(spawned)
        self.on_spawn()
        return spawned

    async def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Return as soon as something is so; asked anew at each news."""
        async with asyncio.timeout(20):
            while not is_so():
                self._news.clear()
                await self._news.wait()

    def _take_ask(self, worker: WorkerProcess, ask: Ask) -> None:
        self.asked.append(ask)
        self._news.set()
        if ask.what == "reload":
            worker.answer(Answer(ask.id, b'{"as": "told"}'))

    def _take_restart(self, reason: str) -> None:
        self.restarts.append(reason)
        self._news.set()


@asynccontextmanager
async def running(*manners: str, count: int = 1) -> AsyncIterator[FleetUnderTest]:
    """Run a fleet of `count` workers that behave in these manners, one after the other."""
    under_test = FleetUnderTest(*manners)
    try:
        await under_test.fleet.start(count, under_test.spawn())
        yield under_test
        under_test.fleet.drain(5.0, 0.0)
        await under_test.fleet.wait_until_ended()
        assert under_test.failures == []
    finally:
        for spawned in under_test.spawned:
            if spawned.process.poll() is None:
                spawned.process.kill()
                spawned.process.wait()


def spawn_scripted(manner: str) -> SpawnedWorker:
    """Start a scripted worker."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.scripted_worker", str(theirs.fileno()), manner],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    return SpawnedWorker(process, ours)
