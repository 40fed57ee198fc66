"""What a health worker counts of its own work, and its `/metrics`."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection

from health_worker.beliefs import Change
from health_worker.targets import Target
from health_worker.verdict import ProbeResult
from health_worker.worker import Watcher
from proxy.domain.health import HealthState

BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ProbeMetrics(Watcher):
    """Numbers since this process began; labels are bounded by the configuration."""

    def __init__(self) -> None:
        self._probes: Counter[tuple[str, HealthState]] = Counter()
        self._changes: Counter[tuple[str, HealthState]] = Counter()
        self._answers: Counter[tuple[str, int]] = Counter()
        self._times: dict[str, list[int]] = {}
        self._sums_s: dict[str, float] = {}

    def take_probe(self, target: Target, result: ProbeResult) -> None:
        """Count a probe, and how long its answer took if there was one."""
        self._probes[target.name, result.reading.state] += 1
        if result.response_time_s is not None:
            times = self._times.setdefault(target.name, [0] * (len(BUCKETS_S) + 1))
            times[bisect_left(BUCKETS_S, result.response_time_s)] += 1
            before_s = self._sums_s.get(target.name, 0.0)
            self._sums_s[target.name] = before_s + result.response_time_s

    def take_change(self, change: Change) -> None:
        """Count a target that is in another state."""
        self._changes[change.target.name, change.after] += 1

    def keep(self, names: Collection[str]) -> None:
        """Let go of what was counted of all but these: found providers come and go for ever."""
        for counts in (self._probes, self._changes):
            for label in [label for label in counts if label[0] not in names]:
                del counts[label]
        for numbers in (self._times, self._sums_s):
            for name in numbers.keys() - names:
                del numbers[name]

    def count_answer(self, path: str, status: int) -> None:
        """Count what this process's own API has answered; `path` is a route's."""
        self._answers[path, status] += 1

    def render(self, *, is_leading: bool, is_suspect: bool) -> tuple[bytes, str]:
        """Return everything in Prometheus' text format, and its content type."""
        # 10 to 20 ms to import, and many health workers are never asked.
        from prometheus_client import CollectorRegistry
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
        from prometheus_client.registry import Collector

        leading = GaugeMetricFamily(
            "llm_health_worker_is_leading",
            "1 while this health worker is the one that probes, 0 while it stands by.",
            float(is_leading),
        )
        suspect = GaugeMetricFamily(
            "llm_health_worker_is_suspect",
            "1 while it sees most targets fail at once, doubts itself and tells nothing.",
            float(is_suspect),
        )
        probes = CounterMetricFamily(
            "llm_health_worker_probes",
            "Probes, by what each one's answer says by itself.",
            labels=["provider", "result"],
        )
        for (name, result), count in self._probes.items():
            probes.add_metric([name, result], count)
        changes = CounterMetricFamily(
            "llm_health_worker_transitions",
            "Targets that went into a state.",
            labels=["provider", "state"],
        )
        for (name, state), count in self._changes.items():
            changes.add_metric([name, state], count)
        answers = CounterMetricFamily(
            "llm_health_worker_api_requests",
            "Requests to this API, by the status that was answered.",
            labels=["path", "status"],
        )
        for (path, status), count in self._answers.items():
            answers.add_metric([path, str(status)], count)
        durations = HistogramMetricFamily(
            "llm_health_worker_probe_duration_seconds",
            "Time from a probe's request to the end of its answer.",
            labels=["provider"],
        )
        for name, times in self._times.items():
            durations.add_metric([name], _add_up(times), self._sums_s[name])
        families = (leading, suspect, probes, changes, answers, durations)

        class Collected(Collector):
            """Hands out what was just put together."""

            def collect(self) -> tuple[object, ...]:  # type: ignore[override]
                return families

        registry = CollectorRegistry()
        registry.register(Collected())
        return generate_latest(registry), CONTENT_TYPE_LATEST


def _add_up(times: list[int]) -> list[tuple[str, float]]:
    """Return buckets as Prometheus has them: each with all that are below it."""
    total, buckets = 0, []
    for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), times, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets
