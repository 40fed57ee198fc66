"""
The rows of the benchmark: what load each one makes and which figures come out of it.

`slot.py` runs them against one system that is already up.
"""

import subprocess
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import Struct

from bench.cores import pinned_to
from bench.load import LoadFailed, LoadPlan, LoadResult, build_command, parse_result
from bench.process import StartedProcess, read_core_busy_ns, read_cpu_ns, read_rss_bytes
from bench.results import RowResult
from bench.toolchain import Tools

RSS_SAMPLE_S = 0.1
EDGE_S = 0.02
"""How far inside lg's window the CPU is read, so that both ends of it are under full load."""
LG_GRACE_S = 30.0

T = TypeVar("T")


class Row(Struct, frozen=True):
    """One kind of load."""

    name: str
    title: str
    plan: LoadPlan


class Target(Struct, frozen=True):
    """
    A system that is up: where it answers, with which key, on which core.

    `tool_pids` are the processes of the benchmark that run beside `lg` on the tools' core,
    `serving_pids` are those whose memory counts.
    """

    url: str
    api_key: str
    core: int | None
    tools_core: int | None
    tool_pids: tuple[int, ...]
    serving_pids: tuple[int, ...]


class Usage(Struct, frozen=True):
    """What the system under test used in the measuring window."""

    cpu_us_per_s: float
    peak_rss_bytes: int
    foreign_share: float
    """
    The part of a core's time that other programs or the host took, 0 to 1: of the measured core
    or of the tools' core, whichever is larger.
    """


def build_rows(is_quick: bool) -> tuple[Row, ...]:
    """Return all rows; the quick ones measure for one second instead of three."""
    measure_s = 1.0 if is_quick else 3.0
    short_s = 0.3 if is_quick else 0.5
    # The ramp must be over, and the first streams ended, before the window opens.
    paced = LoadPlan(64, measure_s, 1.2, streams=True, delay_ms=10, ramp_ms=500)
    wide = LoadPlan(1000, measure_s, 2.2, streams=True, delay_ms=10, ramp_ms=1000)
    return (
        Row("single", "1 client, JSON", LoadPlan(1, measure_s, short_s)),
        Row("busy", "64 clients, JSON", LoadPlan(64, measure_s, short_s)),
        Row("paced", "64 streams of 100 chunks, 10 ms apart", paced),
        Row(
            "first",
            "1 stream of 10 chunks, 10 ms apart",
            LoadPlan(1, measure_s, 0.2, streams=True, chunks=10, delay_ms=10),
        ),
        Row("wide", "1000 streams of 100 chunks, 10 ms apart", wide),
    )


def derive_figures(row_name: str, load: LoadResult, usage: Usage) -> dict[str, float]:
    """Return the figures of one row; a figure that could not be measured is left out."""
    figures: dict[str, float] = {}
    if row_name == "single":
        figures["p50_ms"] = load.p50_us / 1000
    elif row_name == "busy":
        figures["requests_per_s"] = load.requests_per_s
        figures["p99_ms"] = load.p99_us / 1000
        if load.requests_per_s:
            figures["cpu_us_per_request"] = usage.cpu_us_per_s / load.requests_per_s
    elif row_name == "paced":
        if load.chunks_per_s:
            figures["cpu_us_per_chunk"] = usage.cpu_us_per_s / load.chunks_per_s
    elif row_name == "first":
        figures["ttft_ms"] = load.ttft50_us / 1000
    elif row_name == "wide":
        figures["chunks_per_s"] = load.chunks_per_s
        figures["rss_busy_mb"] = usage.peak_rss_bytes / 1e6
    return {name: value for name, value in figures.items() if value >= 0}


def measure_row(row: Row, target: Target, measured: StartedProcess, tools: Tools) -> RowResult:
    """Load the target as the row says and return what it did and used."""
    load, complaint, usage = run_load(
        row.plan, target, tools, lambda lg_pid, end_s: _watch(measured, target, lg_pid, end_s)
    )
    return RowResult(
        row=row.name,
        figures=derive_figures(row.name, load, usage),
        load=load,
        foreign_share=usage.foreign_share,
        complaint=complaint,
    )


def run_load(
    plan: LoadPlan, target: Target, tools: Tools, meanwhile: Callable[[int, float], T]
) -> tuple[LoadResult, str | None, T]:
    """
    Load the target, and do something while it is measured.

    Args:
        plan: the load.
        target: who is loaded.
        tools: the programs that do it.
        meanwhile: gets the id of `lg` and the monotonic time at which it has to return.

    Returns:
        What `lg` has measured, the first thing that it found wrong, and what `meanwhile` returned.

    Raises:
        LoadFailed: `lg` gave no result.
    """
    argv = build_command(tools.lg, target.url, target.api_key, plan)
    with pinned_to(target.tools_core):
        begun_s = time.monotonic()
        lg = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        _sleep_until(begun_s + plan.warmup_s + EDGE_S)
        seen = meanwhile(lg.pid, begun_s + plan.total_s - EDGE_S)
        output, complaints = lg.communicate(timeout=LG_GRACE_S)
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"lg did not end within {LG_GRACE_S:g} s of its window") from error
    finally:
        if lg.poll() is None:
            lg.kill()
            lg.communicate()
    if lg.returncode != 0:
        raise LoadFailed(f"lg ended with status {lg.returncode}: {_first_line(complaints)}")
    return parse_result(output, argv), _first_line(complaints) or None, seen


def _watch(measured: StartedProcess, target: Target, lg_pid: int, end_s: float) -> Usage:
    # Looked up once: a walk through /proc at every sample would disturb the tools' core.
    pids = measured.find_pids()
    system = _CoreWatch(target.core, pids)
    tools = _CoreWatch(target.tools_core, [*target.tool_pids, lg_pid])
    peak_rss_bytes = read_rss_bytes(target.serving_pids)
    while time.monotonic() < end_s:
        _sleep_until(min(end_s, time.monotonic() + RSS_SAMPLE_S))
        peak_rss_bytes = max(peak_rss_bytes, read_rss_bytes(target.serving_pids))
    return Usage(
        cpu_us_per_s=system.read_cpu_us_per_s(),
        peak_rss_bytes=peak_rss_bytes,
        foreign_share=max(system.read_foreign_share(), tools.read_foreign_share()),
    )


class _CoreWatch:
    """What some processes, and everything else on their core, have used since a moment."""

    def __init__(self, core: int | None, pids: Sequence[int]) -> None:
        self._core = core
        self._pids = pids
        self._begun_s = time.monotonic()
        self._cpu_ns = read_cpu_ns(pids)
        self._busy_ns = 0 if core is None else read_core_busy_ns(core)

    def read_cpu_us_per_s(self) -> float:
        elapsed_s = time.monotonic() - self._begun_s
        return (read_cpu_ns(self._pids) - self._cpu_ns) / 1e3 / elapsed_s

    def read_foreign_share(self) -> float:
        if self._core is None:
            return 0.0
        own_ns = read_cpu_ns(self._pids) - self._cpu_ns
        busy_ns = read_core_busy_ns(self._core) - self._busy_ns
        return max(0.0, (busy_ns - own_ns) / 1e9 / (time.monotonic() - self._begun_s))


def _sleep_until(monotonic_s: float) -> None:
    time.sleep(max(0.0, monotonic_s - time.monotonic()))


def _first_line(text: bytes) -> str:
    return text.decode(errors="replace").strip().partition("\n")[0].strip()[:200]
