"""Results of a run that never was, with figures that are easy to check by eye."""

from bench.load import LoadResult
from bench.results import MachineInfo, Results, RowResult, SlotResult, SystemInfo


def build_load(ok: int = 1000, err: int = 0, chunks: int = 0) -> LoadResult:
    """Return what `lg` says after one second with `ok` good answers."""
    return LoadResult(
        ok=ok,
        err=err,
        err_status=err,
        err_conn=0,
        err_short=0,
        chunks=chunks,
        connections=64,
        elapsed_s=1.0,
        requests_per_s=float(ok),
        chunks_per_s=float(chunks),
        p50_us=250.0,
        p90_us=300.0,
        p99_us=9_000.0,
        max_us=12_000.0,
        ttft50_us=500.0,
        ttft99_us=900.0,
        transit50_us=40.0,
        transit99_us=90.0,
        lg_cpu_s=0.1,
    )


def build_busy_slot(
    system: str, number: int, requests_per_s: int, cpu_us: float, err: int = 0
) -> SlotResult:
    """Return a slot with the one row `busy`."""
    figures = {"requests_per_s": float(requests_per_s), "cpu_us_per_request": cpu_us}
    row = RowResult(
        row="busy",
        figures=figures,
        load=build_load(requests_per_s, err),
        complaint="bad status 503: HTTP/1.1 503" if err else None,
    )
    return SlotResult(system, number, {"start_s": 0.25, "rss_idle_mb": 50.0}, (row,))


def build_results(*slots: SlotResult, skipped: SystemInfo | None = None) -> Results:
    """Return a run of those slots."""
    names = dict.fromkeys(slot.system for slot in slots)
    systems = tuple(SystemInfo(name, f"the {name}", f"{name} 1.0") for name in names)
    return Results(
        date="2026-11-20 12:00 UTC",
        command="python -m bench --rounds 3",
        is_quick=False,
        rounds=3,
        rows=("busy",),
        machine=MachineInfo(
            cpu="A Processor",
            cpu_count=2,
            kernel="Linux 6.1",
            python="CPython 3.11.9",
            libraries={"aiohttp": "3.14.5"},
            compiler="cc 12",
            are_cores_apart=True,
        ),
        systems=systems if skipped is None else (*systems, skipped),
        slots=slots,
    )
