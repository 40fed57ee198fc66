"""What the endpoints need of the running process, and of the service that it is a part of."""

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from proxy.domain.service import ServiceStatus
from proxy.domain.service_errors import SupervisorUnavailable
from proxy.pipeline.context import Runtime


class Desk(Protocol):
    """Where a process learns how the whole service stands, and asks for what others must do."""

    status: ServiceStatus
    """Replaced whole with each change: every process of a service tells the same."""

    async def ask(self, what: str, arguments: Mapping[str, object], by: str) -> bytes:
        """
        Have the supervisor do or tell something.

        Args:
            what: `reload`, `config`, `history`, `diff` or `restart_workers`.
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


class ServerState(Struct):
    """Everything that an endpoint may look at."""

    runtime: Runtime
    desk: Desk
    render_metrics: Callable[[], tuple[bytes, str]]

    @property
    def is_draining(self) -> bool:
        """
        The service is about to end.

        A process that ends while others serve speaks for them: it only closes its connections.
        """
        status = self.desk.status
        return status.is_draining or (self.runtime.is_draining and not status.ready_workers)
