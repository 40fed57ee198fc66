"""Chooses the implementations, opens everything a worker needs, and closes it again."""

import time
from collections.abc import Mapping
from pathlib import Path

from proxy.domain.catalog import Snapshot
from proxy.domain.identity import KeyHasher
from proxy.domain.settings import InstallSettings
from proxy.pipeline.context import Runtime
from proxy.providers.registry import SIMULATOR
from proxy.server.app import App, build_app
from proxy.server.chat_endpoints import PATHS
from proxy.server.model_endpoints import MODEL_ENDPOINTS
from proxy.server.state import ServerState
from proxy.simulator.transport import SimulatorTransport
from proxy.stores.memory import MemoryRateStore
from proxy.telemetry.health import UptimeTracker, is_ready
from proxy.telemetry.log_writer import LogWriter
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.observer import ManyObservers
from proxy.telemetry.request_log import RequestLog
from proxy.upstream.base import Transport
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.factory import open_transport
from proxy.upstream.resolver import Resolver

ENDPOINTS = (*(path for path, _ in PATHS), *MODEL_ENDPOINTS)
"""What the label `endpoint` of a metric may be; all else is `other`."""


class Service:
    """Everything one worker holds open; made by `open_service` inside a running loop."""

    def __init__(self, app: App, transports: Mapping[str, Transport], metrics: Metrics) -> None:
        self.app = app
        self._transports = transports
        self._metrics = metrics

    async def close(self) -> None:
        """Close the connections to the providers, then the metrics' files."""
        for transport in self._transports.values():
            await transport.close()
        self._metrics.close()


async def open_service(
    install: InstallSettings, snapshot: Snapshot, hasher: KeyHasher, log: LogWriter
) -> Service:
    """
    Open transports and metrics for a snapshot and build the application on them.

    Args:
        install: where state is kept and what is logged.
        snapshot: what is served.
        hasher: the one that the snapshot's callers were made with.
        log: where request lines go; stays the caller's to close.

    Raises:
        OSError: the state directory cannot be made or written.
    """
    metrics = Metrics(_make_state_dir(install) / "metrics", endpoints=ENDPOINTS)
    metrics.apply_snapshot(snapshot)
    log.on_dropped = metrics.count_dropped_log_lines
    transports = open_transports(snapshot, install.max_connections)
    observer = ManyObservers(metrics, RequestLog(log, install.log_level))
    started_at = time.time()
    state = ServerState(
        runtime=Runtime(snapshot, hasher, transports, observer, MemoryRateStore()),
        started_at=started_at,
        uptime=UptimeTracker(started_at, is_routable=is_ready(snapshot)),
        render_metrics=metrics.render,
    )
    return Service(build_app(state), transports, metrics)


def open_transports(snapshot: Snapshot, max_connections: int | None = None) -> dict[str, Transport]:
    """
    Open one transport for each provider that can be asked; the simulator needs no network.

    No more than `max_connections` are in use at all providers together; None is no limit.
    """
    resolver = Resolver()
    cap = None if max_connections is None else ConnectionCap(max_connections)
    return {
        provider.name: SimulatorTransport()
        if provider.type == SIMULATOR.type
        else open_transport(provider, resolver, cap)
        for provider in snapshot.providers.values()
        if provider.enabled
    }


def _make_state_dir(install: InstallSettings) -> Path:
    """Return the state directory, which only its owner can enter if it had to be made."""
    path = Path(install.state_dir)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
