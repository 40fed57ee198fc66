"""
What `/health` and readiness say: pure functions of a snapshot and the time.

No probe runs here and no HTTP is spoken; `server/health_endpoints.py` calls it. A provider that
nothing is known of is `unknown`, which counts as healthy.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from proxy.domain.catalog import Provider, Snapshot
from proxy.domain.service import ConfigStatus, ServiceStatus, UptimeRecord
from proxy.telemetry.provider_status import ProviderStatus
from proxy.version import __version__

ComponentState = Literal["healthy", "degraded", "unknown"]
HEALTH_STALE = "health_stale"
"""In `degraded`: what the health worker has said is running out, or has run out, without more."""
COUNTED_AS: Mapping[ProviderStatus, ProviderStatus] = {
    "key_rejected": "unhealthy",
    "warming": "unhealthy",
    "rate_limited": "degraded",
}


class UptimeTracker:
    """Share of the time since start in which at least one provider could be routed to."""

    __slots__ = ("_changed_at", "_is_routable", "_started_at", "_up_s")

    def __init__(self, started_at: float, *, is_routable: bool) -> None:
        """Begin at `started_at`, epoch seconds, with or without a routable provider."""
        self._started_at = started_at
        self._changed_at = started_at
        self._is_routable = is_routable
        self._up_s = 0.0

    @classmethod
    def from_record(cls, record: UptimeRecord) -> "UptimeTracker":
        """Go on from what another process has seen."""
        tracker = cls(record.started_at, is_routable=record.is_routable)
        tracker._changed_at = record.changed_at
        tracker._up_s = record.up_s
        return tracker

    def record(self) -> UptimeRecord:
        """Return what has been seen so far, for another process to go on from."""
        return UptimeRecord(self._started_at, self._changed_at, self._up_s, self._is_routable)

    @property
    def observed_at(self) -> float:
        """Epoch seconds of the last look at the providers."""
        return self._changed_at

    def observe(self, now_at: float, *, is_routable: bool) -> None:
        """Take note that from `now_at` on there is, or is no, routable provider."""
        if self._is_routable:
            self._up_s += max(0.0, now_at - self._changed_at)
        # A clock that was set back must not count a second twice.
        self._changed_at = max(now_at, self._changed_at)
        self._is_routable = is_routable

    def share(self, now_at: float) -> float:
        """Return the share of the time up to `now_at`, from 0.0 to 1.0."""
        total_s = max(now_at, self._changed_at) - self._started_at
        if total_s <= 0.0:
            return 1.0 if self._is_routable else 0.0
        up_s = self._up_s
        if self._is_routable:
            up_s += max(0.0, now_at - self._changed_at)
        return min(1.0, up_s / total_s)


def is_ready(snapshot: Snapshot) -> bool:
    """Return whether a request could be sent anywhere: one routable deployment is enough."""
    for group in snapshot.groups.values():
        for deployment in group.deployments:
            if deployment.provider.enabled:
                return True
    return any(_is_routable(provider) for provider in snapshot.providers.values())


def build_health(
    snapshot: Snapshot,
    status: ServiceStatus,
    now_at: float,
    *,
    tells_error: bool = False,
    judge: Callable[[Provider], ProviderStatus] = lambda provider: "unknown",
    degraded: Sequence[str] = (),
    health_worker: ComponentState = "unknown",
    checked_at: float | None = None,
) -> dict[str, Any]:
    """
    Return the body of `/health`: counts and states, no names.

    Args:
        snapshot: the catalog in force.
        status: how the whole service stands.
        now_at: epoch seconds.
        tells_error: whether who asks may read what is wrong with the configuration.
        judge: tells how a provider in use stands.
        degraded: what is away, or has grown old, while requests go on without it.
        health_worker: how the health worker stands.
        checked_at: epoch seconds of the last check of a provider; None: of none is known, and the
            last look at the configured ones is told.

    Returns:
        The two bodies of the API's documentation in one. `providers` counts those in use;
        the ones that are switched off or lack a key are in its `disabled`. Its `healthy` has
        the `unknown` ones too, its `unhealthy` those whose key is rejected or that are warming
        up, its `degraded` the rate-limited. `status` is `healthy`, or `unhealthy` without any
        routable provider.

    Source: tests/telemetry/test_health.py pins every field.
    """
    in_use = [provider for provider in snapshot.providers.values() if _is_routable(provider)]
    counts: Counter[ProviderStatus] = Counter()
    for status_of_it, count in Counter(map(judge, in_use)).items():
        counts[COUNTED_AS.get(status_of_it, status_of_it)] += count
    uptime = UptimeTracker.from_record(status.uptime)
    is_config_good = status.config.last_error is None
    return {
        "status": "healthy" if is_ready(snapshot) else "unhealthy",
        "timestamp": now_at,
        "providers": {
            "total": len(in_use),
            "healthy": counts["healthy"] + counts["unknown"],
            "degraded": counts["degraded"],
            "unhealthy": counts["unhealthy"],
            "unknown": counts["unknown"],
            "disabled": len(snapshot.providers) - len(in_use),
        },
        "degraded": list(degraded),
        "uptime": _format_share(uptime.share(now_at)),
        "uptime_s": max(0.0, now_at - status.uptime.started_at),
        "last_check": _format_time(uptime.observed_at if checked_at is None else checked_at),
        "version": snapshot.settings.app_version or __version__,
        "config": {
            "generation": status.config.generation,
            "loaded_at": _format_time(status.config.loaded_at),
            "last_error": _find_error(status.config, tells_error),
        },
        "workers": {"total": status.workers, "ready": status.ready_workers},
        "components": {
            "api_server": "healthy",
            "health_worker": health_worker,
            "metrics_collector": "healthy",
            "config_manager": "healthy" if is_config_good else "degraded",
        },
    }


def judge_health_worker(
    *, is_alive: bool, is_suspect: bool, is_missed: bool
) -> tuple[ComponentState, tuple[str, ...]]:
    """
    Return how the health worker stands, and what of it belongs into `degraded`.

    Args:
        is_alive: it was heard of lately.
        is_suspect: it doubts what it sees.
        is_missed: there should be one, and there was time enough to hear of it.
    """
    if is_alive:
        return ("degraded" if is_suspect else "healthy"), ()
    return ("degraded", (HEALTH_STALE,)) if is_missed else ("unknown", ())


def _find_error(config: ConfigStatus, tells_error: bool) -> str | None:
    """Return why the newest edit is not in force; strangers only get to know that it is not."""
    if config.last_error is None or tells_error:
        return config.last_error
    problems = "1 problem" if config.problem_count == 1 else f"{config.problem_count} problems"
    return f"the configuration was refused ({problems}): ask with a key, or read the log"


def _format_time(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _is_routable(provider: Provider) -> bool:
    return provider.enabled and bool(provider.models)


def _format_share(share: float) -> str:
    # Rounded down: only a server that was never down says 100.00%.
    return f"{math.floor(share * 10_000 + 1e-6) / 100:.2f}%"
