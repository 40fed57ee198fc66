"""Writes a run down as `results/latest.md` for people and `results/latest.json` for programs."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from bench.budgets import (
    BUDGETS,
    MUST,
    REDIS_ADDS_AT_MOST,
    STAGES,
    WITH_AIOHTTP,
    WITH_REDIS,
    Budget,
    find_figure,
    is_close,
    is_met,
    scale_limit,
)
from bench.figures import FIGURES, Figure
from bench.plots import draw_plots
from bench.results import MachineInfo, Results, SystemInfo
from bench.summary import (
    BUSY_CORE_SHARE,
    Spread,
    find_faults,
    find_foreign_share,
    read_median,
    summarize,
)

RESULTS_FOLDER = Path(__file__).resolve().parent / "results"
SUBJECT = "proxy"
SHARING = "proxy-redis"
WITH_TWO_WORKERS = "proxy-2"
OVER_AIOHTTP = "proxy-aiohttp"
BASES = ("bare", "nginx")
SET_AGAINST_BASES = ("bare", SUBJECT, OVER_AIOHTTP)
FOR_TWO_WORKERS = (
    "requests_per_s",
    "cpu_us_per_request",
    "cpu_us_per_chunk",
    "chunks_per_s",
    "rss_idle_mb",
    "rss_busy_mb",
    "rss_tree_mb",
)
NO_RESULT = "**no result**"
Summary = Mapping[str, Mapping[str, Spread]]

HOW_TO_READ = f"""\
## How to read this

- Each figure is the median of the rounds, with the lowest and the highest in brackets.
- CPU per request and per chunk are the sturdy figures: the CPU time of the system's whole process
  tree in the measuring window, divided by what went through. Rates drift with the machine.
- "Of which kernel" is the kernel's part of that CPU time, the rest is the system's own code. The
  clock's ticks tell them apart: rough where a system uses little.
- RSS of "all processes" is that of the whole process tree, with the supervisor where there is one;
  the limits are those of a worker.
- `direct` has no system in between; its CPU and memory are the mock's own. What it makes is the
  most that anything behind it can make.
- `bare` is an aiohttp server and an aiohttp client and nothing else. The ratio to it says what our
  features cost, on any machine.
- `proxy-aiohttp` is `proxy` with aiohttp's client in front of the provider instead of its own.
- `proxy-redis` is `proxy` with its circuit breakers in a Redis on the other core.
- `proxy-2` has two workers and two cores, and its memory is that of one of them on the average. If
  the machine has no third core, the tools that load it run on one of the two: its rates are what is
  left, and CPU per request is what can be compared.
- Systems compile nothing as they start, as on every start but the first; "nothing compiled" is a
  start without any compiled file, not even those of Python's own library.
- Where a share of all requests is cut off or gets 429, requests that fail are what is measured, and
  no errors.
- 100,000 chunks/s are offered to the 1000 streams: more cannot be reached.
- The limits are absolute and come from one machine. The column "{MUST}, scaled" carries the
  limit over to this one by the speed of `bare`, then and now.
- **Bold** marks bad answers and missed limits. A figure with errors is no result: it is judged by
  no limit, compared with nothing, and has no dot in the pictures.

What is behind the rows: [docs/benchmarks.md](../../docs/benchmarks.md).
"""


def write_results(results: Results, folder: Path = RESULTS_FOLDER) -> list[Path]:
    """Write the report, what was measured and the pictures of it; return where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    markdown, data = folder / "latest.md", folder / "latest.json"
    markdown.write_text(build_markdown(results), encoding="utf-8")
    data.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    return [markdown, data, *write_plots(results, folder)]


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Draw the results; pictures of figures that were not measured this time are removed."""
    for stale in folder.glob("*.svg"):
        stale.unlink()
    pictures = draw_plots(results)
    for name, text in pictures.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in pictures]


def read_results(folder: Path = RESULTS_FOLDER) -> Results:
    """Return the run that was written last."""
    return msgspec.json.decode((folder / "latest.json").read_bytes(), type=Results)


def build_markdown(results: Results) -> str:
    """Return the whole report."""
    summary = summarize(results.slots)
    measured = [info for info in results.systems if info.name in summary]
    parts = [
        _build_head(results),
        "## Figures\n\n" + build_figure_table(measured, summary),
        _build_faults(results),
    ]
    ratios = build_ratio_table(measured, summary)
    if ratios:
        parts.append("## Ratios\n\n" + ratios)
    if SUBJECT in summary:
        parts.append("## Limits\n\n" + build_limit_table(summary, SUBJECT, STAGES))
    if OVER_AIOHTTP in summary:
        table = build_limit_table(summary, OVER_AIOHTTP, (WITH_AIOHTTP,))
        parts.append("## Limits with aiohttp's client\n\n" + table)
    if SUBJECT in summary and WITH_TWO_WORKERS in summary:
        parts.append("## Two workers\n\n" + build_two_workers_table(summary))
    if SUBJECT in summary and SHARING in summary:
        parts.append("## With Redis\n\n" + build_redis_table(summary))
    parts.append(HOW_TO_READ)
    return "\n".join(part for part in parts if part)


def _build_head(results: Results) -> str:
    machine = results.machine
    lines = [
        "# Benchmark",
        "",
        f"Written by `{results.command}` on {results.date}. "
        f"{_count(results.rounds, 'interleaved round')}, rows: {', '.join(results.rows)}.",
        "",
        f"- Machine: {machine.cpu}, {_count(machine.cpu_count, 'core')}, {machine.kernel}, "
        f"{machine.python}, {machine.compiler}",
        f"- Libraries: {_join_pairs(machine)}",
    ]
    for info in results.systems:
        state = f"**not measured**: {info.skipped}" if info.skipped else info.version
        lines.append(f"- `{info.name}` ({info.title}): {state}")
    notes = list(_build_notes(results))
    if notes:
        lines += ["", *(f"> **Note.** {note}" for note in notes)]
    return "\n".join(lines) + "\n"


def _build_notes(results: Results) -> Iterable[str]:
    if results.is_quick:
        yield "A quick run: one second per row, good for finding mistakes, not for figures."
    if not results.machine.are_cores_apart:
        yield (
            "Fewer than two cores: the system and the tools that load it shared one. "
            "These figures cannot be compared with any others."
        )
    for row, reason in results.skipped_rows.items():
        yield f"Row {row} was not measured: {reason}."
    share = find_foreign_share(results.slots)
    if share >= BUSY_CORE_SHARE:
        yield (
            f"In at least one row other programs or the host took {share:.0%} of one of the two "
            "cores: the figures are rough."
        )


def build_figure_table(measured: Sequence[SystemInfo], summary: Summary) -> str:
    """Return all figures, one column per system."""
    rows = [
        [f"{figure.title}, {figure.unit}"]
        + [format_spread(figure, summary[info.name].get(figure.name)) for info in measured]
        for figure in FIGURES
        if any(figure.name in summary[info.name] for info in measured)
    ]
    return _build_table(["", *(info.name for info in measured)], rows)


def build_ratio_table(measured: Sequence[SystemInfo], summary: Summary) -> str:
    """Return every system's figures as multiples of the yardsticks', or nothing."""
    pairs = [
        (info.name, base)
        for info in measured
        if info.name in SET_AGAINST_BASES
        for base in BASES
        if base in summary and base != info.name
    ]
    rows = []
    for figure in FIGURES:
        if figure.better == "neither":
            continue
        cells = [_format_ratio(summary, figure, *pair) for pair in pairs]
        if any(cell != "-" for cell in cells):
            better = "less is better" if figure.better == "less" else "more is better"
            rows.append([f"{figure.title} ({better})", *cells])
    if not rows:
        return ""
    return _build_table(["", *(f"{system} / {base}" for system, base in pairs)], rows)


def build_redis_table(summary: Summary) -> str:
    """Return what it costs to share circuit breakers through Redis, each figure good or not."""
    rows = []
    for figure in map(find_figure, WITH_REDIS):
        alone = read_median(summary, SUBJECT, figure.name)
        shared = read_median(summary, SHARING, figure.name)
        if _is_measured(summary, figure, SUBJECT, SHARING):
            verdict = NO_RESULT
            if alone and shared is not None:
                verdict = "met" if is_close(figure, shared, alone) else "**missed**"
            rows.append([*_compare(summary, figure, SUBJECT, SHARING), verdict])
    limit = f"at most {REDIS_ADDS_AT_MOST:.0%} worse"
    return _build_table(["", SUBJECT, SHARING, "ratio", limit], rows)


def build_two_workers_table(summary: Summary) -> str:
    """Return what a second worker on a second core makes of the figures."""
    rows = []
    for figure in map(find_figure, FOR_TWO_WORKERS):
        one = read_median(summary, SUBJECT, figure.name)
        two = read_median(summary, WITH_TWO_WORKERS, figure.name)
        if _is_measured(summary, figure, SUBJECT, WITH_TWO_WORKERS):
            rows.append(_compare(summary, figure, SUBJECT, WITH_TWO_WORKERS))
            if figure.name == "cpu_us_per_request" and one and two:
                per_core = [f"{1e6 / one:,.0f}", f"{1e6 / two:,.0f}", f"{one / two:.2f}"]
                rows.append(["requests for each second of CPU, 64 clients", *per_core])
    return _build_table(["", SUBJECT, WITH_TWO_WORKERS, "ratio"], rows)


def _is_measured(summary: Summary, figure: Figure, *systems: str) -> bool:
    return all(figure.name in summary.get(system, {}) for system in systems)


def _compare(summary: Summary, figure: Figure, system: str, other: str) -> list[str]:
    """Return a line's first cells: the title, both medians, and the second's ratio to the first."""
    medians = [read_median(summary, each, figure.name) for each in (system, other)]
    cells = [NO_RESULT if value is None else figure.format(value) for value in medians]
    ratio = _format_ratio(summary, figure, other, system)
    return [f"{figure.title}, {figure.unit}", *cells, ratio]


def build_limit_table(summary: Summary, system: str, stages: Sequence[str]) -> str:
    """Return a system's figures beside their limits, each met or missed."""
    titles = ["", system, stages[0], f"{stages[0]}, scaled", *stages[1:]]
    rows = [_build_limit_row(budget, summary, system, stages) for budget in BUDGETS]
    return _build_table(titles, [row for row in rows if row])


def _build_limit_row(
    budget: Budget, summary: Summary, system: str, stages: Sequence[str]
) -> list[str]:
    figure = find_figure(budget.figure)
    limit = budget.limits.get(stages[0])
    needed = (system,) if budget.over is None else (system, budget.over)
    if limit is None or not _is_measured(summary, figure, *needed):
        return []
    value = read_median(summary, system, figure.name)
    bare = read_median(summary, "bare", figure.name)
    title = f"{figure.title}, {figure.unit}"
    if budget.over is not None:
        under = read_median(summary, budget.over, figure.name)
        value = None if value is None or under is None else value - under
        bare = None if bare is None or under is None else bare - under
        title = f"{figure.title}, added to {budget.over}, {figure.unit}"
    scaled = scale_limit(figure.name, limit, bare)
    cells = [format_limit(figure, value, budget.limits.get(stage)) for stage in stages]
    cells.insert(1, format_limit(figure, value, scaled))
    return [title, NO_RESULT if value is None else figure.format(value), *cells]


def format_spread(figure: Figure, spread: Spread | None) -> str:
    """Return a cell: the median, the range, and in bold what makes it no result."""
    if spread is None:
        return "-"
    text = figure.format(spread.median)
    if spread.low != spread.high:
        text += f" ({figure.format(spread.low)}-{figure.format(spread.high)})"
    if spread.errors:
        text += f" **{_count(spread.errors, 'error')}**"
    elif spread.is_silent:
        text += " **no good answer**"
    return text


def format_limit(figure: Figure, value: float | None, limit: float | None) -> str:
    """Return a cell: the limit and whether `value` keeps to it; None is no result."""
    if limit is None:
        return "-"
    sign = "<=" if figure.better == "less" else ">="
    verdict = NO_RESULT
    if value is not None:
        verdict = "met" if is_met(figure, value, limit) else "**missed**"
    return f"{sign} {limit:,.4g} {verdict}" if limit < 1000 else f"{sign} {limit:,.0f} {verdict}"


def _format_ratio(summary: Summary, figure: Figure, system: str, base: str) -> str:
    if not _is_measured(summary, figure, system, base):
        return "-"
    value = read_median(summary, system, figure.name)
    against = read_median(summary, base, figure.name)
    if value is None or against is None:
        return NO_RESULT
    return f"{value / against:.2f}" if against else "-"


def _build_faults(results: Results) -> str:
    faults = find_faults(results.slots)
    if not faults:
        return ""
    return "## What went wrong\n\n" + "".join(f"- **{fault}**\n" for fault in faults)


def _build_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] + ["---:"] * (len(titles) - 1), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _join_pairs(machine: MachineInfo) -> str:
    return ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
