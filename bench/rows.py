"""
The rows of the benchmark: what load each one makes and which figures come out of it.

`slot.py` runs them against one system that is already up.
"""

import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeVar

from msgspec import Struct

from bench.cores import pinned_to
from bench.load import LoadFailed, LoadPlan, LoadResult, build_command, parse_result
from bench.process import (
    StartedProcess,
    read_core_busy_ns,
    read_cpu_ns,
    read_cpu_ticks,
    read_rss_bytes,
)
from bench.results import RowResult
from bench.systems import CHAT_PATH, COLD, MESSAGES_PATH
from bench.toolchain import Tools

RSS_SAMPLE_S = 0.1
EDGE_S = 0.02
"""How far inside lg's window the CPU is read, so that both ends of it are under full load."""
LG_GRACE_S = 30.0
LARGE_PROMPT_BYTES = 32_500
"""With what stands around it, the body of the request is 32 KiB."""
# Rows of one kind, and what their figures' names begin with.
REQUEST_ROWS = {"busy": "", "large": "large_", "tls": "tls_"}
CHUNK_ROWS = {
    "paced": "",
    "wide": "wide_",
    "tls-paced": "tls_",
    "messages": "messages_",
    "chat-anthropic": "chat_anthropic_",
    "messages-openai": "messages_openai_",
    "chat-gemini": "chat_gemini_",
}
KERNEL_ROWS = ("busy", "paced", "wide")

T = TypeVar("T")


class Row(Struct, frozen=True):
    """
    One kind of load.

    Rows of one `start` are measured one after the other: `fresh` is another plain one, `hub` one
    with a provider of each format, `own` one for this row alone.
    """

    name: str
    title: str
    plan: LoadPlan
    start: Literal["plain", "fresh", "tls", "hub", "own"] = "plain"


class Target(Struct, frozen=True):
    """
    A system that is up: where it answers, with which key, on which cores.

    `tool_pids` are the processes of the benchmark that run beside `lg` on the tools' core,
    `serving_pids` are those whose memory counts, of which `workers` do the same work.
    """

    url: str
    api_key: str
    cores: tuple[int, ...]
    tools_cores: tuple[int, ...]
    tool_pids: tuple[int, ...]
    serving_pids: tuple[int, ...]
    workers: int = 1
    headers: Mapping[str, str] = {}

    def read_rss_bytes(self) -> int:
        """Return the resident memory of what serves, for each worker."""
        return read_rss_bytes(self.serving_pids) // self.workers


class Usage(Struct, frozen=True):
    """What the system under test used in the measuring window."""

    cpu_us_per_s: float
    kernel_share: float | None
    """The part of its CPU time that the kernel took for it, 0 to 1; None if it used none."""
    peak_rss_bytes: int
    """Of what serves, for each worker."""
    peak_tree_rss_bytes: int
    """Of all processes."""
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
    busy = LoadPlan(64, measure_s, short_s)
    large = LoadPlan(64, measure_s, short_s, prompt_bytes=LARGE_PROMPT_BYTES)
    return (
        Row("single", "1 client, JSON", LoadPlan(1, measure_s, short_s)),
        Row("busy", "64 clients, JSON", busy),
        Row("paced", "64 streams of 100 chunks, 10 ms apart", paced),
        Row(
            "first",
            "1 stream of 10 chunks, 10 ms apart",
            LoadPlan(1, measure_s, 0.2, streams=True, chunks=10, delay_ms=10),
        ),
        Row("wide", "1000 streams of 100 chunks, 10 ms apart", wide),
        # Not behind 1000 streams that were cut off, nor before them: it would be in their memory.
        Row("large", "64 clients, JSON, requests of 32 KB", large, start="fresh"),
        Row("tls", "64 clients, JSON, upstream behind TLS", busy, start="tls"),
        Row("tls-paced", "64 streams, 10 ms apart, upstream behind TLS", paced, start="tls"),
    )


def build_cold_row() -> Row:
    """Return the row that has no load: a start of a system none of whose files is compiled."""
    return Row(COLD, "start of what is not compiled", LoadPlan(0, 0.0, 0.0), start="own")


def derive_figures(row_name: str, load: LoadResult, usage: Usage) -> dict[str, float]:
    """Return the figures of one row; a figure that could not be measured is left out."""
    figures: dict[str, float] = {}
    if row_name == "single":
        figures["p50_ms"] = load.p50_us / 1000
    elif row_name in REQUEST_ROWS:
        prefix = REQUEST_ROWS[row_name]
        figures[f"{prefix}requests_per_s"] = load.requests_per_s
        if load.requests_per_s:
            figures[f"{prefix}cpu_us_per_request"] = usage.cpu_us_per_s / load.requests_per_s
        if row_name == "busy":
            figures["p99_ms"] = load.p99_us / 1000
    elif row_name in CHUNK_ROWS:
        if load.chunks_per_s:
            prefix = CHUNK_ROWS[row_name]
            figures[f"{prefix}cpu_us_per_chunk"] = usage.cpu_us_per_s / load.chunks_per_s
    elif row_name == "first":
        figures["ttft_ms"] = load.ttft50_us / 1000
    if row_name == "wide":
        figures["chunks_per_s"] = load.chunks_per_s
        figures["rss_busy_mb"] = usage.peak_rss_bytes / 1e6
        figures["rss_tree_mb"] = usage.peak_tree_rss_bytes / 1e6
    if row_name in KERNEL_ROWS and usage.kernel_share is not None:
        figures[f"{row_name}_kernel_share"] = 100 * usage.kernel_share
    return {name: value for name, value in figures.items() if value >= 0}


class _CpuWatch:
    """The CPU time that some processes have used since a moment."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._begun_s = time.monotonic()
        self._cpu_ns = read_cpu_ns(pids)
        self._ticks = read_cpu_ticks(pids)

    def read_us_per_s(self) -> float:
        elapsed_s = time.monotonic() - self._begun_s
        return (read_cpu_ns(self._pids) - self._cpu_ns) / 1e3 / elapsed_s

    def read_kernel_share(self) -> float | None:
        now, begun = read_cpu_ticks(self._pids), self._ticks
        user, kernel = now[0] - begun[0], now[1] - begun[1]
        return kernel / (user + kernel) if user + kernel > 0 else None


class _CoreWatch:
    """What everything but some processes has used of some cores since a moment."""

    def __init__(self, cores: Iterable[int], pids: Sequence[int]) -> None:
        self._cores = tuple(cores)
        self._cpu = _CpuWatch(pids)
        self._begun_s = time.monotonic()
        self._busy_ns = sum(map(read_core_busy_ns, self._cores))

    def read_foreign_share(self) -> float:
        if not self._cores:
            return 0.0
        busy_ns = sum(map(read_core_busy_ns, self._cores)) - self._busy_ns
        busy_us_per_s = busy_ns / 1e3 / (time.monotonic() - self._begun_s)
        return max(0.0, (busy_us_per_s - self._cpu.read_us_per_s()) / 1e6)


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
    url = target.url.replace(CHAT_PATH, MESSAGES_PATH) if plan.as_anthropic else target.url
    argv = build_command(tools.lg, url, target.api_key, plan, target.headers)
    with pinned_to(target.tools_cores):
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
    cpu = _CpuWatch(pids)
    cores = _watch_cores(target, pids, [*target.tool_pids, lg_pid])
    peak_rss_bytes, peak_tree_rss_bytes = target.read_rss_bytes(), read_rss_bytes(pids)
    while time.monotonic() < end_s:
        _sleep_until(min(end_s, time.monotonic() + RSS_SAMPLE_S))
        peak_rss_bytes = max(peak_rss_bytes, target.read_rss_bytes())
        peak_tree_rss_bytes = max(peak_tree_rss_bytes, read_rss_bytes(pids))
    return Usage(
        cpu_us_per_s=cpu.read_us_per_s(),
        kernel_share=cpu.read_kernel_share(),
        peak_rss_bytes=peak_rss_bytes,
        peak_tree_rss_bytes=peak_tree_rss_bytes,
        foreign_share=max(core.read_foreign_share() for core in cores),
    )


def _watch_cores(target: Target, pids: Sequence[int], tool_pids: Sequence[int]) -> list[_CoreWatch]:
    """Watch each side's core, or all cores at once where the two sides share one."""
    if set(target.cores) & set(target.tools_cores):
        return [_CoreWatch({*target.cores, *target.tools_cores}, [*pids, *tool_pids])]
    return [_CoreWatch(target.cores, pids), _CoreWatch(target.tools_cores, tool_pids)]


def _sleep_until(monotonic_s: float) -> None:
    time.sleep(max(0.0, monotonic_s - time.monotonic()))


def _first_line(text: bytes) -> str:
    return text.decode(errors="replace").strip().partition("\n")[0].strip()[:200]
