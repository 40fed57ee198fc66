"""The files of several workers and their merged view."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.telemetry import metric_table as table
from proxy.telemetry.metric_store import MetricStore


def _read(store: MetricStore) -> dict[tuple[str, tuple[str, ...]], float]:
    body, _ = store.render()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_workers_are_added_up(tmp_path: Path) -> None:
    """Any worker's view holds the sum of all counters, histograms and live gauges."""
    stores = [MetricStore(tmp_path, worker) for worker in range(3)]
    for store in stores:
        store.open_number(table.TOKENS, "alpha", "prompt").add(10)
        store.open_number(table.ACTIVE_CONNECTIONS, "alpha").add(2)
        store.open_number(table.BREAKER_STATE, "alpha").set(1)
        store.open_histogram(table.RESPONSE_TIME, "alpha").observe(0.2)

    views = [_read(store) for store in stores]

    assert views[0] == views[1] == views[2]
    assert views[0]["llm_proxy_tokens_total", ("prompt", "alpha")] == 30
    assert views[0]["llm_proxy_active_connections", ("alpha",)] == 6
    assert views[0]["llm_proxy_circuit_breaker_state", ("alpha",)] == 1
    assert views[0]["llm_proxy_response_time_seconds_count", ("alpha",)] == 3
    for store in stores:
        store.close()


def test_histogram_counts_up_to_and_including_a_bound(tmp_path: Path) -> None:
    """A duration of exactly a bound lies within it; above all bounds only +Inf counts it."""
    store = MetricStore(tmp_path, 0)
    histogram = store.open_histogram(table.RESPONSE_TIME, "alpha")
    for seconds in (0.25, 0.2501, 10_000.0):
        histogram.observe(seconds)

    view = _read(store)

    name = "llm_proxy_response_time_seconds_bucket"
    assert [
        view[name, (bound, "alpha") if (name, (bound, "alpha")) in view else ("alpha", bound)]
        for bound in ("0.1", "0.25", "0.5", "600.0", "+Inf")
    ] == [0, 1, 2, 2, 3]
    assert pytest.approx(view["llm_proxy_response_time_seconds_sum", ("alpha",)]) == 10_000.5001
    store.close()


def test_restart_keeps_counters_and_clears_gauges(tmp_path: Path) -> None:
    """A worker killed without a word leaves its counters, and none of its live gauges."""
    script = """
import os, sys
from pathlib import Path
from proxy.telemetry import metric_table as table
from proxy.telemetry.metric_store import MetricStore
store = MetricStore(Path(sys.argv[1]), int(sys.argv[2]))
store.open_number(table.TOKENS, "alpha", "prompt").add(5)
store.open_number(table.ACTIVE_CONNECTIONS, "alpha").add(1)
store.open_histogram(table.RESPONSE_TIME, "alpha").observe(1.0)
os.kill(os.getpid(), 9)
"""
    for worker in ("0", "0", "1"):
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path), worker], check=False, timeout=60
        )

    store = MetricStore(tmp_path, 0)
    view = _read(store)

    assert view["llm_proxy_tokens_total", ("prompt", "alpha")] == 15
    assert view["llm_proxy_response_time_seconds_count", ("alpha",)] == 3
    assert ("llm_proxy_active_connections", ("alpha",)) not in view
    store.close()


def test_draining_worker_keeps_its_files(tmp_path: Path) -> None:
    """While the old holder of a number still counts, the new one counts beside it."""
    old, new = MetricStore(tmp_path, 0), MetricStore(tmp_path, 0)
    for store in (old, new):
        store.open_number(table.TOKENS, "alpha", "prompt").add(1)
        store.open_number(table.ACTIVE_CONNECTIONS, "alpha").add(1)

    assert _read(new)["llm_proxy_tokens_total", ("prompt", "alpha")] == 2
    assert _read(new)["llm_proxy_active_connections", ("alpha",)] == 2
    old.close()
    assert _read(new)["llm_proxy_tokens_total", ("prompt", "alpha")] == 2
    assert _read(new)["llm_proxy_active_connections", ("alpha",)] == 1
    new.close()


def test_directories_do_not_know_each_other(tmp_path: Path) -> None:
    """Two stores of one process in different directories count apart."""
    first, second = MetricStore(tmp_path / "a", 0), MetricStore(tmp_path / "b", 0)
    first.open_number(table.TOKENS, "alpha", "prompt").add(1)

    assert ("llm_proxy_tokens_total", ("prompt", "alpha")) in _read(first)
    assert _read(second) == {}
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0
    first.close()
    second.close()


def test_damaged_file_is_set_aside(tmp_path: Path) -> None:
    """A file that a power cut left damaged does not stop the start; what was in it is kept."""
    for worker in (0, 7):
        (tmp_path / f"counter_{worker}.db").write_bytes(b"\xff" * 100)

    store = MetricStore(tmp_path, 0)
    store.open_number(table.TOKENS, "alpha", "prompt").add(1)

    assert _read(store)["llm_proxy_tokens_total", ("prompt", "alpha")] == 1
    assert sorted(path.name for path in tmp_path.glob("*.damaged")) == [
        "counter_0.damaged",
        "counter_7.damaged",
    ]
    store.close()


def test_late_numbers_harm_nothing(tmp_path: Path) -> None:
    """Counting after `close()` raises nothing and changes no other number."""
    store = MetricStore(tmp_path, 0)
    number = store.open_number(table.TOKENS, "alpha", "prompt")
    histogram = store.open_histogram(table.RESPONSE_TIME, "alpha")
    store.close()

    number.add(1)
    histogram.observe(1.0)


def test_unusable_directory_is_named(tmp_path: Path) -> None:
    """A file where the directory should be is an error at start that names it."""
    (tmp_path / "metrics").write_text("")

    with pytest.raises(OSError, match="metrics"):
        MetricStore(tmp_path / "metrics", 0)
