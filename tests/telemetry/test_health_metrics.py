"""What is counted of verdicts."""

from pathlib import Path

from proxy.domain.health import HealthState
from proxy.telemetry.health_metrics import HealthMetrics
from proxy.telemetry.metric_store import MetricStore
from tests.telemetry.records import build_verdict


def test_those_who_may_be_no_label_are_left_out(tmp_path: Path) -> None:
    """One that has come too late has no series, and one that had one keeps it."""
    store, labels = MetricStore(tmp_path, 0), {"a"}
    metrics = HealthMetrics(store, lambda name: name in labels)
    verdicts = {name: build_verdict(name, "healthy") for name in ("a", "b")}
    metrics.take(verdicts, held=2)
    labels.clear()
    metrics.take({"a": build_verdict("a", "unhealthy")}, held=2)
    text = store.render()[0].decode()
    store.close()
    assert 'llm_proxy_provider_health{provider="a"} 6' in text
    assert 'provider="b"' not in text


def test_verdicts_are_levels_and_their_changes_are_counted(tmp_path: Path) -> None:
    """The gauge has a code for each state, from the first verdict on; only changes count."""
    store = MetricStore(tmp_path, 0)
    metrics = HealthMetrics(store)
    states: tuple[HealthState, ...] = ("healthy", "healthy", "unhealthy")
    for state in states:
        metrics.take({"a": build_verdict("a", state), "b": None}, held=1)
    metrics.take({"c": build_verdict("c", "warming")}, held=2)
    metrics.take({"c": None}, held=1)
    lines = store.render()[0].decode().splitlines()
    store.close()
    told = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert {name: float(value) for name, value in told.items()} == {
        "llm_proxy_health_check_cache_size": 1,
        'llm_proxy_provider_health{provider="a"}': 6,
        'llm_proxy_provider_health{provider="c"}': 1,
        'llm_proxy_health_changes_total{provider="a",state="healthy"}': 1,
        'llm_proxy_health_changes_total{provider="a",state="unhealthy"}': 1,
        'llm_proxy_health_changes_total{provider="c",state="warming"}': 1,
        'llm_proxy_health_changes_total{provider="c",state="unknown"}': 1,
    }
