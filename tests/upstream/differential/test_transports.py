"""The differential test: thousands of answers, right and wrong, told by both transports."""

import os

import pytest
from msgspec.structs import replace

from tests.upstream.differential.comparing import AIOHTTP, OWN, compare_transports
from tests.upstream.differential.differences import DIFFERENCES, find_difference
from tests.upstream.differential.playing import Events, Side, play_case, serving_cases
from tests.upstream.differential.responses import Case, build_case

SEED = int(os.environ.get("FUZZ_SEED", "20261127"))
CASES = int(os.environ.get("FUZZ_CASES", "5000"))

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.mark.timeout(300)
async def test_both_transports_tell_the_same() -> None:
    """
    Of thousands of random answers both transports tell the pipeline the same, but for listed rows.

    Every right one is told as it was made; whatever came, the next request gets its own answer;
    no listed difference is there for nothing.
    """
    tally = await compare_transports(SEED, range(CASES))
    assert not tally.findings, "\n".join([f"{len(tally.findings)}:", *tally.findings[:20]])
    assert tally.case_count == CASES
    assert 0.55 < tally.right_count / CASES < 0.65
    assert tally.outcomes["UpstreamProtocolError:upstream_protocol_error"] > CASES / 10
    assert tally.outcomes["UpstreamDisconnected:upstream_disconnected"] > CASES / 50
    assert tally.differences.total() < CASES / 10
    assert tally.differences.keys() >= {row.name for row in DIFFERENCES if not row.is_rare}


def test_a_case_is_found_again_by_its_seed_and_number() -> None:
    """The same seed and number give the same case; its mask changes nothing but the body."""
    for number in range(300):
        case, masked = build_case(SEED, number), build_case(SEED, number, b".")
        assert case == build_case(SEED, number)
        assert [*map(len, case.pieces)] == [*map(len, masked.pieces)]
        assert (case.marks, case.ending, case.is_warm) == (
            masked.marks,
            masked.ending,
            masked.is_warm,
        )
    assert build_case(SEED, 0) != build_case(SEED + 1, 0)


def test_a_difference_that_is_not_listed_is_seen() -> None:
    """No row lets another status, body or header pass, nor a broken answer told as a good one."""
    case = Case(0, (), (b"HTTP/1.1 200 OK\r\nA: \x01\n b\r\n\r\n",), "reset", False, None)
    good = Events(status=200, headers=((b"a", b"b"),), body=b"x", ending="complete", sent=1)
    broken = replace(good, ending="UpstreamDisconnected:upstream_disconnected")
    others = [
        replace(good, status=201),
        replace(good, body=b"y"),
        replace(good, headers=()),
        replace(good, sent=2),
        replace(good, reused=True),
    ]
    for other in others:
        assert find_difference(case.data, good, other, case) is None
    assert find_difference(case.data, broken, good, case) is None


@pytest.mark.parametrize(
    ("status", "field", "is_right"),
    [
        (200, b"X-Any: a", True),
        (200, b"Content-Length: 1", False),
        (200, b"Transfer-Encoding: chunked", False),
        (204, b"X-Any: a", False),
    ],
)
def test_a_reset_may_cut_only_what_has_no_framing(
    status: int, field: bytes, is_right: bool
) -> None:
    """A whole body with a length or chunks, or none at all, that ours calls cut is a finding."""
    data = b"HTTP/1.1 %d OK\r\n%b\r\n\r\nx" % (status, field)
    case = Case(0, (), (data,), "reset", False, None)
    name, _, value = field.lower().partition(b": ")
    good = Events(status=status, headers=((name, value),), body=b"x", ending="complete", sent=1)
    cut = replace(good, ending="UpstreamDisconnected:upstream_disconnected")
    assert (find_difference(data, good, cut, case) is not None) is is_right
    closed = replace(case, ending="close")
    assert find_difference(data, good, cut, closed) is None


@pytest.mark.parametrize("side", [AIOHTTP, OWN], ids=["aiohttp", "own"])
async def test_a_trailer_that_closes_is_no_trap_for_the_next_request(side: Side) -> None:
    """Behind a trailer `Connection: close` the next request is answered rightly."""
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nConnection: close\r\n\r\n"
    async with serving_cases() as server:
        events = await play_case(server, side, Case(0, (), (data,), "stay", False, None))
    assert (events.ending, events.after) == ("complete", "right")
