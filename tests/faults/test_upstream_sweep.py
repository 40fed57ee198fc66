"""One good stream and one good JSON answer, cut, reset and stalled at every byte."""

import asyncio
from collections.abc import Iterator, Sequence

import msgspec
import pytest

from proxy.domain.settings import Clocks, PoolLimits
from tests.fakes.proxy_server import proxying
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.faults.fault_upstream import (
    CONTENT,
    EVENT_FAULTS,
    FINISH,
    GOOD_EVENTS,
    STRIKES,
    TAG,
    Framing,
    build_json,
    build_stream,
    judging_faults,
    tell,
)
from tests.faults.oracle import judging, read_tag
from tests.faults.raw_client import Outcome

pytestmark = pytest.mark.both_transports

AT_ONCE = 20
STALLED_AT_ONCE = 60
STEP = 7
"""A stall costs its clock: only every so manieth byte is tried."""
_CAPPED = PoolLimits(max_connections=1000)
STALL_S = 0.4
BEFORE_CONTENT = Clocks(headers_s=STALL_S, first_token_s=STALL_S, answer_s=STALL_S)
BEHIND_CONTENT = Clocks(idle_s=STALL_S)
AMID_CONTENT = Clocks(first_token_s=2.0, idle_s=STALL_S)
"""Only what is to run out is short: who has much to do may be late with all that is good."""

BEFORE = {
    "upstream_disconnected",
    "upstream_truncated",
    "upstream_protocol_error",
    "upstream_header_timeout",
    "upstream_first_token_timeout",
    "upstream_answer_timeout",
}
AFTER = {"upstream_disconnected", "upstream_truncated", "upstream_stalled"}


class _Strikes:
    """A script: each request says in its `user` how its answer is to break, and where."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self._answers = answers

    async def __call__(self, connection: UpstreamConnection) -> None:
        while not connection.closed_by_peer.is_set():
            _, _, body = await connection.read_request()
            name, strike, at = msgspec.json.decode(body)["user"].split(" ")
            await STRIKES[strike](self._answers[name], int(at))(connection, read_tag(body))


STREAMS: dict[str, bytes] = {
    framing: build_stream(framing=framing) for framing in ("chunked", "close", "length")
}
WHOLES: dict[str, bytes] = {
    framing: build_json(framing=framing) for framing in ("chunked", "close", "length")
}


def _expect_of_stream(data: bytes, at: int) -> set[str]:
    """Return what may become of a stream of which `at` bytes have come."""
    # The line end of an event is its end only where no more can come: between the two, both are
    # right, and a stream's framing (`chunked`) lies between them too.
    content = data.index(CONTENT.strip()) + len(CONTENT.strip())
    finish = data.index(FINISH.strip()) + len(FINISH.strip())
    slack = 12
    if at < content:
        return {"refused"}
    if at < content + slack:
        return {"refused", "broken"}
    if at < finish:
        return {"broken"}
    return {"broken", "answer"} if at < finish + slack else {"answer"}


def _expect_of_whole(framing: Framing, data: bytes, at: int, is_reset: bool) -> set[str]:
    """Return what may become of a JSON answer of which `at` bytes have come."""
    if framing == "close" and is_reset:
        return {"refused"}  # nobody has said that this was all
    end = data.index(b"}", data.rindex(b"total_tokens")) + 2
    if framing == "chunked":
        return {"answer"} if at == len(data) else {"refused"}
    return {"answer"} if at >= end else {"refused"}


async def _sweep(
    answers: dict[str, bytes],
    cases: Sequence[tuple[str, str, int]],
    stream: bool,
    at_once: int,
    clocks: Clocks | None = None,
) -> Iterator[tuple[tuple[str, str, int], Outcome]]:
    """Ask once for each case, several at once, under the oracle."""
    async with (
        open_raw_upstream(_Strikes(answers)) as upstream,
        # A cap that is never full: the oracle counts its slots.
        judging(proxying(upstream.url, clocks=clocks, pool=_CAPPED)) as judge,
    ):
        places = asyncio.Semaphore(at_once)

        async def ask(case: tuple[str, str, int]) -> Outcome:
            async with places:
                name, strike, at = case
                return await judge.ask(stream=stream, user=f"{name} {strike} {at}")

        outcomes = await asyncio.gather(*map(ask, cases))
    return zip(cases, outcomes, strict=True)


def _check(case: tuple[str, str, int], outcome: Outcome, expected: set[str]) -> None:
    assert outcome.kind in expected, f"{case}: {outcome}"
    if outcome.kind == "refused":
        assert outcome.code in BEFORE, f"{case}: {outcome}"
    elif outcome.kind == "broken":
        assert outcome.code in AFTER, f"{case}: {outcome}"
        assert len(outcome.tags) == 1
    else:
        assert len(outcome.tags) == 1
        assert TAG.decode() not in outcome.text


@pytest.mark.parametrize("strike", ["cut", "reset"])
@pytest.mark.parametrize("framing", STREAMS)
async def test_a_stream_breaks_at_every_byte(framing: str, strike: str) -> None:
    """Before content a 502, behind it an error in the stream, behind the finish a success."""
    data = STREAMS[framing]
    cases = [(framing, strike, at) for at in range(len(data) + 1)]
    for case, outcome in await _sweep(STREAMS, cases, True, AT_ONCE):
        _check(case, outcome, _expect_of_stream(data, case[2]))


@pytest.mark.parametrize("strike", ["cut", "reset"])
@pytest.mark.parametrize("framing", WHOLES)
async def test_a_whole_answer_breaks_at_every_byte(
    framing: Framing, strike: str, transport_kind: str
) -> None:
    """Before the last byte a 502, behind it a success; aiohttp takes a reset for an end."""
    data = WHOLES[framing]
    cases = [(framing, strike, at) for at in range(len(data) + 1)]
    for case, outcome in await _sweep(WHOLES, cases, False, AT_ONCE):
        is_reset = strike == "reset" and transport_kind != "aiohttp"
        _check(case, outcome, _expect_of_whole(framing, data, case[2], is_reset))


async def test_a_stream_stalls_at_every_byte() -> None:
    """Before content a 504, behind it an error in the stream, behind the finish a success."""
    data = STREAMS["chunked"]
    cases: dict[Clocks, list[tuple[str, str, int]]] = {}
    for at in range(0, len(data) + 1, STEP):
        expected = _expect_of_stream(data, at)
        clocks = AMID_CONTENT if len(expected) > 1 else BEHIND_CONTENT
        clocks = BEFORE_CONTENT if expected == {"refused"} else clocks
        cases.setdefault(clocks, []).append(("chunked", "stall", at))
    for clocks, those in cases.items():
        for case, outcome in await _sweep(STREAMS, those, True, STALLED_AT_ONCE, clocks):
            _check(case, outcome, _expect_of_stream(data, case[2]))


async def test_a_whole_answer_stalls_at_every_byte() -> None:
    """Before the last byte a 504, behind it a success."""
    data = WHOLES["length"]
    short = [("length", "stall", at) for at in range(0, len(data), STEP)]
    whole = [("length", "stall", len(data))]
    for cases, clocks in (short, BEFORE_CONTENT), (whole, Clocks()):
        for case, outcome in await _sweep(WHOLES, cases, False, STALLED_AT_ONCE, clocks):
            _check(case, outcome, _expect_of_whole("length", data, case[2], False))


_HARMLESS = {"duplicate event", "drop terminal event", "invalid utf-8 in a string"}


def _expect_of_event_fault(fault: str, n: int) -> str:
    """Return what becomes of a good stream with a fault before its event `n`."""
    if fault in _HARMLESS or n >= len(GOOD_EVENTS):
        return "answer"
    if n <= GOOD_EVENTS.index(CONTENT):
        return "refused"
    is_finished = n > GOOD_EVENTS.index(FINISH)
    return "answer" if is_finished and fault == "cut after event" else "broken"


@pytest.mark.parametrize("fault", EVENT_FAULTS)
async def test_a_fault_before_every_event(fault: str) -> None:
    """Before content a 502, behind it an error in the stream; what can be mended is a success."""
    # Nothing stands behind the last event that could come twice.
    places = range(len(GOOD_EVENTS) + (fault != "duplicate event"))
    deeds = [tell(build_stream(EVENT_FAULTS[fault](GOOD_EVENTS, n))) for n in places]
    async with judging_faults(*deeds, max_event_bytes=65_536) as (judge, _):
        outcomes = [await judge.ask(stream=True) for _ in places]
    kinds = [outcome.kind for outcome in outcomes]
    assert kinds == [_expect_of_event_fault(fault, n) for n in places]
