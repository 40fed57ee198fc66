"""Tests of the rows: their loads and what figures they yield."""

import os
from operator import attrgetter

import pytest
from msgspec.structs import replace

from bench.figures import FIGURES
from bench.rows import Row, Target, Usage, build_rows, derive_figures
from bench.translations import build_hub_rows
from tests.bench.samples import build_load


def is_special(name: str) -> bool:
    """Return whether a figure is of a start with another configuration."""
    return name.startswith(("reload_", "rss_large_", "cut_", "limited_"))


def build_loaded_rows(is_quick: bool) -> list[Row]:
    """Return every row that `lg` alone makes, of whatever start."""
    return [*build_rows(is_quick), *build_hub_rows(is_quick)]


USAGE = Usage(
    cpu_us_per_s=900_000.0,
    kernel_share=0.25,
    peak_rss_bytes=66_000_000,
    peak_tree_rss_bytes=123_000_000,
    foreign_share=0.0,
)


@pytest.mark.parametrize("is_quick", [True, False])
def test_streams_are_running_when_the_window_opens(is_quick: bool) -> None:
    """In every row the ramp is over before anything is measured."""
    for row in build_loaded_rows(is_quick):
        assert row.plan.ramp_ms / 1000 < row.plan.warmup_s


def test_a_quick_run_of_one_start_stays_below_twelve_seconds() -> None:
    """All quick rows of one start together take less than twelve seconds."""
    rows = build_loaded_rows(is_quick=True)
    for start in ("plain", "hub"):
        assert sum(row.plan.total_s for row in rows if row.start == start) < 12


def test_all_rows_together_yield_every_figure_but_those_with_a_start_of_their_own() -> None:
    """Each figure comes out of exactly one row, of the start of the system or of another start."""
    load = build_load(ok=6000, chunks=60_000)
    rows = build_loaded_rows(True)
    found = [name for row in rows for name in derive_figures(row.name, load, USAGE)]
    found += ["rss_idle_mb", "rss_supervisor_mb", "start_s", "start_cold_s"]
    others = [name for name in map(attrgetter("name"), FIGURES) if not is_special(name)]
    assert sorted(found) == sorted(others)


def test_cpu_is_divided_by_what_went_through() -> None:
    """0.9 s of CPU per second over 6,000 requests are 150 us each; over 30,000 chunks 30 us."""
    busy = derive_figures("busy", build_load(ok=6000), USAGE)
    paced = derive_figures("paced", build_load(chunks=30_000), USAGE)
    assert (busy["requests_per_s"], busy["p99_ms"]) == (6000.0, 9.0)
    assert (busy["cpu_us_per_request"], paced["cpu_us_per_chunk"]) == (150.0, 30.0)


def test_the_kernels_part_stands_beside_the_whole() -> None:
    """The rows that limits are judged by give CPU per request or chunk, and how much is kernel."""
    load = build_load(ok=6000, chunks=90_000)
    busy, paced, wide = (derive_figures(name, load, USAGE) for name in ("busy", "paced", "wide"))
    assert (busy["cpu_us_per_request"], busy["busy_kernel_share"]) == (150.0, 25.0)
    assert (paced["cpu_us_per_chunk"], paced["paced_kernel_share"]) == (10.0, 25.0)
    assert (wide["wide_cpu_us_per_chunk"], wide["wide_kernel_share"]) == (10.0, 25.0)
    idle = replace(USAGE, kernel_share=None)
    assert "busy_kernel_share" not in derive_figures("busy", load, idle)


def test_the_limit_is_on_a_worker_and_the_whole_tree_is_told_too() -> None:
    """1000 streams give the memory of what serves, and that of all processes."""
    wide = derive_figures("wide", build_load(chunks=90_000), USAGE)
    assert (wide["rss_busy_mb"], wide["rss_tree_mb"]) == (66.0, 123.0)


def test_rows_of_one_kind_have_figures_of_their_own() -> None:
    """What is measured with large bodies or behind TLS is never taken for what is without."""
    load = build_load(ok=6000, chunks=30_000)
    large, tls = (derive_figures(name, load, USAGE) for name in ("large", "tls"))
    assert large == {"large_requests_per_s": 6000.0, "large_cpu_us_per_request": 150.0}
    assert tls == {"tls_requests_per_s": 6000.0, "tls_cpu_us_per_request": 150.0}
    assert derive_figures("tls-paced", load, USAGE) == {"tls_cpu_us_per_chunk": 30.0}
    translated = derive_figures("chat-gemini", load, USAGE)
    assert translated == {"chat_gemini_cpu_us_per_chunk": 30.0}


def test_memory_is_that_of_one_worker() -> None:
    """What two workers hold is divided by two."""
    pids = (os.getpid(),)
    one = Target("", "", (), (), (), pids)
    assert replace(one, workers=2).read_rss_bytes() == pytest.approx(
        one.read_rss_bytes() / 2, rel=0.05
    )


def test_what_was_not_measured_is_left_out() -> None:
    """Without good answers there is no CPU per request, and -1 is never a latency."""
    silent = build_load(ok=0)
    assert "cpu_us_per_request" not in derive_figures("busy", silent, USAGE)
    assert set(derive_figures("paced", silent, USAGE)) == {"paced_kernel_share"}
