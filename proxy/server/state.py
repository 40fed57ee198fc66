"""What the endpoints need of the running process, and of the service that it is a part of."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from proxy.domain.service import ServiceStatus
from proxy.domain.service_errors import SupervisorUnavailable
from proxy.pipeline.context import Runtime
from proxy.server.breaker_walk import BreakerWalk
from proxy.server.health_orders import DeskOrders, HealthOrders
from proxy.telemetry.breaker_watch import BreakerWatch
from proxy.telemetry.event_hub import EventHub
from proxy.telemetry.health import ComponentState, judge_health_worker
from proxy.telemetry.metrics import Metrics

HEARD_WITHIN_S = 60.0
"""From its start on this process waits so long to hear of a health worker before it misses one."""


class Desk(Protocol):
    """Where a process learns how the whole service stands, and asks for what others must do."""

    status: ServiceStatus
    """Replaced whole with each change: every process of a service tells the same."""

    async def ask(self, what: str, arguments: Mapping[str, object], by: str) -> bytes:
        """
        Have the supervisor do or tell something.

        Args:
            what: `reload`, `config`, `history`, `diff`, `restart_workers`, `breaker`, or an order
                for the health worker.
            arguments: what it needs to know; become JSON.
            by: who asks, fit for a log.

        Returns:
            Its answer, a JSON object.

        Raises:
            SupervisorUnavailable: it is gone, or has not answered in time.
            SupervisorRefused: it cannot be done; the message says why.
            HealthWorkerUnavailable: it is for the health worker to do, and there is none.

        Source: proxy/control/messages.py.
        """


class StillDesk:
    """A Desk of a process without a supervisor: its status stays as it is."""

    def __init__(self, status: ServiceStatus) -> None:
        self.status = status

    async def ask(self, what: str, arguments: Mapping[str, object], by: str) -> bytes:
        """Say that there is nobody to ask."""
        raise SupervisorUnavailable()


class ServerState:
    """Everything that an endpoint may look at."""

    def __init__(
        self,
        runtime: Runtime,
        desk: Desk,
        render_metrics: Callable[[], tuple[bytes, str]],
        metrics: Metrics | None = None,
        worker: int = 0,
    ) -> None:
        """
        Begin to watch the breakers of `runtime`.

        Args:
            runtime: what requests share.
            desk: tells how the whole service stands.
            render_metrics: returns body and content type of `/metrics`.
            metrics: where changes of breakers are counted; None counts nothing.
            worker: the number of this process among those of the service.
        """
        self.runtime = runtime
        self.desk = desk
        self.render_metrics = render_metrics
        self.find_degraded: Callable[[], tuple[str, ...]] = tuple
        """Tells which stores are away, such as `redis`, while requests go on without them."""
        self.events = EventHub()
        board = runtime.board
        self.watch = BreakerWatch(runtime.snapshot, self.events, metrics, worker=worker)
        self.watch.find_seen = board.last_seen
        self.watch.is_shared = lambda: board.breakers.is_shared
        self.watch.find_verdict = board.health.find_verdict
        self.watch.is_vouched_for = board.health.is_vouched_for
        board.breakers.on_change = self.watch.take
        self.breakers = BreakerWalk(board, self.watch)
        self.health_orders: HealthOrders = DeskOrders(desk)
        """How the health worker is told to do something."""
        self.expects_health_worker = False
        """This service has a health worker of its own, which will be heard of."""
        self.checked_at: float | None = None
        """Epoch seconds of the last check of a provider that was heard of."""
        self._metrics = metrics
        self._started_s = time.monotonic()
        self._has_heard = False
        if board.health.verdicts is not None:
            board.health.verdicts.on_change = self.take_verdicts

    def take_verdicts(self, names: Sequence[str]) -> None:
        """Have requests and those who listen know what is now believed of these providers."""
        self._has_heard = True
        health, providers = self.runtime.board.health, self.runtime.snapshot.providers
        health.refresh(names, providers)
        known = {name: providers.get(name) for name in names}
        verdicts = {n: None if p is None else health.find_verdict(p) for n, p in known.items()}
        checks_at = [each.checked_at for each in verdicts.values() if each is not None]
        self.checked_at = max(checks_at, default=self.checked_at)
        if self._metrics is not None and health.verdicts is not None:
            self._metrics.health.take(verdicts, held=len(health.verdicts))
        self.watch.take_verdicts(names)

    def judge_health_worker(self) -> tuple[ComponentState, tuple[str, ...]]:
        """Return how the health worker stands, and what of it belongs into `degraded`."""
        verdicts = self.runtime.board.health.verdicts
        is_alive = verdicts is not None and verdicts.is_alive
        self._has_heard |= is_alive
        is_late = time.monotonic() - self._started_s > HEARD_WITHIN_S
        return judge_health_worker(
            is_alive=is_alive,
            is_suspect=verdicts is not None and verdicts.is_suspect,
            is_missed=self._has_heard or (self.expects_health_worker and is_late),
        )

    @property
    def is_draining(self) -> bool:
        """
        The service is about to end.

        A process that ends while others serve speaks for them: it only closes its connections.
        """
        status = self.desk.status
        return status.is_draining or (self.runtime.is_draining and not status.ready_workers)
