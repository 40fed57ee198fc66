"""Behind content nobody else is asked; where the answer is buffered, everybody still is."""

import asyncio
import gzip
from collections.abc import Iterator

import openai
import pytest
from msgspec.structs import replace

from proxy.domain.catalog import Snapshot
from proxy.domain.settings import Clocks
from tests.faults.fault_upstream import (
    CONTENT,
    EVENT_FAULTS,
    FINISH,
    GOOD_EVENTS,
    MORE,
    STRIKES,
    Deed,
    build_encoded,
    build_stream,
    cut,
    drip,
    flood,
    reset,
    stall,
    take_turns,
    tell,
)
from tests.faults.pre_content import CAPS, HARMLESS
from tests.faults.several import build_group, judging_several, open_sdk, read_text, say

STEP = 17
"""Of the places in an answer where it can break, only every so manieth is tried."""
CLOCKS = Clocks(idle_s=0.1)
BUFFERED = {"x-llm-proxy-buffer": "true"}

_GOOD = [tell(build_stream())]


def _list_faults() -> Iterator[tuple[str, Deed]]:
    """Faults of a stream behind its first content, and before its finish."""
    for events in (2, 3):
        begun = build_stream(GOOD_EVENTS[:events], "close")
        whole = build_stream(framing="length")
        at = whole.index(GOOD_EVENTS[events])
        yield f"u7 reset behind {events} events", reset(whole, at)
        yield f"u7 end by reset behind {events} events", reset(begun)
        yield f"u8 silence behind {events} events", stall(begun)
        yield f"u10 end behind {events} events", cut(begun)
        yield f"u11 cut behind {events} events", cut(whole, at)
        for name, fault in EVENT_FAULTS.items():
            if name not in {*HARMLESS, "cut after event"}:
                spoilt = build_stream(fault(GOOD_EVENTS, events), "close")
                yield f"u12 {name} behind {events} events", stall(spoilt)
    begun = build_stream(GOOD_EVENTS[:2], "close")
    yield "u9 drip", drip(build_stream(framing="close"), len(begun), 0.01)
    yield "u9 comments", flood(begun, b": still here\n\n")
    long = gzip.compress(CONTENT + b":" + b" " * 500_000 + b"\n\n", 0)
    yield "u16 compressed and too large", tell(build_encoded(long, "gzip"))
    yield "u17 without end", flood(build_stream([CONTENT], "close"), MORE)
    second = CONTENT.replace(b'"index":0', b'"index":1')
    yield "u35 a choice without finish", tell(build_stream([CONTENT, second, FINISH]))


FAULTS = dict(_list_faults())
CLIPPED = {**CAPS, "max_stream_bytes": 200_000}


@pytest.mark.parametrize("case", FAULTS)
async def test_behind_content_nobody_else_is_asked(case: str) -> None:
    """A fault behind content is one error in the stream, and not a byte of anybody else."""
    async with judging_several([FAULTS[case]], _GOOD, clocks=CLOCKS, **CLIPPED) as served:
        outcome = await served.judge.ask(stream=True)
        ((name, how),) = served.list_attempts(outcome)
        counts = served.count_requests()
        served.judge.allow_unseen()
        with pytest.raises(openai.APIError):
            async with open_sdk(served.judge.server.url) as client:
                await read_text(client, stream=True)
    assert (outcome.kind, outcome.reply.status) == ("broken", 200)
    assert (name, how) == ("a", outcome.code)
    assert counts == [1, 0]


@pytest.mark.parametrize("case", FAULTS)
async def test_a_buffered_answer_comes_from_another(case: str) -> None:
    """With `x-llm-proxy-buffer` a fault behind content is not seen: the other's whole answer."""
    async with judging_several([FAULTS[case]], _GOOD, clocks=CLOCKS, **CLIPPED) as served:
        outcome = await served.judge.ask(stream=True, headers=BUFFERED)
        attempts = served.list_attempts(outcome)
        text = await served.ask_sdk(True, extra_headers=BUFFERED)
    assert outcome.verdict == ("answer", 200, None)
    assert [name for name, _ in attempts] == ["a", "b"]
    assert attempts[-1][1] == "ok"
    assert text == say("b", True)


def _buffer(snapshot: Snapshot) -> Snapshot:
    """Have the route to `m` say that its answers are buffered."""
    return replace(snapshot, groups={"m": build_group(snapshot, "m", stream_failure="buffered")})


@pytest.mark.parametrize("strike", ["cut", "reset"])
async def test_a_buffered_route_breaks_at_any_byte(strike: str) -> None:
    """Whatever byte the first of three breaks at, its client gets one whole answer of one."""
    data = build_stream()
    deeds = [STRIKES[strike](data, at) for at in range(0, len(data) + 1, STEP)]

    deed = take_turns(deeds)
    async with judging_several([deed], [deed], _GOOD, clocks=Clocks(), edit=_buffer) as served:
        outcomes = await asyncio.gather(*[served.judge.ask(stream=True) for _ in deeds])
        providers = {outcome.reply.headers["x-llm-proxy-provider"] for outcome in outcomes}
    assert {outcome.verdict for outcome in outcomes} == {("answer", 200, None)}
    assert {outcome.text[12:] for outcome in outcomes} == {" says more"}
    # Behind the finish nothing that is missing is missed.
    assert providers == {"a", "c"}


async def test_a_buffered_answer_behind_signs_of_life() -> None:
    """While an answer is buffered comments keep its client; then all of it comes at once."""
    silent = stall(build_stream(GOOD_EVENTS[:3], "close"))
    async with judging_several(
        [silent], _GOOD, clocks=CLOCKS, edit=_buffer, commit_delay_s=0.02, keep_alive_s=0.02
    ) as served:
        outcome = await served.judge.ask(stream=True)
    assert outcome.verdict == ("answer", 200, None)
    assert outcome.reply.body.startswith(b": keep-alive\n\n")
    assert outcome.text.endswith("says more")


async def test_a_buffered_answer_that_nobody_has() -> None:
    """All fail behind content: the error is a status, as nothing has been shown."""
    faults = FAULTS["u7 reset behind 2 events"], FAULTS["u8 silence behind 3 events"]
    doings = [[each] for each in faults]
    async with judging_several(*doings, clocks=CLOCKS, edit=_buffer) as served:
        outcome = await served.judge.ask(stream=True)
    assert outcome.kind == "refused"
