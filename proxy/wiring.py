"""Chooses the implementations, opens everything a worker needs, and closes it again."""

import asyncio
import math
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from proxy.control.handover import BACKLOG
from proxy.domain.breaker import BreakerCommand
from proxy.domain.catalog import Provider, Snapshot
from proxy.domain.event import Event
from proxy.domain.health import HealthNews, HealthOrder
from proxy.domain.identity import KeyHasher
from proxy.domain.service import ConfigStatus, ServiceStatus
from proxy.domain.settings import InstallSettings
from proxy.pipeline.board import Board
from proxy.pipeline.context import Runtime
from proxy.pipeline.load_watch import LoadWatch
from proxy.policy.breaker_targets import is_target
from proxy.providers.registry import SIMULATOR
from proxy.server.app import build_app, build_runner
from proxy.server.chat_endpoints import PATHS
from proxy.server.model_endpoints import MODEL_ENDPOINTS
from proxy.server.ollama_endpoints import OLLAMA_ENDPOINTS
from proxy.server.pass_through_endpoints import PASSED_ENDPOINTS
from proxy.server.response_endpoints import RESPONSE_ENDPOINT
from proxy.server.runner import ServerRunner
from proxy.server.state import Desk, ServerState, StillDesk
from proxy.simulator.transport import SimulatorTransport
from proxy.stores.factory import FastStores
from proxy.stores.memory import MemoryRateStore
from proxy.stores.redis_verdicts import RedisVerdicts
from proxy.telemetry.health import UptimeTracker, is_ready
from proxy.telemetry.log_writer import LogWriter
from proxy.telemetry.loop_lag import LagMeter, LoopLag
from proxy.telemetry.loop_tasks import LoopTasks
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.observer import ManyObservers
from proxy.telemetry.reload_news import describe_reload
from proxy.telemetry.request_log import RequestLog
from proxy.upstream.base import Transport
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.factory import open_transport
from proxy.upstream.resolver import Resolver
from proxy.upstream.transport_set import TransportSet

ORDER_WITHIN_S = 10.0
"""How long the health worker may take to do what it is told through Redis."""
HEARD_WITHIN_S = 2.0
"""How long one that nobody has heard of may take."""
ENDPOINTS = (
    *(path for path, _ in PATHS),
    *MODEL_ENDPOINTS,
    *PASSED_ENDPOINTS,
    *OLLAMA_ENDPOINTS,
    RESPONSE_ENDPOINT,
)
"""What the label `endpoint` of a metric may be; all else is `other`."""

ACCEPTED_PER_TURN = 4
"""New connections in one turn of the loop. A loop that is late turns seldom, and with one of them
in each turn those who connect, such as a health check, would wait for many seconds."""


class Service:
    """Everything one worker holds open; made by `open_service` inside a running loop."""

    def __init__(
        self,
        state: ServerState,
        runner: ServerRunner,
        transports: TransportSet,
        stores: FastStores,
        metrics: Metrics,
    ) -> None:
        self._state = state
        self._runtime = state.runtime
        self._runner = runner
        self._transports = transports
        self._stores = stores
        self._metrics = metrics
        self._lag = LoopLag(metrics.count_blocked_loop)
        self._meter = LagMeter(LoadWatch(state.runtime, metrics).beat)
        self._tasks = LoopTasks(metrics.set_tasks)
        self._hurried = asyncio.Event()
        self._within_s = math.inf

    async def listen(self, sock: socket.socket, backlog: int = BACKLOG) -> None:
        """Accept connections on a socket that is bound already; other processes may do so too."""
        # In one turn uvloop accepts one connection by each descriptor, however many wait.
        for each in (sock, *(sock.dup() for _ in range(ACCEPTED_PER_TURN - 1))):
            await web.SockSite(self._runner, each, backlog=backlog).start()

    async def apply(self, snapshot: Snapshot) -> None:
        """
        Have requests from now on go by `snapshot`; those under way keep what they began with.

        Whatever the size of the catalog, the loop is never held up for more than some milliseconds.
        """
        for _ in self._metrics.apply_steps(snapshot):
            await asyncio.sleep(0)
        board, before = self._runtime.board, self._runtime.snapshot
        board.breakers.rules = snapshot.settings.breaker
        self._runtime.publish(snapshot, self._transports.for_snapshot(snapshot))
        await board.apply(before.providers, snapshot.providers)
        self._state.watch.apply(snapshot)

    def hear_events(self, on_own: Callable[[Event], None]) -> None:
        """Have `on_own` called with each event that other workers' listeners want to know."""
        self._state.events.on_own = on_own

    def take_events(self, events: Sequence[Event]) -> None:
        """Tell those who listen here what has happened in other workers."""
        for event in events:
            self._state.events.take(event)

    def take_status(self, before: ServiceStatus, after: ServiceStatus) -> None:
        """Tell those who listen here what has become of the configuration, if anything has."""
        news = describe_reload(before.config, after.config)
        if news is not None:
            self._state.events.publish("reload", news)

    def take_verdicts(self, news: HealthNews) -> None:
        """Learn what the health worker has told the supervisor."""
        self._stores.verdicts.take(news)

    async def order_breakers(self, target: str, command: BreakerCommand) -> None:
        """Do what an operator has said to every worker."""
        snapshot = self._runtime.snapshot
        if is_target(target, snapshot):
            await self._state.breakers.carry_out(snapshot, target, command)

    async def drain(self, within_s: float, delay_s: float = 0.0) -> None:
        """
        Stop accepting connections after `delay_s`, and wait for those that are open.

        From now on every answer closes its connection. What is still open `within_s` after the
        delay is cancelled.
        """
        self._runner.begin_drain()
        self._state.events.end()
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._hurried.wait()
        await self._runner.stop_listening()
        await self._runner.finish(within_s)

    def hurry(self, within_s: float) -> None:
        """Have a drain that is under way end within this time, if it would take longer."""
        self._runner.hurry(within_s)
        self._hurried.set()

    async def close(self) -> None:
        """Cancel what is still open, close the connections to providers, then the metrics."""
        self._lag.close()
        self._meter.close()
        self._tasks.close()
        self._state.events.end()
        await self._runner.cleanup()
        await self._transports.close()
        await self._stores.close()
        self._metrics.close()


async def open_service(
    install: InstallSettings,
    snapshot: Snapshot,
    hasher: KeyHasher,
    log: LogWriter,
    *,
    desk: Desk | None = None,
    worker: int = 0,
) -> Service:
    """
    Open transports and metrics for a snapshot and build the application on them.

    Args:
        install: where state is kept and what is logged.
        snapshot: what is served.
        hasher: the one that the snapshot's callers were made with.
        log: where request lines go; stays the caller's to close.
        desk: tells how the whole service stands; None: this process is all of it.
        worker: the number of this process among those of the service.

    Raises:
        OSError: the state directory cannot be made or written.
        ValueError: `redis_url` is none.
    """
    metrics = Metrics(_make_state_dir(install) / "metrics", worker=worker, endpoints=ENDPOINTS)
    metrics.apply_snapshot(snapshot)
    log.on_dropped = metrics.count_dropped_log_lines
    transports = TransportSet(_Opener(install.max_connections).open)
    stores = _open_stores(install, snapshot, metrics)
    runtime = Runtime(
        snapshot,
        hasher,
        transports.for_snapshot(snapshot),
        ManyObservers(metrics, RequestLog(log, install.log_level)),
        MemoryRateStore(processes=install.workers),
        Board(stores.breakers, on_egress=metrics.set_egress_down, verdicts=stores.verdicts),
        stores.reasoning,
        stores.responses,
    )
    desk = StillDesk(_build_status(snapshot)) if desk is None else desk
    state = ServerState(runtime, desk, metrics.render, metrics, worker)
    state.find_degraded = stores.find_degraded
    if isinstance(stores.verdicts, RedisVerdicts):
        state.health_orders = RedisOrders(stores.verdicts)
    else:
        state.expects_health_worker = install.health_worker and not isinstance(desk, StillDesk)
    runner = build_runner(build_app(state))
    await runner.setup()
    return Service(state, runner, transports, stores, metrics)


def _open_stores(install: InstallSettings, snapshot: Snapshot, metrics: Metrics) -> FastStores:
    rules = snapshot.settings.breaker
    stores = FastStores(install, rules, metrics.set_redis_up, metrics.count_redis_errors)
    if stores.has_redis:
        metrics.open_redis()
    return stores


class RedisOrders:
    """Orders (see `server/health_orders.py`) for the health worker that leads, through Redis."""

    def __init__(self, verdicts: RedisVerdicts) -> None:
        self._verdicts = verdicts

    async def give(self, order: HealthOrder, names: Sequence[str], by: str) -> Mapping[str, object]:
        """Have it done; what it has found is here when that returns."""
        # Nobody has been heard of lately: somebody may have begun just now, and that is soon seen.
        within_s = ORDER_WITHIN_S if self._verdicts.is_alive else HEARD_WITHIN_S
        await self._verdicts.order(order, tuple(names), within_s)
        return {}


class _Opener:
    """Opens transports that share one cache of names, and one cap if there is one."""

    def __init__(self, max_connections: int | None) -> None:
        self._names = Resolver()
        # Of this process: no more are in use at all its providers together.
        self._cap = None if max_connections is None else ConnectionCap(max_connections)

    def open(self, provider: Provider) -> Transport:
        if provider.type == SIMULATOR.type:
            return SimulatorTransport()
        return open_transport(provider, self._names, self._cap)


def _build_status(snapshot: Snapshot) -> ServiceStatus:
    now_at = time.time()
    uptime = UptimeTracker(now_at, is_routable=is_ready(snapshot)).record()
    config = ConfigStatus(snapshot.generation, snapshot.created_at)
    return ServiceStatus(config=config, uptime=uptime, workers=1, ready_workers=1)


def _make_state_dir(install: InstallSettings) -> Path:
    """Return the state directory, which only its owner can enter if it had to be made."""
    path = Path(install.state_dir)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
