"""Health for load balancers and people, and metrics."""

import asyncio
import re
import time

from aiohttp import web

from proxy.domain.catalog import Snapshot
from proxy.domain.errors import InvalidRequest
from proxy.policy.credentials import find_caller
from proxy.server.connection_counts import parse_peer
from proxy.server.json_reply import body_reply, json_reply
from proxy.server.registrar import Registrar
from proxy.server.shape import Visit
from proxy.server.state import ServerState
from proxy.telemetry.health import build_health, is_ready

_PORT = re.compile(r":[0-9]+$")


class HealthEndpoints:
    """What is told about the server itself."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    def add(self, registrar: Registrar) -> None:
        """Add `/health`, its two short forms and `/metrics`."""
        registrar.add("open", ("GET",), "/health", self.show_health)
        for path in ("/health/liveness", "/health/liveliness"):
            registrar.add("open", ("GET",), path, self.show_liveness)
        registrar.add("open", ("GET",), "/health/readiness", self.show_readiness)
        registrar.add("key", ("GET",), "/metrics", self.show_metrics, opening=is_local_scrape)

    async def show_health(self, visit: Visit) -> web.Response:
        """Answer with counts only, always with status 200: a reader must look inside."""
        status = self._state.desk.status
        tells_error = status.config.last_error is not None and self._is_known(visit)
        health_worker, stale = self._state.judge_health_worker()
        return json_reply(
            build_health(
                visit.snapshot,
                status,
                time.time(),
                tells_error=tells_error,
                judge=self._state.watch.judge_status,
                degraded=(*self._state.find_degraded(), *stale),
                health_worker=health_worker,
                checked_at=self._state.checked_at,
            )
        )

    async def show_liveness(self, visit: Visit) -> web.Response:
        """Answer that the process runs its event loop."""
        return json_reply({"status": "alive"})

    async def show_readiness(self, visit: Visit) -> web.Response:
        """Answer 200 if a request could be served, else 503."""
        if self._state.is_draining:
            body = {"status": "draining", "reason": "the server is about to stop"}
            return json_reply(body, status=503)
        if is_ready(visit.snapshot):
            _, stale = self._state.judge_health_worker()
            degraded = (*self._state.find_degraded(), *stale)
            told = {"degraded": degraded} if degraded else {}
            return json_reply({"status": "ready", **told})
        return json_reply({"status": "not_ready", "reason": "no provider is usable"}, status=503)

    async def show_metrics(self, visit: Visit) -> web.Response:
        """Answer with everything that is counted, in Prometheus' text format."""
        # Merging every worker's files takes milliseconds: not on the loop that serves streams.
        body, content_type = await asyncio.to_thread(self._state.render_metrics)
        return body_reply(body, content_type=content_type)

    def _is_known(self, visit: Visit) -> bool:
        try:
            hasher = self._state.runtime.hasher
            return find_caller(visit.request.headers, visit.snapshot, hasher) is not None
        except InvalidRequest:
            return False  # two different keys


def is_local_scrape(request: web.Request, snapshot: Snapshot) -> bool:
    """
    Return whether `metrics_auth: false` lets this request in: one of this machine's own.

    Coming from loopback is not enough: so do pages in a browser here, whose own host's name may
    lead here too, and everybody behind a proxy.
    """
    if snapshot.settings.metrics_auth or any(map(_tells_of_others, request.headers)):
        return False
    host = _PORT.sub("", request.headers.get("Host", "")).strip("[]")
    return _is_here(request.remote or "") and _is_here(host)


def _is_here(name: str) -> bool:
    address = parse_peer(name)
    return name.lower() == "localhost" if address is None else address.is_loopback


def _tells_of_others(header: str) -> bool:
    name = header.lower()
    return name in {"forwarded", "x-real-ip", "via", "origin"} or name.startswith("x-forwarded-")
