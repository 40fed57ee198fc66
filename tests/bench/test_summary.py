"""Tests of medians, spreads and the list of faults."""

from bench.results import RowResult, SlotResult
from bench.summary import (
    Spread,
    build_spread,
    find_faults,
    find_foreign_share,
    read_median,
    summarize,
)
from tests.bench.samples import build_busy_slot, build_load


def test_a_spread_is_the_median_between_the_extremes() -> None:
    """Of three rounds the middle one counts, the others are the range."""
    assert Spread(5.0, 1.0, 9.0) == build_spread([9.0, 1.0, 5.0])


def test_rounds_of_one_system_are_joined() -> None:
    """Every system gets one spread per figure over all its rounds."""
    rates = [6_000, 5_000, 7_000]
    slots = [build_busy_slot("proxy", i, rate, 150.0) for i, rate in enumerate(rates, 1)]
    summary = summarize([*slots, build_busy_slot("bare", 1, 8_000, 126.0)])
    assert Spread(6_000.0, 5_000.0, 7_000.0) == summary["proxy"]["requests_per_s"]
    assert read_median(summary, "bare", "cpu_us_per_request") == 126.0
    assert read_median(summary, "bare", "chunks_per_s") is None
    assert read_median(summary, "nginx", "requests_per_s") is None


def test_errors_of_all_rounds_stay_with_the_figures_of_their_row() -> None:
    """Bad answers are added up over the rounds and do not touch figures of other rows."""
    slots = [build_busy_slot("proxy", i, 6_000, 150.0, err=2) for i in (1, 2)]
    summary = summarize(slots)
    assert summary["proxy"]["requests_per_s"].errors == 4
    assert summary["proxy"]["start_s"].errors == 0


def test_what_failed_in_any_round_is_no_result() -> None:
    """One bad answer is enough, and so is silence, also for figures that only other rounds have."""
    good = build_busy_slot("proxy", 1, 6_000, 150.0)
    bad = build_busy_slot("proxy", 2, 6_000, 150.0, err=1)
    row = RowResult("busy", {"requests_per_s": 0.0}, build_load(ok=0))
    for other in (bad, SlotResult("proxy", 2, rows=(row,))):
        summary = summarize([good, other])
        for name in ("requests_per_s", "cpu_us_per_request"):
            assert not summary["proxy"][name].is_result
            assert read_median(summary, "proxy", name) is None
        assert read_median(summary, "proxy", "start_s") == 0.25


def test_every_fault_has_its_sentence() -> None:
    """Errors, silence and failures are each told with system, round and row."""
    silent = RowResult(row="wide", figures={}, load=build_load(ok=0))
    faults = find_faults(
        [
            build_busy_slot("proxy", 1, 6_000, 150.0, err=2),
            SlotResult("bare", 2, rows=(silent,)),
            SlotResult("nginx", 3, failure="was not ready within 30 s"),
        ]
    )
    assert faults == [
        "proxy, round 1, row busy: 2 errors (2 wrong status, 0 connection, 0 short answer); "
        "first: `bad status 503: HTTP/1.1 503`",
        "bare, round 2, row wide: not one good answer",
        "nginx, round 3: was not ready within 30 s",
    ]


def test_the_worst_disturbance_is_the_one_that_counts() -> None:
    """The largest share that others took of the core in any row is reported; 0 without rows."""
    rows = tuple(RowResult("busy", {}, build_load(), share) for share in (0.01, 0.2, 0.0))
    assert find_foreign_share([SlotResult("proxy", 1, rows=rows)]) == 0.2
    assert find_foreign_share([]) == 0.0
