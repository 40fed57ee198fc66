"""A supervisor's health worker that is a scripted one, and all that it has told."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from proxy.control.messages import Publish, Start, Watch
from proxy.domain.health import HealthNews, WatchedEndpoint
from proxy.domain.settings import InstallSettings
from proxy.supervisor.health_child import NUMBER, HealthChild, HealthOrders
from proxy.supervisor.spawn import SpawnedWorker
from tests.promises.tree import ROOT

WATCHED = WatchedEndpoint("beside", "http://127.0.0.1:9")


class ChildUnderTest:
    """A health worker as the supervisor keeps it."""

    def __init__(self, install: InstallSettings, *manners: str) -> None:
        self.news: list[HealthNews] = []
        self.spawned: list[SpawnedWorker] = []
        self.generation = 1
        self._manners = list(manners)
        self._changed = asyncio.Event()
        self.child = HealthChild(
            install=install, spawn=self._spawn, give_orders=self._give, on_news=self._take
        )

    async def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Return as soon as something is so; asked anew at each news."""
        async with asyncio.timeout(20):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()

    def _spawn(self) -> SpawnedWorker:
        manner = self._manners.pop(0) if len(self._manners) > 1 else self._manners[0]
        ours, theirs = socket.socketpair()
        module = "tests.fakes.scripted_health_worker"
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno()), manner],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self.spawned.append(SpawnedWorker(process, ours))
        self._changed.set()
        return self.spawned[-1]

    def _give(self) -> HealthOrders:
        start = Start(NUMBER, InstallSettings(), b"")
        return HealthOrders(start, Watch((WATCHED,)), Publish(self.generation, ()))

    def _take(self, news: HealthNews) -> None:
        self.news.append(news)
        self._changed.set()


@asynccontextmanager
async def keeping(
    *manners: str, install: InstallSettings | None = None
) -> AsyncIterator[ChildUnderTest]:
    """Keep a health worker that behaves in these manners, one after the other."""
    under_test = ChildUnderTest(install or InstallSettings(), *manners)
    try:
        under_test.child.start()
        yield under_test
        await under_test.child.close()
    finally:
        for spawned in under_test.spawned:
            if spawned.process.poll() is None:
                spawned.process.kill()
                spawned.process.wait()
