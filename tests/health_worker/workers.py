"""A health worker whose publisher and prober are the test's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from health_worker.publish import TakeOrder, ignore_order
from health_worker.targets import Target
from health_worker.verdict import ProbeResult
from health_worker.worker import HealthWorker
from proxy.domain.catalog import Provider, Snapshot
from proxy.domain.health import HealthVerdict, ProbeReading
from proxy.domain.settings import Settings

GOOD = ProbeResult(ProbeReading("healthy", "200"), 0.1)
SILENT = ProbeResult(ProbeReading("unhealthy", "no answer"), None, has_answered=False)


class Told(Struct, frozen=True):
    """One piece of news."""

    verdicts: tuple[HealthVerdict, ...]
    answered: tuple[str, ...]
    is_suspect: bool
    is_cleared: bool


class FakePublisher:
    """Leads when the test says so, and keeps what it is given to tell."""

    lives_s = 30.0

    def __init__(self) -> None:
        self.on_order: TakeOrder = ignore_order
        self.is_leading = True
        self.told: list[Told] = []
        self.changed = asyncio.Event()

    async def lead(self) -> bool:
        """Say whether it leads."""
        self.changed.set()
        return self.is_leading

    async def tell(
        self,
        verdicts: Sequence[HealthVerdict],
        *,
        answered: Sequence[str] = (),
        is_suspect: bool = False,
        is_cleared: bool = False,
    ) -> bool:
        """Keep it."""
        told = Told(tuple(verdicts), tuple(answered), is_suspect, is_cleared)
        self.told.append(told)
        self.changed.set()
        return True

    async def close(self) -> None:
        """Hold nothing."""


class FakeProber:
    """Answers as the test says, by name; who is held waits until let go."""

    def __init__(self) -> None:
        self.results: dict[str, ProbeResult | Exception] = {}
        self.asked: list[str] = []
        self.kept: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.wanted_at_once = 0
        self.are_enough = asyncio.Event()
        """Set when `wanted_at_once` are asked at the same time."""
        self.at_once = 0

    async def probe(self, target: Target, timeout_s: float) -> ProbeResult:
        """Return what the test says of it."""
        self.asked.append(target.name)
        self.at_once += 1
        if self.at_once == self.wanted_at_once:
            self.are_enough.set()
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        result = self.results.get(target.name, GOOD)
        if isinstance(result, Exception):
            raise result
        return result

    def keep(self, targets: Mapping[str, Target]) -> None:
        """Note who is kept."""
        self.kept = sorted(targets)


class WorkerUnderTest:
    """A worker that runs, and a clock that stands until it is moved."""

    def __init__(self, **arguments: Any) -> None:
        self.publisher = FakePublisher()
        self.prober = FakeProber()
        self.now_s = 1000.0
        self.worker = HealthWorker(
            self.publisher, self.prober, read_clock_s=lambda: self.now_s, **arguments
        )

    def take(self, *names: str, generation: int = 1) -> None:
        """Have it go by a configuration with these providers."""
        self.worker.take_config(build_snapshot(*names, generation=generation))

    async def move(self, by_s: float) -> None:
        """Move the clock, and have the loop look at it."""
        self.now_s += by_s
        # What it is told anew is what it has; the call wakes it.
        self.worker.take_config(self.worker.snapshot)

    async def lose_lease(self) -> None:
        """Have it note that it leads no more."""
        self.publisher.is_leading = False
        async with asyncio.timeout(20):
            while self.worker.is_leading:
                await self.move(0.0)
                self.publisher.changed.clear()
                await self.publisher.changed.wait()

    async def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Return as soon as something is so; asked anew at each news."""
        async with asyncio.timeout(20):
            while not is_so():
                self.publisher.changed.clear()
                await self.publisher.changed.wait()

    def heard(self) -> dict[str, str]:
        """Return what the proxies have heard last of each provider."""
        heard: dict[str, str] = {}
        for told in self.publisher.told:
            if told.is_cleared:
                heard.clear()
            heard.update((verdict.provider, verdict.state) for verdict in told.verdicts)
        return heard


def build_snapshot(*names: str, generation: int = 1) -> Snapshot:
    """Return a snapshot with these providers; where each is, is the same each time."""
    providers = {
        name: Provider(name, "openai_compatible", f"https://{name}.example/v1", models=("m",))
        for name in names
    }
    return Snapshot(generation, 0.0, Settings(), providers, {}, {})


@asynccontextmanager
async def working(*names: str, **arguments: Any) -> AsyncIterator[WorkerUnderTest]:
    """Run a worker over these providers, whose first probes are due at once."""
    under_test = WorkerUnderTest(**arguments)
    under_test.take(*names)
    running = asyncio.create_task(under_test.worker.run())
    try:
        # Its first turn is over: from now on it goes by the clock of the test.
        await under_test.wait_for(lambda: bool(under_test.publisher.told))
        yield under_test
        assert not running.done(), running.exception()
    finally:
        running.cancel()
        await asyncio.wait([running])
