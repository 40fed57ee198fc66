"""P1: 20,000 mutated JSON bodies; `make campaign NAME=fuzz` sends half a million."""

import os
from pathlib import Path

import pytest

from tests.faults.fuzz_bodies import CHAT, BodyCase, build_body_case, is_good
from tests.faults.fuzz_run import run_fuzz

SEED = int(os.environ.get("FUZZ_SEED", "20261121"))
CASES = int(os.environ.get("FUZZ_CASES", "5000"))


@pytest.mark.timeout(300)
async def test_no_body_brings_the_server_down(tmp_path: Path) -> None:
    """
    Each body gets a status below 500, 200 only if it is a valid request, and one record.

    The log stays free of tracebacks, memory does not grow, and the server still answers.
    """
    report = await run_fuzz("bodies", SEED, CASES, tmp_path)
    assert not report.complaint, report.complaint
    assert report.case_count == sum(report.statuses.values()) == CASES
    # Good and bad ones were both there in numbers: else nothing would have been shown.
    assert report.statuses[200] > CASES / 10
    assert report.statuses[400] > CASES / 3


def test_a_case_is_found_again_by_its_seed_and_number() -> None:
    """The same seed and number give the same bytes; others give others."""
    cases = [build_body_case(SEED, number) for number in range(50)]
    assert cases == [build_body_case(SEED, number) for number in range(50)]
    assert cases != [build_body_case(SEED + 1, number) for number in range(50)]


@pytest.mark.parametrize(
    ("body", "good"),
    [
        (b'{"model":"sim-echo","messages":[{"role":"user"}]}', True),
        (b'{"model":"sim-echo","messages":[{"role":"user"}],"x":' + b"9" * 5000 + b"}", True),
        (b'{"model":"sim-echo","messages":[{"role":"user"}],"x":NaN}', False),
        (b'{"model":"sim-echo","messages":[{"role":"user"}],"n":true}', False),
        (b'{"model":"sim-echo","messages":[]}', False),
        (b'{"model":"other","messages":[{"role":"user"}]}', False),
        (rb'{"model":"sim-echo","messages":[{"role":"\ud800"}]}', False),
        (b'{"model":"sim-echo","messages":[{"role":"user"}],"x":' + b"[" * 64 + b"]" * 64, False),
    ],
)
def test_the_second_opinion_knows_good_from_bad(body: bytes, good: bool) -> None:
    """What 200s are judged by is no rubber stamp."""
    assert is_good(BodyCase(CHAT, body)) is good
