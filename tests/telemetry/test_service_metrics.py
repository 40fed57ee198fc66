"""What the supervisor counts, as a worker tells it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.telemetry.metrics import Metrics
from proxy.telemetry.service_metrics import ServiceMetrics


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Metrics]:
    """A worker that keeps its numbers in the same directory."""
    metrics = Metrics(tmp_path)
    yield metrics
    metrics.close()


def read(worker: Metrics) -> dict[tuple[str, ...], float]:
    """Return what a worker tells of the service: (name without prefix, label values) -> value."""
    body, _ = worker.render()
    return {
        (sample.name.removeprefix("llm_proxy_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if sample.name.startswith(("llm_proxy_config", "llm_proxy_worker"))
    }


def test_everything_is_there_from_the_start(tmp_path: Path, worker: Metrics) -> None:
    """Each result and each reason is told as 0 before it has happened: an alert sees the first."""
    service = ServiceMetrics(tmp_path)
    assert read(worker) == {
        ("config_generation",): 0,
        ("config_reloads_total", "applied"): 0,
        ("config_reloads_total", "unchanged"): 0,
        ("config_reloads_total", "rejected"): 0,
        ("config_reloads_total", "guarded"): 0,
        ("workers_ready",): 0,
        ("worker_restarts_total", "died"): 0,
        ("worker_restarts_total", "unresponsive"): 0,
        ("worker_restarts_total", "asked"): 0,
    }
    service.close()


def test_any_worker_tells_what_the_supervisor_has_counted(tmp_path: Path, worker: Metrics) -> None:
    """Generation, workers, reloads and restarts show at a worker; counts outlive a restart."""
    for generation in (7, 8):
        service = ServiceMetrics(tmp_path)
        service.set_generation(generation)
        service.set_workers(3)
        service.count_reload("guarded")
        service.count_restart("died")
        found = read(worker)
        service.close()
    assert found["config_generation",] == 8
    assert found["workers_ready",] == 3
    assert found["config_reloads_total", "guarded"] == 2
    assert found["worker_restarts_total", "died"] == 2
    assert ("config_generation",) not in read(worker)
