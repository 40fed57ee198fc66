"""
What is counted for each request and attempt, and under which labels.

Every label comes from a set that the configuration bounds: providers, endpoints and
deployments that are not in it are `other`. Names and meanings are in `metric_table.py`, the
files in `metric_store.py`. `wiring.py` makes one per worker; `server/` serves `render()`.
"""

import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import get_args

from proxy.domain.breaker import BreakerState
from proxy.domain.catalog import WILDCARD, Provider, Snapshot
from proxy.domain.errors import ProxyError
from proxy.domain.exchange import (
    AttemptRecord,
    ConnectionFault,
    HandoverReason,
    RequestRecord,
)
from proxy.policy.admission import Reason
from proxy.policy.shedding import ShedReason
from proxy.telemetry import metric_table as table
from proxy.telemetry.health_metrics import HealthMetrics
from proxy.telemetry.known_providers import KnownProviders
from proxy.telemetry.metric_store import Histogram, MetricStore, Number
from proxy.telemetry.metric_table import NONE, OTHER
from proxy.version import __version__
from proxy.wire.openai_error import KNOWN_REJECTIONS

FAILOVER_REASONS: frozenset[str] = frozenset(get_args(Reason))
"""Why a request went on elsewhere, where it was not the error of an attempt."""
_NOT_ERRORS = frozenset({"ok", "client_closed", "interrupted"})
_MAX_UPSTREAM_CODES = 64
_PROVIDERS_PER_STEP = 50
_GROUPS_PER_STEP = 1000
_is_upstream_code = re.compile(r"upstream_[a-z_]{1,40}").fullmatch


class Metrics:
    """Count requests, attempts and tokens in files that all workers share; an `Observer`."""

    def __init__(
        self,
        directory: Path,
        *,
        worker: int = 0,
        endpoints: Iterable[str] = (),
        version: str = __version__,
    ) -> None:
        """
        Open this worker's files.

        Args:
            directory: where the workers' files are, such as `.state/metrics`.
            worker: this worker's number, the same after each restart.
            endpoints: the route patterns that may be labels.
            version: what `llm_proxy_build_info` tells.

        Raises:
            OSError: `directory` cannot be made or written.
        """
        self._store = MetricStore(directory, worker)
        self._endpoints = frozenset(endpoints)
        self._known = KnownProviders()
        self._providers: Mapping[str, Provider] = {}
        self._routed: frozenset[tuple[str, str]] = frozenset()
        self._outcomes = _collect_codes() | KNOWN_REJECTIONS | _NOT_ERRORS
        self._requests: dict[tuple[str, str, int], tuple[Number, Histogram]] = {}
        self._attempts: dict[tuple[str, str], tuple[Number, Number | None, Histogram]] = {}
        self._failovers: dict[tuple[str, str, str], Number] = {}
        self._retries: dict[str, Number] = {}
        self._breakers: dict[str, Number] = {}
        self._breaker_changes: dict[tuple[str, str], Number] = {}
        self._redis: tuple[Number, Number] | None = None
        self._tokens: dict[tuple[str, str], Number] = {}
        self._active: dict[str, Number] = {}
        self._first_token: dict[tuple[str, str], Histogram] = {}
        self._model_duration: dict[tuple[str, str], Histogram] = {}
        self._dropped = self._store.open_number(table.LOG_LINES_DROPPED)
        self._loop_blocked = self._store.open_number(table.LOOP_BLOCKED)
        self._loop_lag = self._store.open_histogram(table.LOOP_LAG)
        self._shed = {
            reason: self._store.open_number(table.REQUESTS_SHED, reason)
            for reason in get_args(ShedReason)
        }
        self._tasks = self._store.open_number(table.TASKS)
        self._egress_down = self._store.open_number(table.EGRESS_DOWN)
        self.health = HealthMetrics(self._store, lambda name: name in self._providers)
        """What is counted of verdicts."""
        self._store.open_number(table.BUILD_INFO, version).set(1.0)
        # From 0 on, so that an alert sees the first one rise.
        self._connection_faults = {
            kind: self._store.open_number(table.CONNECTION_FAULTS, kind)
            for kind in get_args(ConnectionFault)
        }
        self._handovers = {
            reason: self._store.open_number(table.CONNECTIONS_HANDED_OVER, reason)
            for reason in get_args(HandoverReason)
        }

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Take the known providers and deployments from the catalog that is now in force."""
        for _ in self.apply_steps(snapshot):
            pass

    def apply_steps(self, snapshot: Snapshot) -> Iterator[None]:
        """Do the same step by step: of a large catalog each takes about a millisecond."""
        routed = yield from _collect_routed(snapshot)
        self._providers = self._known.choose(snapshot.providers)
        self._routed = routed
        # Which deployments have a label of their own is decided anew, when they are next seen.
        self._first_token.clear()
        self._model_duration.clear()
        for index, provider in enumerate(self._providers):
            if index % _PROVIDERS_PER_STEP == 0:
                yield
            self._open_active(provider)
            # Kept when a provider leaves the configuration: it is set to 0 then.
            if provider not in self._breakers:
                number = self._store.open_number(table.BREAKER_STATE, provider)
                self._breakers[provider] = number

    def attempt_started(self, provider: str) -> None:
        """Count one more attempt under way."""
        self._find_active(provider).add(1.0)

    def attempt_ended(self, attempt: AttemptRecord) -> None:
        """Count a finished attempt, its error and its times."""
        self._find_active(attempt.provider).add(-1.0)
        provider = attempt.provider if attempt.provider in self._providers else OTHER
        outcome = self._bound_outcome(attempt.outcome)
        numbers = self._attempts.get((provider, outcome))
        if numbers is None:
            numbers = self._open_attempts(provider, outcome)
        attempts, errors, response_time = numbers
        attempts.add(1.0)
        if errors is not None:
            errors.add(1.0)
        waited_s = attempt.first_byte_s
        response_time.observe(attempt.duration_s if waited_s is None else waited_s)
        if outcome == "ok":
            self._observe_model(
                table.MODEL_DURATION,
                self._model_duration,
                provider,
                attempt.model,
                attempt.duration_s,
            )

    def failed_over(self, from_provider: str, to_provider: str, reason: str) -> None:
        """Count a request that goes on at another provider."""
        is_ours = reason in FAILOVER_REASONS
        key = (
            self._bound_provider(from_provider),
            self._bound_provider(to_provider),
            reason if is_ours else self._bound_outcome(reason),
        )
        number = self._failovers.get(key)
        if number is None:
            number = self._failovers[key] = self._store.open_number(table.FAILOVERS, *key)
        number.add(1.0)

    def retried(self, provider: str) -> None:
        """Count an attempt that repeats the one before."""
        known = self._bound_provider(provider)
        number = self._retries.get(known)
        if number is None:
            number = self._retries[known] = self._store.open_number(table.RETRIES, known)
        number.add(1.0)

    def request_ended(self, record: RequestRecord) -> None:
        """Count a finished request, its tokens and its times."""
        provider = self._bound_provider(record.provider)
        endpoint = record.endpoint if record.endpoint in self._endpoints else OTHER
        numbers = self._requests.get((provider, endpoint, record.status))
        if numbers is None:
            numbers = self._open_requests(provider, endpoint, record.status)
        requests, duration = numbers
        requests.add(1.0)
        duration.observe(record.duration_s)
        if record.ttft_s is not None and record.model is not None:
            self._observe_model(
                table.TIME_TO_FIRST_TOKEN,
                self._first_token,
                provider,
                record.model,
                record.ttft_s,
            )
        for kind in record.anomalies:
            self._store.open_number(table.ANOMALIES, provider, kind).add(1.0)
        usage = record.usage
        if usage is not None:
            for operation, count in (
                ("prompt", usage.input_tokens),
                ("completion", usage.output_tokens),
                ("cached", usage.cached_tokens),
                ("reasoning", usage.reasoning_tokens),
            ):
                if count > 0:
                    self._count_tokens(provider, operation, count)

    def breaker_changed(self, provider: str, state: BreakerState) -> None:
        """Count a breaker that is in another state now."""
        key = (self._bound_provider(provider), state)
        number = self._breaker_changes.get(key)
        if number is None:
            number = self._store.open_number(table.BREAKER_CHANGES, *key)
            self._breaker_changes[key] = number
        number.add(1.0)

    def set_breaker(self, provider: str, level: float) -> None:
        """Tell how the worst breaker of a provider stands: 0 closed, 1 open, 2 half-open."""
        number = self._breakers.get(provider)
        if number is not None:
            number.set(level)

    def open_redis(self) -> None:
        """Show the numbers of Redis, which is away until `set_redis_up` says otherwise."""
        if self._redis is None:
            up = self._store.open_number(table.REDIS_UP)
            self._redis = (up, self._store.open_number(table.REDIS_ERRORS))

    def set_redis_up(self, is_up: bool) -> None:
        """Tell whether this worker uses Redis now, once `open_redis` was called."""
        if self._redis is not None:
            self._redis[0].set(float(is_up))

    def count_redis_errors(self, count: int = 1) -> None:
        """Count what went wrong with Redis, once `open_redis` was called."""
        if self._redis is not None:
            self._redis[1].add(count)

    def connection_failed(self, fault: ConnectionFault) -> None:
        """Count a client's connection that was refused, or closed by us."""
        self._connection_faults[fault].add(1.0)

    def connection_handed_over(self, reason: HandoverReason) -> None:
        """Count a client's connection that has left the fast path."""
        self._handovers[reason].add(1.0)

    def count_dropped_log_lines(self, count: int) -> None:
        """Count log lines that were lost; a `LogWriter` calls it, from any thread."""
        self._dropped.add(count)

    def count_blocked_loop(self) -> None:
        """Count that the event loop stood still; a `LoopLag` calls it, from its thread."""
        self._loop_blocked.add(1.0)

    def observe_loop_lag(self, lag_s: float) -> None:
        """Count by how much the event loop was late at one beat."""
        self._loop_lag.observe(lag_s)

    def count_shed(self, reason: ShedReason, count: int) -> None:
        """Count requests that were refused for want of a place."""
        self._shed[reason].add(count)

    def count_unrecorded(self, endpoint: str, status: int, count: int) -> None:
        """Count requests that were answered with this status and have no record."""
        label = endpoint if endpoint in self._endpoints else OTHER
        numbers = self._requests.get((NONE, label, status))
        if numbers is None:
            numbers = self._open_requests(NONE, label, status)
        numbers[0].add(count)

    def set_tasks(self, count: int) -> None:
        """Tell how many tasks the event loop has now."""
        self._tasks.set(float(count))

    def set_egress_down(self, is_down: bool) -> None:
        """Tell whether this machine looks cut off from all its providers."""
        self._egress_down.set(float(is_down))

    def render(self) -> tuple[bytes, str]:
        """Return the numbers of all workers as (body, content type); reads files only."""
        return self._store.render()

    def close(self) -> None:
        """Let go of the files; the counters stay in them."""
        self._store.close()

    def _bound_provider(self, provider: str | None) -> str:
        if provider is None:
            return NONE
        return provider if provider in self._providers else OTHER

    def _bound_outcome(self, outcome: str) -> str:
        if outcome in self._outcomes:
            return outcome
        # Timeouts name the clock that ran out; a provider's own code must not become a label.
        if len(self._outcomes) < _MAX_UPSTREAM_CODES and _is_upstream_code(outcome):
            self._outcomes |= {outcome}
            return outcome
        return OTHER

    def _find_active(self, provider: str) -> Number:
        return self._active.get(provider) or self._open_active(OTHER)

    def _open_active(self, provider: str) -> Number:
        # Kept when a provider leaves the configuration: its last attempts still have to end.
        if provider not in self._active:
            self._active[provider] = self._store.open_number(table.ACTIVE_CONNECTIONS, provider)
        return self._active[provider]

    def _open_requests(self, provider: str, endpoint: str, status: int) -> tuple[Number, Histogram]:
        status_label = str(status) if 100 <= status <= 599 else OTHER
        numbers = (
            self._store.open_number(table.REQUESTS, provider, endpoint, status_label),
            self._store.open_histogram(table.REQUEST_DURATION, provider, endpoint),
        )
        if 100 <= status <= 599:
            self._requests[provider, endpoint, status] = numbers
        return numbers

    def _open_attempts(
        self, provider: str, outcome: str
    ) -> tuple[Number, Number | None, Histogram]:
        errors = None
        if outcome not in _NOT_ERRORS:
            errors = self._store.open_number(table.ERRORS, provider, outcome)
        numbers = (
            self._store.open_number(table.ATTEMPTS, provider, outcome),
            errors,
            self._store.open_histogram(table.RESPONSE_TIME, provider),
        )
        self._attempts[provider, outcome] = numbers
        return numbers

    def _observe_model(
        self,
        metric: table.Metric,
        opened: dict[tuple[str, str], Histogram],
        provider: str,
        model: str,
        seconds: float,
    ) -> None:
        histogram = opened.get((provider, model))
        if histogram is None:
            key = (provider, model if self._is_known(provider, model) else OTHER)
            histogram = opened.get(key) or self._store.open_histogram(metric, *key)
            opened[key] = histogram
        histogram.observe(seconds)

    def _is_known(self, provider: str, model: str) -> bool:
        listing = self._providers.get(provider)
        if listing is None or model == WILDCARD:
            return False
        return model in listing.models or (provider, model) in self._routed

    def _count_tokens(self, provider: str, operation: str, count: int) -> None:
        number = self._tokens.get((provider, operation))
        if number is None:
            number = self._store.open_number(table.TOKENS, provider, operation)
            self._tokens[provider, operation] = number
        number.add(count)


def _collect_routed(snapshot: Snapshot) -> Generator[None, None, frozenset[tuple[str, str]]]:
    """Return the deployments of routes that no provider lists: at those that take any model."""
    takers = {p.name for p in snapshot.providers.values() if WILDCARD in p.models}
    if not takers:
        return frozenset()
    routed: set[tuple[str, str]] = set()
    for index, group in enumerate(snapshot.groups.values()):
        if index % _GROUPS_PER_STEP == 0:
            yield
        for deployment in group.deployments:
            if deployment.provider.name in takers:
                routed.add((deployment.provider.name, deployment.model))
    return frozenset(routed)


def _collect_codes() -> frozenset[str]:
    codes: set[str] = set()
    kinds: list[type[ProxyError]] = [ProxyError]
    while kinds:
        kind = kinds.pop()
        kinds.extend(kind.__subclasses__())
        if kind.code is not None:
            codes.add(kind.code)
    return frozenset(codes)
