"""What a health worker counts."""

from prometheus_client.parser import text_string_to_metric_families

from health_worker.api_metrics import ProbeMetrics
from health_worker.beliefs import Change
from health_worker.verdict import ProbeResult
from proxy.domain.health import ProbeReading
from tests.health_worker.serving_api import PlayedWorker

UP = PlayedWorker().targets["up"]


def test_probes_and_changes_are_counted() -> None:
    """By provider and result, with the times of those that were answered."""
    metrics = ProbeMetrics()
    metrics.take_probe(UP, ProbeResult(ProbeReading("healthy", ""), 0.02))
    metrics.take_probe(UP, ProbeResult(ProbeReading("healthy", ""), 60.0))
    metrics.take_probe(UP, ProbeResult(ProbeReading("unhealthy", ""), None, has_answered=False))
    metrics.take_change(Change(UP, "healthy", "unhealthy", "no answer"))
    metrics.count_answer("/status", 200)
    body, content_type = metrics.render(is_leading=True, is_suspect=False)
    samples = {
        (sample.name.removeprefix("llm_health_worker_"), *sorted(sample.labels.values())): (
            sample.value
        )
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert content_type.startswith("text/plain")
    assert samples["is_leading",] == 1
    assert samples["is_suspect",] == 0
    assert samples["probes_total", "healthy", "up"] == 2
    assert samples["probes_total", "unhealthy", "up"] == 1
    assert samples["transitions_total", "unhealthy", "up"] == 1
    assert samples["api_requests_total", "/status", "200"] == 1
    assert samples["probe_duration_seconds_bucket", "0.025", "up"] == 1
    assert samples["probe_duration_seconds_bucket", "10.0", "up"] == 1
    assert samples["probe_duration_seconds_count", "up"] == 2
    assert samples["probe_duration_seconds_sum", "up"] == 60.02


def test_of_what_is_probed_no_more_nothing_is_told() -> None:
    """Labels are those of the targets of now, however many have come and gone."""
    metrics = ProbeMetrics()
    metrics.take_probe(UP, ProbeResult(ProbeReading("healthy", ""), 0.02))
    metrics.take_change(Change(UP, "healthy", "unhealthy", "no answer"))
    metrics.keep({"up"})
    assert b'"up"' in metrics.render(is_leading=True, is_suspect=False)[0]
    metrics.keep({"other"})
    assert b'"up"' not in metrics.render(is_leading=True, is_suspect=False)[0]
