"""
A million mutated requests against the running process: `make campaign NAME=fuzz`.

Half of them are JSON bodies, half raw HTTP. FUZZ_CASES is how many in all, for trying;
FUZZ_SEED repeats a run. `tests/faults/fuzz_run.py` says how one run goes.
"""

import asyncio
import multiprocessing
import os
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from campaigns.base import PASSED, Result, write_result
from tests.faults.fuzz_run import Kind, Report, run_fuzz

CASES = 1_000_000
PROCESSES = 2
KINDS: Sequence[Kind] = ("bodies", "requests")
ABOUT = (
    "`llm-proxy serve` in front of its own simulator, a process of its own for each run; asked "
    "over raw sockets, 16 at a time. Every case is told by its seed and number alone "
    "(`tests/faults/fuzz_run.py`)."
)


def main() -> int:
    cases = int(os.environ.get("FUZZ_CASES", CASES))
    seed = int(os.environ.get("FUZZ_SEED", secrets.randbelow(10**9)))
    # Shares of equal size for all processes: a run of bodies is over before one of requests.
    share = cases // (PROCESSES * len(KINDS))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        runs = [(kind, seed + process, share) for kind in KINDS for process in range(PROCESSES)]
        reports = list(pool.map(run_share, *zip(*runs, strict=True)))
    for report in reports:
        if report.complaint:
            print(report.complaint, file=sys.stderr)
    return write_result(build_result(reports))


def run_share(kind: Kind, seed: int, count: int) -> Report:
    """Do one run in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run_fuzz(kind, seed, count, Path(folder)))


def build_result(reports: Sequence[Report]) -> Result:
    """Return the page: a row for each check, a column for each run, and what the answers were."""
    return Result(
        name="fuzz",
        title="Mutated bodies and raw requests",
        columns=[f"{report.kind}, seed {report.seed}" for report in reports],
        rows={
            check: [report.faults[check] or PASSED for report in reports]
            for check in reports[0].faults
        },
        notes=[ABOUT, *(_describe(kind, reports) for kind in KINDS)],
    )


def _describe(kind: Kind, reports: Sequence[Report]) -> str:
    ours = [report for report in reports if report.kind == kind]
    statuses = sum((Counter(report.statuses) for report in ours), Counter[int]())
    told = ", ".join(f"{count:,} x {status}" for status, count in sorted(statuses.items()))
    rate = sum(report.case_count / report.duration_s for report in ours)
    growth = ", ".join(f"{report.growth_bytes / 1e6:.1f}" for report in ours)
    return (
        f"{sum(report.case_count for report in ours):,} {kind}: {told}; closed without an answer: "
        f"{sum(report.unanswered_count for report in ours):,}. {rate:,.0f} cases/s over "
        f"{len(ours)} processes; memory grew by {growth} MB."
    )


if __name__ == "__main__":
    sys.exit(main())
