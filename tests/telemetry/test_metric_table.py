"""The table of metrics and the document about it."""

import re
from pathlib import Path

from proxy.telemetry.metric_table import METRICS

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(llm_proxy_\w+)` \| (\w+) \| (.*?) \| (.+) \|$", re.MULTILINE)


def test_every_metric_is_documented() -> None:
    """The document has a row for each metric with its kind and labels, and none besides."""
    documented = {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _ in ROW.findall(DOCUMENT.read_text())
    }

    assert {metric.name: (metric.kind, metric.labels) for metric in METRICS} == documented


def test_names_of_the_interface_are_kept() -> None:
    """The eight metrics that dashboards rely on have exactly their printed names and labels."""
    printed = {
        "llm_proxy_requests_total": ("provider", "endpoint", "status"),
        "llm_proxy_errors_total": ("provider", "error_type"),
        "llm_proxy_tokens_total": ("provider", "operation"),
        "llm_proxy_request_duration_seconds": ("provider", "endpoint"),
        "llm_proxy_response_time_seconds": ("provider",),
        "llm_proxy_active_connections": ("provider",),
        "llm_proxy_circuit_breaker_state": ("provider",),
        "llm_proxy_health_check_cache_size": (),
    }

    actual = {metric.name: metric.labels for metric in METRICS}
    assert printed == {name: actual.get(name) for name in printed}
