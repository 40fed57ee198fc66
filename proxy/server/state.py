"""What the endpoints need of the running process."""

from collections.abc import Callable

from msgspec import Struct

from proxy.pipeline.context import Runtime
from proxy.telemetry.health import UptimeTracker


class ServerState(Struct):
    """Everything that an endpoint may look at."""

    runtime: Runtime
    started_at: float
    uptime: UptimeTracker
    render_metrics: Callable[[], tuple[bytes, str]]
