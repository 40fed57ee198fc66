"""What the endpoints need of the running process, and the keys it is found under."""

from collections.abc import Callable

from aiohttp import web
from msgspec import Struct

from proxy.pipeline.context import Runtime
from proxy.telemetry.health import UptimeTracker


class ServerState(Struct):
    """Everything that an endpoint may look at."""

    runtime: Runtime
    started_at: float
    uptime: UptimeTracker
    render_metrics: Callable[[], tuple[bytes, str]]


STATE: web.AppKey[ServerState] = web.AppKey("state", ServerState)
