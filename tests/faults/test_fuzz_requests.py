"""P1: 20,000 mutated raw HTTP requests; `make campaign NAME=fuzz` sends half a million."""

import os
from pathlib import Path

import pytest

from tests.faults.fuzz_client import Answer, find_fault
from tests.faults.fuzz_requests import build_request_case
from tests.faults.fuzz_run import run_fuzz

SEED = int(os.environ.get("FUZZ_SEED", "20261121"))
CASES = int(os.environ.get("FUZZ_CASES", "5000"))
SHAPE = b'{"error":{"message":"m","type":"t","param":null,"code":null}}'
JSON = {b"content-type": b"application/json"}


@pytest.mark.timeout(300)
async def test_no_request_brings_the_server_down(tmp_path: Path) -> None:
    """
    Whatever bytes come, they are answered below 500, in JSON where it is an error, or not at all.

    Nothing hangs, the log stays free of tracebacks, each request that was counted has one
    record, memory does not grow, and the server still answers.
    """
    report = await run_fuzz("requests", SEED, CASES, tmp_path)
    assert not report.complaint, report.complaint
    assert report.case_count == CASES
    assert report.unanswered_count < CASES / 5
    assert report.statuses[200] > CASES / 50
    assert {400, 401, 404, 405, 413, 415, 417, 431} <= report.statuses.keys()


def test_a_case_is_found_again_by_its_seed_and_number() -> None:
    """The same seed and number give the same bytes; others give others."""
    cases = [build_request_case(SEED, number, "k") for number in range(50)]
    assert cases == [build_request_case(SEED, number, "k") for number in range(50)]
    assert cases != [build_request_case(SEED + 1, number, "k") for number in range(50)]


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        (Answer(400, JSON, SHAPE), True),
        (Answer(200, {}, b""), True),
        (Answer(500, JSON, SHAPE), False),
        (Answer(400, {b"content-type": b"text/plain"}, SHAPE), False),
        (Answer(400, JSON, b'{"error":"m"}'), False),
        (Answer(400, JSON, b""), False),
        (Answer(400, {**JSON, b"server": b"Python/3.11 aiohttp/3"}, SHAPE), False),
        (Answer(200, {b"content-type": b"text/event-stream"}, b"data: {}\n\n"), False),
    ],
)
def test_a_wrong_answer_is_seen(answer: Answer, is_right: bool) -> None:
    """What answers are judged by lets none through that breaks a rule."""
    assert (find_fault(answer) is None) is is_right
