"""What the endpoints need of the running process, and of the service that it is a part of."""

from collections.abc import Callable, Mapping
from typing import Protocol

from proxy.domain.service import ServiceStatus
from proxy.domain.service_errors import SupervisorUnavailable
from proxy.pipeline.context import Runtime
from proxy.server.breaker_walk import BreakerWalk
from proxy.telemetry.breaker_watch import BreakerWatch
from proxy.telemetry.event_hub import EventHub
from proxy.telemetry.metrics import Metrics


class Desk(Protocol):
    """Where a process learns how the whole service stands, and asks for what others must do."""

    status: ServiceStatus
    """Replaced whole with each change: every process of a service tells the same."""

    async def ask(self, what: str, arguments: Mapping[str, object], by: str) -> bytes:
        """
        Have the supervisor do or tell something.

        Args:
            what: `reload`, `config`, `history`, `diff`, `restart_workers` or `breaker`.
            arguments: what it needs to know; become JSON.
            by: who asks, fit for a log.

        Returns:
            Its answer, a JSON object.

        Raises:
            SupervisorUnavailable: it is gone, or has not answered in time.
            SupervisorRefused: it cannot be done; the message says why.

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
        board.breakers.on_change = self.watch.take
        self.breakers = BreakerWalk(board, self.watch)

    @property
    def is_draining(self) -> bool:
        """
        The service is about to end.

        A process that ends while others serve speaks for them: it only closes its connections.
        """
        status = self.desk.status
        return status.is_draining or (self.runtime.is_draining and not status.ready_workers)
