"""One run of the fuzzer: cases of one kind against a server of their own, and what was found."""

import time
from pathlib import Path
from typing import Literal

from msgspec import Struct

from tests.faults.fuzz_bodies import build_body_case, is_good
from tests.faults.fuzz_client import Case, Tally, run_cases
from tests.faults.fuzz_requests import build_request_case
from tests.faults.fuzz_server import KEY, FuzzedServer, serving_fuzz

Kind = Literal["bodies", "requests"]

CONNECTIONS = 16
MOST_GROWTH_BYTES = 20_000_000


class Report(Struct, frozen=True):
    """What a run has found; `faults` maps each check to what was wrong, "" if nothing was."""

    kind: Kind
    seed: int
    case_count: int
    unanswered_count: int
    statuses: dict[int, int]
    duration_s: float
    growth_bytes: int
    faults: dict[str, str]

    @property
    def complaint(self) -> str:
        """All that was wrong, with what is needed to see it again; "" if nothing was."""
        wrong = [f"{check}: {what}" for check, what in self.faults.items() if what]
        return "\n".join([f"{self.kind} of seed {self.seed}", *wrong]) if wrong else ""


def build_case(kind: Kind, seed: int, number: int) -> Case:
    """Return one case: the same for the same seed and number."""
    name = f"{kind}, seed {seed}, case {number}"
    if kind == "requests":
        return Case(name, build_request_case(seed, number, KEY), is_whole=False)
    case = build_body_case(seed, number)
    head = (
        f"POST {case.path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(case.body)}\r\n\r\n"
    )
    return Case(name, head.encode() + case.body, is_whole=True, may_succeed=is_good(case))


async def run_fuzz(kind: Kind, seed: int, count: int, folder: Path) -> Report:
    """
    Send cases 0 to `count` of a seed to a server that is started for it in `folder`.

    The first tenth warms the server up: what it grows by then is counted from there on.
    """
    with serving_fuzz(folder) as server:
        server.ask_normally()
        warm = await _run(server, kind, seed, range(count // 10))
        started_bytes, started_s = server.rss_bytes, time.monotonic()
        tally = await _run(server, kind, seed, range(count // 10, count))
        duration_s = time.monotonic() - started_s
        growth_bytes = server.rss_bytes - started_bytes
        still_answers = _try_normally(server)
        counted = server.count_requests()
        status = server.stop()
    ids = [each.decode() for each in (*warm.request_ids, *tally.request_ids)]
    repeated = sum(times > 1 for times in server.request_ids.values())
    # Health and preflights have ids and no records; every answer to a body has both.
    lost = [each for each in ids if kind == "bodies" and each not in server.request_ids]
    records = [
        f"{counted} requests counted, {server.request_count} recorded"
        if counted != server.request_count
        else "",
        f"{repeated} ids recorded twice" if repeated else "",
        f"{len(lost)} answers without a record" if lost else "",
    ]
    return Report(
        kind=kind,
        seed=seed,
        case_count=warm.case_count + tally.case_count,
        unanswered_count=warm.unanswered_count + tally.unanswered_count,
        statuses=dict(sorted((warm.statuses + tally.statuses).items())),
        duration_s=duration_s / 0.9,
        growth_bytes=growth_bytes,
        faults={
            "answers below 500, JSON errors, no hang": _describe(warm, tally),
            "nothing ominous in the log": "\n".join(server.findings),
            "one record of each request": "; ".join(filter(None, records)),
            "the server still answers": still_answers,
            "memory grows by less than 20 MB": ""
            if growth_bytes < MOST_GROWTH_BYTES
            else f"by {growth_bytes / 1e6:.0f} MB",
            "a good end": "" if status == 0 else f"exit status {status}",
        },
    )


async def _run(server: FuzzedServer, kind: Kind, seed: int, numbers: range) -> Tally:
    return await run_cases(
        server.port, lambda number: build_case(kind, seed, number), numbers, CONNECTIONS
    )


def _describe(*tallies: Tally) -> str:
    count = sum(tally.finding_count for tally in tallies)
    first = [finding for tally in tallies for finding in tally.findings]
    return "\n".join([f"{count} findings", *first]) if count else ""


def _try_normally(server: FuzzedServer) -> str:
    try:
        server.ask_normally()
    except (OSError, AssertionError, ValueError, LookupError) as error:
        return f"no more: {error!r}"
    return ""
