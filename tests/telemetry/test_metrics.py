"""What is counted for requests and attempts, and under which labels."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.domain.catalog import Provider
from proxy.domain.usage import Usage
from proxy.telemetry.log_writer import LogWriter
from proxy.telemetry.metric_table import METRICS
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.service_metrics import ServiceMetrics
from tests.telemetry.records import build_attempt, build_record, build_snapshot, build_verdict

CANARY = "sk-cAnArY7f3K9qLm2XwZ8rT5vB1nD4"


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[Metrics]:
    """Metrics that know the providers alpha and beta and the endpoint /chat/completions."""
    metrics = Metrics(tmp_path, endpoints=["/chat/completions"], version="1.2.3")
    metrics.apply_snapshot(build_snapshot())
    yield metrics
    metrics.close()


def _read(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples called `name`: label values in the table's order -> value."""
    body, _ = metrics.render()
    order = {metric.name: metric.labels for metric in METRICS}
    labels = next(order[known] for known in order if name.startswith(known))
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if sample.name == name
    }


def _run(metrics: Metrics, **changes: Any) -> None:
    attempt = build_attempt(**changes)
    metrics.attempt_started(attempt.provider)
    metrics.attempt_ended(attempt)


def test_request_is_counted_as_the_client_saw_it(metrics: Metrics) -> None:
    """A request counts under its last provider, its endpoint and its status, with its time."""
    metrics.request_ended(build_record())
    metrics.request_ended(build_record(status=502, ending="failed", provider="beta"))
    metrics.request_ended(build_record(status=401, ending="failed", provider=None, model=None))

    assert _read(metrics, "llm_proxy_requests_total") == {
        ("alpha", "/chat/completions", "200"): 1,
        ("beta", "/chat/completions", "502"): 1,
        ("none", "/chat/completions", "401"): 1,
    }
    assert (
        _read(metrics, "llm_proxy_request_duration_seconds_sum")["alpha", "/chat/completions"]
        == 1.25
    )


def test_tokens_are_told_apart(metrics: Metrics) -> None:
    """Tokens count by operation; those that were none make no series."""
    metrics.request_ended(build_record())
    metrics.request_ended(build_record(usage=None))
    metrics.request_ended(build_record(provider="beta", usage=Usage(3, 0)))

    assert _read(metrics, "llm_proxy_tokens_total") == {
        ("alpha", "prompt"): 100,
        ("alpha", "completion"): 50,
        ("alpha", "cached"): 20,
        ("alpha", "reasoning"): 10,
        ("beta", "prompt"): 3,
    }


def test_attempts_and_errors_are_per_attempt(metrics: Metrics) -> None:
    """Each attempt counts by its outcome; success and a client that left are no errors."""
    for outcome in ("ok", "ok", "client_closed", "upstream_overloaded", "upstream_stalled"):
        _run(metrics, outcome=outcome)

    assert _read(metrics, "llm_proxy_attempts_total") == {
        ("alpha", "ok"): 2,
        ("alpha", "client_closed"): 1,
        ("alpha", "upstream_overloaded"): 1,
        ("alpha", "upstream_stalled"): 1,
    }
    assert _read(metrics, "llm_proxy_errors_total") == {
        ("alpha", "upstream_overloaded"): 1,
        ("alpha", "upstream_stalled"): 1,
    }


def test_response_time_is_that_of_the_head(metrics: Metrics) -> None:
    """An attempt's response time ends with its head, or with its failure when none came."""
    _run(metrics, first_byte_s=0.25, duration_s=9.0)
    _run(metrics, first_byte_s=None, duration_s=30.0, outcome="upstream_timeout")

    assert _read(metrics, "llm_proxy_response_time_seconds_sum") == {("alpha",): 30.25}


def test_latency_is_known_per_model(metrics: Metrics) -> None:
    """First-token time and duration count per deployment; failed attempts have no duration."""
    metrics.request_ended(build_record(ttft_s=0.5))
    metrics.request_ended(build_record(ttft_s=None))
    _run(metrics, model="large", duration_s=2.0)
    _run(metrics, model="large", outcome="upstream_truncated")

    assert _read(metrics, "llm_proxy_time_to_first_token_seconds_sum") == {("alpha", "small"): 0.5}
    assert _read(metrics, "llm_proxy_model_duration_seconds_sum") == {("alpha", "large"): 2.0}
    assert _read(metrics, "llm_proxy_model_duration_seconds_count") == {("alpha", "large"): 1}


def test_active_connections_rise_and_fall(metrics: Metrics) -> None:
    """The gauge holds the attempts that are under way, from zero and back to zero."""
    assert _read(metrics, "llm_proxy_active_connections") == {("alpha",): 0, ("beta",): 0}
    metrics.attempt_started("alpha")
    metrics.attempt_started("alpha")
    assert _read(metrics, "llm_proxy_active_connections")["alpha",] == 2
    metrics.attempt_ended(build_attempt())
    metrics.attempt_ended(build_attempt(outcome="client_closed"))
    assert _read(metrics, "llm_proxy_active_connections")["alpha",] == 0


def test_attempt_of_a_removed_provider_ends_where_it_began(metrics: Metrics) -> None:
    """A reload that removes a provider leaves no connection of it open for ever."""
    metrics.attempt_started("alpha")
    metrics.apply_snapshot(
        build_snapshot(Provider("gamma", "openai", "https://gamma.example", models=("x",)))
    )
    metrics.attempt_ended(build_attempt())

    assert _read(metrics, "llm_proxy_active_connections") == {
        ("alpha",): 0,
        ("beta",): 0,
        ("gamma",): 0,
    }


def test_breakers_start_closed(metrics: Metrics) -> None:
    """Each configured provider has a breaker gauge of 0; the health cache is empty."""
    assert _read(metrics, "llm_proxy_circuit_breaker_state") == {("alpha",): 0, ("beta",): 0}
    assert _read(metrics, "llm_proxy_health_check_cache_size") == {(): 0}
    assert _read(metrics, "llm_proxy_build_info") == {("1.2.3",): 1}


def test_labels_are_bounded(metrics: Metrics) -> None:
    """A hundred thousand invented names, codes, paths and statuses add a handful of series."""
    for n in range(1000):
        metrics.request_ended(
            build_record(
                provider=f"p{n}", model=f"{CANARY}{n}", endpoint=f"/{CANARY}/{n}", status=1000 + n
            )
        )
        _run(metrics, provider=f"p{n}", model=f"m{n}", outcome=f"{CANARY}{n}")
        _run(metrics, provider="beta", model=f"m{n}", outcome="ok")
        _run(metrics, outcome=f"upstream_{'abcdefghij'[n % 10]}{'klmnopqrst'[n // 100]}")

    assert list(_read(metrics, "llm_proxy_requests_total")) == [("other", "other", "other")]
    assert list(_read(metrics, "llm_proxy_model_duration_seconds_count")) == [("beta", "other")]
    assert len(_read(metrics, "llm_proxy_attempts_total")) <= 70
    assert ("other", "other") in _read(metrics, "llm_proxy_errors_total")
    assert CANARY.encode() not in metrics.render()[0]


def test_new_snapshot_brings_new_labels(metrics: Metrics) -> None:
    """After a reload its providers and models are labels of their own."""
    gamma = Provider("gamma", "openai", "https://gamma.example", models=("x",))
    _run(metrics, provider="gamma", model="x")
    metrics.apply_snapshot(build_snapshot(gamma))
    _run(metrics, provider="gamma", model="x")

    counted = _read(metrics, "llm_proxy_model_duration_seconds_count")
    assert counted == {("other", "other"): 1, ("gamma", "x"): 1}


def test_restart_keeps_counters(tmp_path: Path) -> None:
    """A new process under the same number goes on counting where the old one ended."""
    for run in range(1, 4):
        metrics = Metrics(tmp_path, endpoints=["/chat/completions"])
        metrics.apply_snapshot(build_snapshot())
        metrics.request_ended(build_record())
        assert {("alpha", "/chat/completions", "200"): run} == _read(
            metrics, "llm_proxy_requests_total"
        )
        metrics.close()


def test_upgrade_leaves_one_version(tmp_path: Path) -> None:
    """After an upgrade the build info names the new version only."""
    Metrics(tmp_path, version="1.0.0").close()
    metrics = Metrics(tmp_path, version="2.0.0")

    assert _read(metrics, "llm_proxy_build_info") == {("2.0.0",): 1}
    metrics.close()


def test_failovers_are_counted_under_bounded_labels(metrics: Metrics) -> None:
    """From where, to where and why; whatever is not known of these is `other`."""
    metrics.failed_over("alpha", "beta", "upstream_header_timeout")
    metrics.failed_over("alpha", "beta", "upstream_header_timeout")
    metrics.failed_over("beta", "gone", "host_open")
    metrics.failed_over("alpha", "beta", f"their own {CANARY}")

    assert _read(metrics, "llm_proxy_failovers_total") == {
        ("alpha", "beta", "upstream_header_timeout"): 2,
        ("beta", "other", "host_open"): 1,
        ("alpha", "beta", "other"): 1,
    }


def test_repeats_on_one_deployment_are_counted(metrics: Metrics) -> None:
    """Each repeat counts at the provider that is asked again."""
    metrics.retried("alpha")
    metrics.retried("alpha")
    metrics.retried("gone")

    assert _read(metrics, "llm_proxy_retries_total") == {("alpha",): 2, ("other",): 1}


def test_the_worst_breaker_of_a_provider_is_shown(metrics: Metrics) -> None:
    """The gauge says what it was last told, 0 from the start; strangers have none."""
    metrics.set_breaker("alpha", 2.0)
    metrics.set_breaker("gone", 1.0)
    assert _read(metrics, "llm_proxy_circuit_breaker_state") == {("alpha",): 2, ("beta",): 0}
    metrics.set_breaker("alpha", 0.0)
    assert _read(metrics, "llm_proxy_circuit_breaker_state") == {("alpha",): 0, ("beta",): 0}


def test_changes_of_breakers_are_counted(metrics: Metrics) -> None:
    """Each change counts under the state that it leads to."""
    metrics.breaker_changed("alpha", "open")
    metrics.breaker_changed("alpha", "half_open")
    metrics.breaker_changed("alpha", "open")
    metrics.breaker_changed("gone", "closed")
    assert _read(metrics, "llm_proxy_breaker_changes_total") == {
        ("alpha", "open"): 2,
        ("alpha", "half_open"): 1,
        ("other", "closed"): 1,
    }


def test_a_worker_without_redis_shows_in_the_whole(tmp_path: Path) -> None:
    """Redis counts as up while every worker uses it; where none is configured there is no word."""
    workers = [Metrics(tmp_path, worker=number) for number in (0, 1)]
    workers[0].set_redis_up(True)
    workers[0].count_redis_errors()
    assert _read(workers[0], "llm_proxy_redis_up") == {}

    for worker in workers:
        worker.open_redis()
        worker.set_redis_up(True)
    assert _read(workers[0], "llm_proxy_redis_up") == {(): 1}
    workers[1].set_redis_up(False)
    workers[1].count_redis_errors(3)
    assert _read(workers[0], "llm_proxy_redis_up") == {(): 0}
    assert _read(workers[0], "llm_proxy_redis_errors_total") == {(): 3}
    for worker in workers:
        worker.close()


def test_odd_answers_are_counted_by_provider_and_kind(metrics: Metrics) -> None:
    """Each anomaly of a request counts under the provider that answered."""
    metrics.request_ended(build_record(anomalies=("utf8_replaced", "usage_anomaly")))
    metrics.request_ended(build_record(anomalies=("usage_anomaly",)))

    assert _read(metrics, "llm_proxy_anomalies_total") == {
        ("alpha", "utf8_replaced"): 1,
        ("alpha", "usage_anomaly"): 2,
    }


def test_connections_that_we_refuse_or_close_are_counted(metrics: Metrics) -> None:
    """Every kind of connection fault is there from the start, and counts what is told."""
    metrics.connection_failed("write_stall")

    assert _read(metrics, "llm_proxy_connection_faults_total") == {
        ("connection_rejected",): 0,
        ("write_stall",): 1,
        ("head_timeout",): 0,
        ("invalid_http",): 0,
    }


def test_connections_that_leave_the_fast_path_are_counted(metrics: Metrics) -> None:
    """Every reason is there from the start, and counts what is told."""
    metrics.connection_handed_over("head")

    assert _read(metrics, "llm_proxy_connections_handed_over_total") == {
        ("route",): 0,
        ("head",): 1,
        ("pipelined",): 0,
    }


def test_a_machine_that_is_cut_off_is_told(metrics: Metrics) -> None:
    """The gauge is there from the start, and is 1 for as long as it is so."""
    seen = [_read(metrics, "llm_proxy_egress_down")[()]]
    for is_down in (True, False):
        metrics.set_egress_down(is_down)
        seen.append(_read(metrics, "llm_proxy_egress_down")[()])
    assert seen == [0, 1, 0]


def test_dropped_log_lines_are_counted(tmp_path: Path) -> None:
    """What a log writer loses appears in the metrics, also when it comes after the end."""
    metrics = Metrics(tmp_path)
    writer = LogWriter(1, max_bytes=4, on_dropped=metrics.count_dropped_log_lines)
    writer.write(b"too long\n")
    writer.close()

    assert _read(metrics, "llm_proxy_log_lines_dropped_total") == {(): 1}
    metrics.close()
    writer.write(b"late\n")


def test_a_blocked_loop_is_counted(metrics: Metrics) -> None:
    """It is told as 0 from the start, and counts each time."""
    assert _read(metrics, "llm_proxy_loop_blocked_total") == {(): 0}
    metrics.count_blocked_loop()
    assert _read(metrics, "llm_proxy_loop_blocked_total") == {(): 1}


def test_lag_and_refusals_are_counted(metrics: Metrics) -> None:
    """Refusals are told by reason, as 0 from the start; those without a record are requests too."""
    name = "llm_proxy_requests_shed_total"
    assert set(_read(metrics, name).values()) == {0}
    metrics.count_shed("late", 3)
    metrics.count_shed("full", 1)
    metrics.count_unrecorded("/chat/completions", 503, 2)
    metrics.count_unrecorded("/odd", 503, 1)
    metrics.observe_loop_lag(0.02)
    assert _read(metrics, name) == {("full",): 1, ("key_share",): 0, ("late",): 3}
    requests = _read(metrics, "llm_proxy_requests_total")
    assert requests["none", "/chat/completions", "503"] == 2
    assert requests["none", "other", "503"] == 1
    assert _read(metrics, "llm_proxy_loop_lag_seconds_count") == {(): 1}


def test_a_large_catalog_is_taken_in_short_steps(tmp_path: Path) -> None:
    """Of 10,000 models at 500 providers no step takes long, and each provider has its gauges."""
    wild = Provider("wild", "openai", "https://wild.example", models=("*",))
    providers = [
        Provider(
            f"p{n}", "openai", "https://p.example", models=tuple(f"m{n}-{k}" for k in range(20))
        )
        for n in range(500)
    ]
    metrics = Metrics(tmp_path)
    longest_s = 0.0
    steps = metrics.apply_steps(build_snapshot(wild, *providers))
    while True:
        began_s = time.process_time()
        try:
            next(steps)
        except StopIteration:
            break
        longest_s = max(longest_s, time.process_time() - began_s)
    assert longest_s < 0.05  # ten times what is promised
    assert len(_read(metrics, "llm_proxy_circuit_breaker_state")) == 501
    metrics.close()


def test_a_deployment_that_left_the_configuration_is_other(metrics: Metrics) -> None:
    """A model has its own label only while the catalog in force lists it."""
    _run(metrics)
    alpha = Provider("alpha", "openai", "https://alpha.example", models=("another",))
    metrics.apply_snapshot(build_snapshot(alpha))
    _run(metrics)
    counts = _read(metrics, "llm_proxy_model_duration_seconds_count")
    model = build_attempt().model
    assert counts == {("alpha", model): 1, ("alpha", "other"): 1}


def test_exposition_is_valid_and_complete(metrics: Metrics, tmp_path: Path) -> None:
    """The text parses, every family is in the table with its help, and none is missing."""
    service = ServiceMetrics(tmp_path)
    metrics.request_ended(build_record(anomalies=("utf8_replaced",)))
    _run(metrics)
    _run(metrics, outcome="upstream_timeout")
    metrics.failed_over("alpha", "beta", "upstream_timeout")
    metrics.retried("beta")
    metrics.breaker_changed("beta", "open")
    metrics.open_redis()
    metrics.health.take({"alpha": build_verdict("alpha", "unhealthy")}, held=1)
    body, content_type = metrics.render()
    service.close()

    families = {
        family.name: (family.type, family.documentation)
        for family in text_string_to_metric_families(body.decode())
    }
    assert {metric.family: (metric.kind, metric.help) for metric in METRICS} == families
    assert content_type.startswith("text/plain; version=")


def test_import_is_cheap() -> None:
    """Importing the metrics does not import prometheus-client, which only `render` needs."""
    script = "import sys, proxy.telemetry.metrics; sys.exit('prometheus_client' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
