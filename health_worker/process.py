"""
Puts a health worker together with everything around it, whoever has started it.

`supervised.py` and `standalone.py` say where its configuration comes from and when it ends.
"""

import asyncio
from collections.abc import Sequence

import structlog

from health_worker.probe import Prober
from health_worker.publish import Publisher
from health_worker.worker import HealthWorker
from proxy.domain.catalog import Snapshot
from proxy.domain.event import Event
from proxy.domain.health import HealthOrder, WatchedEndpoint
from proxy.domain.identity import KeyHasher
from proxy.domain.settings import InstallSettings
from proxy.stores.redis_link import RedisLink
from proxy.stores.redis_verdicts import RedisVerdicts

ORDER_WITHIN_S = 10.0
"""How long the worker that leads may take to do what this one was asked for."""

_log = structlog.get_logger("llm_proxy.health_worker")


class HealthProcess:
    """One health worker, its discovery and its own API; made inside a running loop."""

    def __init__(
        self,
        install: InstallSettings,
        hasher: KeyHasher,
        publisher: Publisher,
        *,
        link: RedisLink | None = None,
        verdicts: RedisVerdicts | None = None,
    ) -> None:
        """
        Put it together; nothing is probed and nobody is listened to yet.

        Args:
            install: where state is kept, and where its own API listens.
            hasher: what keys of clients are hashed with.
            publisher: brings what it tells to the proxies.
            link: to Redis, where the publisher goes through it; started and closed by its owner.
            verdicts: what the worker that leads has told through Redis.
        """
        self._install = install
        self._publisher = publisher
        self._verdicts = verdicts
        self._prober = Prober()
        self.worker = HealthWorker(
            publisher,
            self._prober,
            delegate=None if verdicts is None else self._delegate,
        )

    def take_config(
        self,
        snapshot: Snapshot,
        endpoints: Sequence[WatchedEndpoint],
        install: InstallSettings,
    ) -> None:
        """Go by another configuration from now on."""
        self.worker.take_config(snapshot, endpoints)

    def take_events(self, events: Sequence[Event]) -> None:
        """Hear what has happened in the workers of this service."""

    async def open(self, *, must_listen: bool) -> None:
        """
        Serve its own API, if it is to have one.

        Raises:
            OSError: its address is taken, and it must listen; the text says how to mend that.
        """

    async def run(self, until: "asyncio.Task[object]") -> None:
        """Probe until something else has ended; a fault of the loop itself ends it too."""
        running = asyncio.create_task(self.worker.run())
        await asyncio.wait([running, until], return_when=asyncio.FIRST_COMPLETED)
        for task in (running, until):
            task.cancel()
        await asyncio.wait([running, until])
        for task in (running, until):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def close(self) -> None:
        """Let the next one lead, and let go of all that is held."""
        await self._publisher.close()
        await self._prober.close()
        if self._verdicts is not None:
            await self._verdicts.close()

    def describe(self) -> str:
        """Return how it stands, in one line."""
        worker = self.worker
        if not worker.is_leading:
            return f"stands by; another one probes {len(worker.targets)} targets"
        states = [verdict.state for verdict in worker.verdicts.values()]
        doubt = ", doubts what it sees" if worker.is_suspect else ""
        return f"probes; {states.count('healthy')} of {len(worker.targets)} healthy{doubt}"

    async def _delegate(self, order: HealthOrder, names: Sequence[str]) -> None:
        if self._verdicts is not None:
            await self._verdicts.order(order, tuple(names), ORDER_WITHIN_S)
