"""
Which breakers are not closed, provider by provider, how providers stand, and who hears of changes.

A store tells each change of a breaker to `BreakerWatch.take`; from there it goes to the log, the
metrics and the events. What the health worker believes comes to `take_verdicts`.
`server/state.py` makes one for each worker.
"""

import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from proxy.domain.breaker import BreakerChange, BreakerState
from proxy.domain.catalog import WILDCARD, Provider, Snapshot
from proxy.domain.health import HealthVerdict
from proxy.policy.breaker_targets import BreakerName, split_breaker_id
from proxy.telemetry.event_hub import EventHub
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.provider_status import (
    BARRED,
    CALM,
    Evidence,
    ProviderStatus,
    Sighting,
    Standing,
    Trouble,
    judge_provider,
)
from proxy.telemetry.redaction import redact_name

_log = structlog.get_logger("llm_proxy.breakers")
_NONE: Mapping[str, BreakerState] = {}


class BreakerWatch:
    """Keeps what is not closed; says it to metrics and to those who listen, change by change."""

    def __init__(
        self,
        snapshot: Snapshot,
        events: EventHub,
        metrics: Metrics | None = None,
        *,
        worker: int = 0,
        read_wall_s: Callable[[], float] = time.time,
    ) -> None:
        """
        Begin with everything closed.

        Args:
            snapshot: the catalog in force.
            events: where changes are told.
            metrics: where they are counted; None counts nothing.
            worker: the number of this process, which its own breakers are told with.
            read_wall_s: epoch seconds.
        """
        self.find_seen: Callable[[str], Sighting | None] = _see_nothing
        """Tells of a provider's last attempt."""
        self.find_verdict: Callable[[Provider], HealthVerdict | None] = _believe_nothing
        """Tells what the health worker believes of a provider."""
        self.is_vouched_for: Callable[[str], bool] = lambda provider: False
        """Tells whether requests show that a provider works, whatever is believed of it."""
        self.is_shared: Callable[[], bool] = lambda: False
        """Tells whether other processes have the same breakers, and hear of changes themselves."""
        self._events = events
        self._metrics = metrics
        self._worker = worker
        self._read_wall_s = read_wall_s
        self._providers = snapshot.providers
        self._states: dict[str, dict[str, BreakerState]] = {}
        self._troubles: dict[str, Trouble] = {}
        self._statuses: dict[str, ProviderStatus] = {}

    def list_states(self, provider: str) -> Mapping[str, BreakerState]:
        """Return the breakers of a provider that are not closed."""
        return self._states.get(provider, _NONE)

    def judge(self, provider: Provider) -> Standing:
        """Return how a provider stands as far as this process has seen and heard; no I/O."""
        name = provider.name
        verdict, trouble = self.find_verdict(provider), self._troubles.get(name)
        evidence = Evidence(
            0 if trouble is None else self._count_deployments(provider),
            trouble or CALM,
            self.find_seen(name),
            verdict,
            verdict is not None and self.is_vouched_for(name),
        )
        return judge_provider(provider, evidence, self._read_wall_s())

    def judge_status(self, provider: Provider) -> ProviderStatus:
        """Return the status alone."""
        return self.judge(provider).status

    def take_verdicts(self, providers: Iterable[str]) -> None:
        """Take note that something else is believed of these, and tell what follows from it."""
        for name in providers:
            # Every process hears of it by itself.
            self._tell_status(name, is_own=False)

    def take(self, change: BreakerChange) -> None:
        """Take note of a change of a breaker, and tell it; a store's `on_change`."""
        name = split_breaker_id(change.id)
        self._keep(name, change.id, change.after)
        self._show(name.provider)
        if self._metrics is not None:
            self._metrics.breaker_changed(name.provider, change.after)
        _write_line(change)
        is_own = not self.is_shared()
        self._events.publish(
            "breaker",
            {
                "id": change.id,
                "provider": name.provider,
                "model": name.model,
                "kind": name.kind,
                "before": change.before,
                "after": change.after,
                "cause": change.cause,
                "retry_in_s": round(change.retry_in_s, 3),
                "worker": self._worker if is_own else None,
            },
            tell=is_own,
        )
        self._tell_status(name.provider, is_own=is_own)

    def apply(self, snapshot: Snapshot) -> None:
        """Forget the breakers of what the catalog that is now in force does not have."""
        self._providers = snapshot.providers
        for provider, states in list(self._states.items()):
            listing = snapshot.providers.get(provider)
            if listing is None:
                # What may come back by the same name begins anew with its next change.
                del self._states[provider]
                self._troubles.pop(provider, None)
                self._statuses.pop(provider, None)
                self._set_gauge(provider, 0.0)
            elif WILDCARD not in listing.models:
                models = frozenset(listing.models)
                for breaker_id in list(states):
                    name = split_breaker_id(breaker_id)
                    if name.model is not None and name.model not in models:
                        self._keep(name, breaker_id, "closed")
                self._show(provider)

    def _keep(self, name: BreakerName, breaker_id: str, state: BreakerState) -> None:
        states = self._states.setdefault(name.provider, {})
        trouble = self._troubles.setdefault(name.provider, Trouble())
        before = states.pop(breaker_id, None)
        if state != "closed":
            states[breaker_id] = state
        if name.kind == "deployment":
            trouble.open += (state in BARRED) - (before in BARRED)
            trouble.half_open += (state == "half_open") - (before == "half_open")
        else:
            whole = [s for b, s in states.items() if split_breaker_id(b).kind != "deployment"]
            trouble.is_barred = any(each in BARRED for each in whole)
            trouble.is_probed = "half_open" in whole

    def _show(self, provider: str) -> None:
        trouble = self._troubles.get(provider)
        self._set_gauge(provider, 0.0 if trouble is None else trouble.level)

    def _set_gauge(self, provider: str, level: float) -> None:
        if self._metrics is not None:
            self._metrics.set_breaker(provider, level)

    def _tell_status(self, provider: str, *, is_own: bool) -> None:
        listing = self._providers.get(provider)
        if listing is None:
            return
        standing = self.judge(listing)
        before = self._statuses.get(provider, "healthy")
        # Whether it is known to be well or only not known to be ill is no news.
        after: ProviderStatus = "healthy" if standing.status == "unknown" else standing.status
        if after == before:
            return
        self._statuses[provider] = after
        self._events.publish(
            "provider",
            {
                "name": provider,
                "before": before,
                "status": standing.status,
                "reason": standing.reason,
                "worker": self._worker if is_own else None,
            },
            tell=is_own,
        )

    def _count_deployments(self, provider: Provider) -> int:
        listed = len(provider.models)
        if WILDCARD not in provider.models:
            return listed
        # Of a provider that takes any model those are known that are in trouble, and the one
        # that has just answered.
        trouble, seen = self._troubles.get(provider.name), self.find_seen(provider.name)
        unlisted = 0 if trouble is None else trouble.open + trouble.half_open
        return max(listed - 1, unlisted + (seen is not None and seen.is_good))


def _write_line(change: BreakerChange) -> None:
    write = _log.info if change.after in ("closed", "half_open") else _log.warning
    write(
        f"a circuit breaker is {change.after.replace('_', ' ')}",
        breaker=redact_name(change.id),
        before=change.before,
        cause=change.cause,
        retry_in_s=round(change.retry_in_s, 3),
    )


def _believe_nothing(provider: Provider) -> HealthVerdict | None:
    return None


def _see_nothing(provider: str) -> Sighting | None:
    return None
