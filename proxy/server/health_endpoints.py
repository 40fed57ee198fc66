"""Health for load balancers and people, and metrics."""

import asyncio
import time

from aiohttp import web

from proxy.pipeline.authenticate import authenticate
from proxy.server.json_reply import body_reply, json_reply
from proxy.server.shape import shaped
from proxy.server.state import STATE
from proxy.telemetry.health import build_health, is_ready

_LOOPBACK = ("127.0.0.1", "::1")


def add_health_endpoints(app: web.Application) -> None:
    """Add `/health`, its two short forms and `/metrics`."""
    app.router.add_get("/health", shaped(show_health))
    for path in ("/health/liveness", "/health/liveliness"):
        app.router.add_get(path, shaped(show_liveness))
    app.router.add_get("/health/readiness", shaped(show_readiness))
    app.router.add_get("/metrics", shaped(show_metrics))


async def show_health(request: web.Request) -> web.Response:
    """Answer with counts only, always with status 200: a reader must look inside."""
    state = request.app[STATE]
    return json_reply(
        build_health(state.runtime.snapshot, state.started_at, time.time(), state.uptime)
    )


async def show_liveness(request: web.Request) -> web.Response:
    """Answer that the process runs its event loop."""
    return json_reply({"status": "alive"})


async def show_readiness(request: web.Request) -> web.Response:
    """Answer 200 if a request could be served, else 503."""
    if is_ready(request.app[STATE].runtime.snapshot):
        return json_reply({"status": "ready"})
    return json_reply({"status": "not_ready", "reason": "no provider is usable"}, status=503)


async def show_metrics(request: web.Request) -> web.Response:
    """Answer with everything that is counted, in Prometheus' text format."""
    state = request.app[STATE]
    runtime = state.runtime
    is_open = not runtime.snapshot.settings.metrics_auth and request.remote in _LOOPBACK
    if not is_open:
        authenticate(request.headers, runtime.snapshot, runtime.hasher)
    # Merging every worker's files takes milliseconds: not on the loop that serves streams.
    body, content_type = await asyncio.to_thread(state.render_metrics)
    return body_reply(body, content_type=content_type)
