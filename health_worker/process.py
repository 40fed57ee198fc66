"""
Puts a health worker together with everything around it, whoever has started it.

`supervised.py` and `standalone.py` say where its configuration comes from and when it ends.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

from health_worker.api import HealthApi
from health_worker.api_breakers import SharedBreakers, ToldBreakers
from health_worker.api_metrics import ProbeMetrics
from health_worker.api_server import ApiServer
from health_worker.discovery.discovery import Discovery
from health_worker.probe import Prober
from health_worker.publish import Publisher
from health_worker.worker import HealthWorker
from proxy.domain.catalog import Snapshot
from proxy.domain.discovery import DiscoverySettings
from proxy.domain.event import Event
from proxy.domain.health import HealthOrder, HealthVerdict, WatchedEndpoint
from proxy.domain.identity import KeyHasher
from proxy.domain.settings import InstallSettings
from proxy.stores.redis_breakers import RedisBreakers
from proxy.stores.redis_verdicts import RedisVerdicts

LISTEN_AGAIN_S = 5.0
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
        verdicts: RedisVerdicts | None = None,
        breakers: RedisBreakers | None = None,
    ) -> None:
        """
        Put it together; nothing is probed and nobody is listened to yet.

        Args:
            install: where state is kept, and where its own API listens.
            hasher: what keys of clients are hashed with.
            publisher: brings what it tells to the proxies.
            verdicts: what the worker that leads has told, where it tells through Redis.
            breakers: those that all proxies share there.
        """
        self._install = install
        self._publisher = publisher
        self._verdicts = verdicts
        self._breakers = breakers
        self._told_breakers = ToldBreakers()
        self._prober = Prober()
        listens = (*install.listen, *filter(None, [install.health_listen]))
        self._discovery = Discovery(
            DiscoverySettings(), Path(install.state_dir), own_ports=[port for _, port in listens]
        )
        self._metrics = metrics = ProbeMetrics()
        self.worker = HealthWorker(
            publisher,
            self._prober,
            discover=self._discovery.run_now,
            delegate=None if verdicts is None else self._delegate,
            watcher=metrics,
        )
        # Only shown: what decides about requests is in the proxies.
        shown = self._told_breakers if breakers is None else SharedBreakers(breakers)
        api = HealthApi(
            self.worker,
            hasher,
            metrics,
            shown,
            read_told=self._read_told,
            is_told=self._is_another_heard,
        )
        self._server = ApiServer(api, metrics)
        self._opening: asyncio.Task[None] | None = None

    def take_config(
        self,
        snapshot: Snapshot,
        endpoints: Sequence[WatchedEndpoint],
        install: InstallSettings,
    ) -> None:
        """Go by another configuration from now on."""
        self.worker.take_config(snapshot, endpoints)
        self._metrics.keep(self.worker.targets.keys())
        self._told_breakers.keep(snapshot.providers.keys())
        self._discovery.update(snapshot.settings.discovery)
        if self._breakers is not None:
            self._breakers.rules = snapshot.settings.breaker

    def take_events(self, events: Sequence[Event]) -> None:
        """Hear what has happened in the workers of this service."""
        self._told_breakers.take(events)

    async def open(self, *, must_listen: bool) -> None:
        """
        Serve its own API, if it is to have one.

        Raises:
            OSError: its address is taken, and it must listen; the text says how to mend that.
        """
        listen = self._install.health_listen
        if listen is None:
            return
        try:
            await self._server.open(listen)
        except OSError as error:
            if must_listen:
                raise
            _log.warning("the health worker's own API is not served", reason=error.strerror)
            # A predecessor may hold the address for a moment more.
            self._opening = asyncio.create_task(self._open_later(listen))

    async def run(self, until: "asyncio.Task[object]") -> bool:
        """Probe and search until something else has ended; False if it is itself that failed."""
        self._discovery.start()
        running = asyncio.create_task(self.worker.run())
        await asyncio.wait([running, until], return_when=asyncio.FIRST_COMPLETED)
        for task in (running, until):
            task.cancel()
        await asyncio.wait([running, until])
        errors = [task.exception() for task in (running, until) if not task.cancelled()]
        for error in filter(None, errors):
            # Better an end that is answered with a restart than half a service.
            _log.error("the health worker failed", exc_info=error)
        return not any(errors)

    async def close(self) -> None:
        """Let the next one lead, and let go of all that is held."""
        await self._publisher.close()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        await self._server.close()
        await self._discovery.close()
        await self._prober.close()
        for store in (self._breakers, self._verdicts):
            if store is not None:
                await store.close()

    def describe(self) -> str:
        """Return how it stands, in one line."""
        worker = self.worker
        if not worker.is_leading and self._verdicts is None:
            return "about to probe"
        if not worker.is_leading:
            other = "another one" if self._is_another_heard() else "nobody that is heard of"
            return f"stands by; {other} probes {len(worker.targets)} targets"
        states = [verdict.state for verdict in worker.verdicts.values()]
        doubt = ", doubts what it sees" if worker.is_suspect else ""
        return f"probes; {states.count('healthy')} of {len(worker.targets)} healthy{doubt}"

    async def _delegate(self, order: HealthOrder, names: Sequence[str]) -> None:
        if self._verdicts is not None:
            await self._verdicts.order(order, tuple(names), ORDER_WITHIN_S)

    def _is_another_heard(self) -> bool:
        return self._verdicts is not None and self._verdicts.is_alive

    def _read_told(self) -> dict[str, HealthVerdict]:
        """Return what the worker that leads has told of the targets."""
        if self._verdicts is None:
            return {}
        found = {n: self._verdicts.find(t.provider) for n, t in self.worker.targets.items()}
        return {name: verdict for name, verdict in found.items() if verdict is not None}

    async def _open_later(self, listen: tuple[str, int]) -> None:
        while True:
            await asyncio.sleep(LISTEN_AGAIN_S)
            try:
                await self._server.open(listen)
            except OSError:
                continue  # told once, and why
            _log.info("the health worker's own API is served by now")
            return
