"""Tests of the written report."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.report import build_markdown, read_results, write_results
from bench.results import RowResult, SlotResult, SystemInfo
from tests.bench.samples import build_busy_slot, build_load, build_results

PROXY = build_busy_slot("proxy", 1, 6_500, 140.0)
BARE = build_busy_slot("bare", 1, 7_900, 126.0)
NGINX = build_busy_slot("nginx", 1, 46_000, 20.0)


def test_all_systems_stand_side_by_side() -> None:
    """Each measured system has a column, each figure a line; what nobody measured is absent."""
    text = build_markdown(build_results(PROXY, BARE, NGINX))
    assert "|  | proxy | bare | nginx |" in text
    assert "| requests, JSON, 64 clients, 1/s | 6,500 | 7,900 | 46,000 |" in text
    assert "TTFT" not in text.partition("## How to read")[0]


def test_several_rounds_show_their_range() -> None:
    """The median is followed by the lowest and the highest round."""
    slots = [build_busy_slot("proxy", i, rate, 140.0) for i, rate in enumerate((5, 6, 9), 1)]
    assert "| 6 (5-9) |" in build_markdown(build_results(*slots))


def test_ratios_are_to_bare_and_to_nginx() -> None:
    """The proxy and the pass-through are given as multiples of the yardsticks."""
    text = build_markdown(build_results(PROXY, BARE, NGINX))
    assert "|  | proxy / bare | proxy / nginx | bare / nginx |" in text
    assert "| CPU per request, 64 clients (less is better) | 1.11 | 7.00 | 6.30 |" in text


def test_what_redis_costs_stands_beside_what_is_measured_without() -> None:
    """Both medians, their ratio, and whether it is within a tenth; it has no ratio to bare."""
    shared = build_busy_slot("proxy-redis", 1, 5_800, 150.0)
    text = build_markdown(build_results(PROXY, shared, BARE))
    assert "| requests, JSON, 64 clients, 1/s | 6,500 | 5,800 | 0.89 | **missed** |" in text
    assert "| CPU per request, 64 clients, us | 140.0 | 150.0 | 1.07 | met |" in text
    assert "proxy-redis / bare" not in text
    assert "## With Redis" not in build_markdown(build_results(PROXY, BARE))


def test_limits_say_met_or_missed() -> None:
    """Each limit has its verdict, also as it is scaled to the machine; a missed one is bold."""
    text = build_markdown(build_results(build_busy_slot("proxy", 1, 12_500, 75.0), BARE))
    assert (
        "| CPU per request, 64 clients, us | 75.0 | <= 80 met | <= 80 met | <= 60 **missed** |"
    ) in text


def test_the_proxy_over_aiohttp_is_judged_by_limits_of_its_own() -> None:
    """Beside the proxy's limits stand those for aiohttp's client, if it was measured."""
    over_aiohttp = build_busy_slot("proxy-aiohttp", 1, 6_500, 140.0)
    text = build_markdown(build_results(PROXY, over_aiohttp, BARE))
    assert "|  | proxy-aiohttp | must, with aiohttp's client |" in text
    assert "| CPU per request, 64 clients, us | 140.0 | <= 150 met | <= 150 met |" in text
    assert "with aiohttp's client |" not in build_markdown(build_results(PROXY, BARE))


def test_two_workers_are_compared_with_one() -> None:
    """Rates of both, their ratio, and what one second of CPU does with each."""
    two = build_busy_slot("proxy-2", 1, 9_750, 160.0)
    text = build_markdown(build_results(build_busy_slot("proxy", 1, 6_500, 160.0), two))
    assert "| requests, JSON, 64 clients, 1/s | 6,500 | 9,750 | 1.50 |" in text
    assert "| requests for each second of CPU, 64 clients | 6,250 | 6,250 | 1.00 |" in text
    assert "## Two workers" not in build_markdown(build_results(PROXY))


def test_a_limit_on_what_is_added_needs_what_it_is_added_to() -> None:
    """The latency limit is on the difference to nginx and is absent without nginx."""
    row = RowResult("single", {"p50_ms": 0.30}, build_load())
    other = RowResult("single", {"p50_ms": 0.12}, build_load())
    proxy, nginx = (SlotResult(n, 1, rows=(r,)) for n, r in (("proxy", row), ("nginx", other)))
    both, alone = (build_markdown(build_results(*slots)) for slots in ((proxy, nginx), (proxy,)))
    title = "| p50, JSON, 1 client, added to nginx, ms | 0.180 | <= 0.08 **missed** | - |"
    assert title in both
    assert "added to nginx" not in alone


def test_an_added_latency_is_scaled_by_what_the_pass_through_adds() -> None:
    """Where the pass-through adds twice what it once added, twice the limit is allowed."""
    medians = {"proxy": 0.27, "bare": 0.38, "nginx": 0.12}
    slots = [
        SlotResult(name, 1, rows=(RowResult("single", {"p50_ms": value}, build_load()),))
        for name, value in medians.items()
    ]
    assert "| 0.150 | <= 0.08 **missed** | <= 0.16 met |" in build_markdown(build_results(*slots))


def test_bad_answers_are_bold_in_the_table_and_told_below_it() -> None:
    """Errors are never hidden: bold beside the figure and explained in a section of their own."""
    text = build_markdown(build_results(build_busy_slot("proxy", 1, 6_500, 140.0, err=7)))
    assert "| 6,500 **7 errors** |" in text
    assert "## What went wrong\n\n- **proxy, round 1, row busy: 7 errors" in text


def test_a_figure_with_errors_meets_no_limit() -> None:
    """Fast answers that are bad ones are no result, whatever the limit; other figures stay."""
    proxy = build_busy_slot("proxy", 1, 12_500, 75.0, err=99_999)
    text = build_markdown(build_results(proxy, BARE))
    limits = text.partition("## Limits")[2].partition("## How to read")[0]
    none = "**no result**"
    assert f"64 clients, 1/s | {none} | >= 12,000 {none} | >= 12,000 {none} |" in limits
    assert f"| CPU per request, 64 clients, us | {none} | <= 80 {none} |" in limits
    assert "| RSS idle, worker, MB | 50.0 | <= 60 met |" in limits
    assert "| CPU per request, 64 clients (less is better) | **no result** |" in text


def test_what_is_added_to_a_figure_with_errors_is_no_result() -> None:
    """A limit on a difference needs two results, and it is not scaled by what is none."""
    values = {"proxy": 0.30, "nginx": 0.12, "bare": 0.38}
    bad = {"nginx": 3}
    slots = [
        SlotResult(n, 1, rows=(RowResult("single", {"p50_ms": v}, build_load(err=bad.get(n, 0))),))
        for n, v in values.items()
    ]
    text = build_markdown(build_results(*slots))
    assert "added to nginx, ms | **no result** | <= 0.08 **no result** | - |" in text


@pytest.mark.parametrize("bad", ["proxy", "proxy-redis", "proxy-2"])
def test_nothing_is_compared_with_a_figure_with_errors(bad: str) -> None:
    """With Redis, or with two workers, a figure with errors has neither ratio nor verdict."""
    names = ("proxy", "proxy-redis" if bad == "proxy" else bad)
    slots = [build_busy_slot(n, 1, 6_500, 140.0, err=int(n == bad)) for n in names]
    text = build_markdown(build_results(*slots))
    table = text.partition("## Two workers" if bad == "proxy-2" else "## With Redis")[2]
    (line,) = (each for each in table.splitlines() if each.startswith("| requests, JSON"))
    figures = ("**no result**", "6,500") if bad == "proxy" else ("6,500", "**no result**")
    assert [cell.strip() for cell in line.split("|")[2:5]] == [*figures, "**no result**"]
    assert "met" not in line


def test_the_kernels_part_is_not_judged() -> None:
    """It stands in the table of figures, and has no ratio: less is not better."""
    row = RowResult("busy", {"busy_kernel_share": 41.7}, build_load())
    slots = [SlotResult(name, 1, rows=(row,)) for name in ("proxy", "bare")]
    text = build_markdown(build_results(*slots))
    assert "| of which kernel, 64 clients, % | 42 | 42 |" in text
    assert "## Ratios" not in text


def test_silence_is_bold_as_well() -> None:
    """A rate of zero is marked as no good answer."""
    row = RowResult("busy", {"requests_per_s": 0.0}, build_load(ok=0))
    text = build_markdown(build_results(SlotResult("proxy", 1, rows=(row,))))
    assert "| 0 **no good answer** |" in text


def test_a_clean_run_has_nothing_that_went_wrong() -> None:
    """Without faults there is no section about them and no note."""
    text = build_markdown(build_results(PROXY, BARE))
    assert "What went wrong" not in text
    assert "**Note.**" not in text


def test_a_system_that_was_not_measured_says_why() -> None:
    """A skipped system is listed with its reason and has no column."""
    skipped = SystemInfo("nginx", "nginx", "", "nginx is not installed")
    text = build_markdown(build_results(PROXY, skipped=skipped))
    assert "- `nginx` (nginx): **not measured**: nginx is not installed" in text
    assert "|  | proxy |\n" in text


def test_figures_that_deserve_no_trust_say_so() -> None:
    """A quick run, a shared core and a disturbed core each get a note."""
    disturbed = replace(PROXY, rows=(replace(PROXY.rows[0], foreign_share=0.5),))
    results = build_results(disturbed)
    machine = replace(results.machine, are_cores_apart=False)
    text = build_markdown(replace(results, is_quick=True, machine=machine))
    assert "> **Note.** A quick run" in text
    assert "> **Note.** Fewer than two cores" in text
    left_out = replace(results, skipped_rows={"tls": "there is no nginx"})
    assert "> **Note.** Row tls was not measured: there is no nginx." in build_markdown(left_out)
    assert "other programs or the host took 50% of one of the two cores" in text


def test_files_are_written(tmp_path: Path) -> None:
    """latest.md is the report, latest.json holds every slot and can be read back."""
    results = build_results(PROXY, BARE)
    markdown, data, *_ = write_results(results, tmp_path / "results")
    assert read_results(tmp_path / "results") == results
    assert build_markdown(results) == markdown.read_text()
    slots = json.loads(data.read_text())["slots"]
    assert [slot["system"] for slot in slots] == ["proxy", "bare"]
    assert slots[0]["rows"][0]["load"]["rps"] == 6_500.0


def test_a_picture_of_an_earlier_run_does_not_stay(tmp_path: Path) -> None:
    """The pictures are those of this run's figures and no others."""
    (tmp_path / "chunks.svg").write_text("of another day")
    written = write_results(build_results(PROXY, BARE), tmp_path)
    pictures = {path.name for path in tmp_path.glob("*.svg")}
    assert pictures == {"requests.svg", "cpu-per-request.svg"}
    assert pictures == {path.name for path in written if path.suffix == ".svg"}
