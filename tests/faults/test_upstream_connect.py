"""Rows U1 to U5, U28 and U29: before an answer's head, on the way to the provider."""

import asyncio

import pytest

from proxy.domain.settings import Clocks
from tests.fakes.proxy_server import proxying
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.faults.fault_upstream import (
    STRIKES,
    build_good,
    cut,
    give_time,
    judging_faults,
    open_black_hole,
    reset,
    stall,
    tell,
)
from tests.faults.oracle import judging

pytestmark = pytest.mark.both_transports

both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])


@both
async def test_u1_refused(stream: bool, loopback_port: int) -> None:
    """U1: nobody listens: 502 at once, one attempt, nothing consumed."""
    async with judging(proxying(f"http://127.0.0.1:{loopback_port}/v1")) as judge:
        async with asyncio.timeout(5.0):
            outcome = await judge.ask(stream=stream)
        record = await judge.read_record(outcome)
    assert outcome.verdict == ("refused", 502, "upstream_unreachable")
    assert [attempt.outcome for attempt in record.attempts] == ["upstream_unreachable"]
    assert record.usage is None


@both
async def test_u2_syn_black_hole(stream: bool) -> None:
    """U2: a SYN that nobody answers ends with the connect clock: 504."""
    async with (
        open_black_hole() as port,
        judging(proxying(f"http://127.0.0.1:{port}/v1", clocks=Clocks(connect_s=0.1))) as judge,
    ):
        async with asyncio.timeout(10.0):
            outcome = await judge.ask(stream=stream)
    assert outcome.verdict == ("refused", 504, "upstream_connect_timeout")


@both
@pytest.mark.parametrize("strike", ["cut", "reset"])
@pytest.mark.parametrize("at", [0, 1, 20])
async def test_u3_broken_before_the_head_is_whole(stream: bool, strike: str, at: int) -> None:
    """U3: closed or reset before the head is whole: 502, and the request is not sent again."""
    deed = STRIKES[strike](build_good(stream), at)
    async with judging_faults(deed) as (judge, script):
        outcome = await judge.ask(stream=stream)
        assert len(script.requests) == 1
    assert outcome.verdict == ("refused", 502, "upstream_disconnected")


@both
@pytest.mark.parametrize("at", [0, 30])
async def test_u4_accepts_and_never_answers(stream: bool, at: int) -> None:
    """U4: no whole head within its clock: 504, and the connection is closed, never pooled."""
    clocks = Clocks(headers_s=0.1, answer_s=0.1)
    deeds = stall(build_good(stream), at), tell(build_good(stream))
    async with judging_faults(*deeds, clocks=clocks) as (judge, script):
        async with asyncio.timeout(10.0):
            outcome = await judge.ask(stream=stream)
            await script.connections[0].wait_closed()
        assert outcome.verdict == ("refused", 504, "upstream_header_timeout")
        give_time(judge.server)
        assert (await judge.ask(stream=stream)).kind == "answer"
        assert len(script.connections) == 2


@both
async def test_u4_an_upload_that_nobody_takes(stream: bool) -> None:
    """U4: a provider that reads nothing of a large request: 504, and the rest is not sent."""
    is_told = asyncio.Event()
    size_bytes = 16_000_000

    async def script(connection: UpstreamConnection) -> None:
        await is_told.wait()
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        judging(proxying(upstream.url, clocks=Clocks(headers_s=0.2, answer_s=0.2))) as judge,
    ):
        outcome = await judge.ask(stream=stream, user="x" * size_bytes)
        is_told.set()
        async with asyncio.timeout(5.0):
            await upstream.connections[0].wait_closed()
        assert upstream.connections[0].watched_bytes < size_bytes
    assert outcome.verdict == ("refused", 504, "upstream_header_timeout")


@both
@pytest.mark.parametrize("strike", ["cut", "reset"])
async def test_u5_a_pooled_connection_has_died(stream: bool, strike: str) -> None:
    """U5: a reused connection that breaks before a byte: sent once more on a fresh one, unseen."""
    good = build_good(stream)
    deeds = tell(good), STRIKES[strike](good, 0), tell(good)
    async with judging_faults(*deeds) as (judge, script):
        assert (await judge.ask(stream=stream)).kind == "answer"
        outcome = await judge.ask(stream=stream)
        record = await judge.read_record(outcome)
        assert (len(script.requests), len(script.connections)) == (3, 2)
    assert outcome.kind == "answer"
    assert [attempt.outcome for attempt in record.attempts] == ["ok"]


@both
async def test_u5_one_repetition_is_all(stream: bool) -> None:
    """U5: the fresh connection breaks too: 502, no third time."""
    good = build_good(stream)
    async with judging_faults(tell(good), cut(good, 0)) as (judge, script):
        assert (await judge.ask(stream=stream)).kind == "answer"
        outcome = await judge.ask(stream=stream)
        assert len(script.requests) == 3
    assert outcome.verdict == ("refused", 502, "upstream_disconnected")


@both
async def test_u5_what_has_answered_is_not_asked_again(stream: bool) -> None:
    """U5: a reused connection that breaks after a byte has been read: 502, nothing is repeated."""
    good = build_good(stream)
    async with judging_faults(tell(good), reset(good, 1)) as (judge, script):
        assert (await judge.ask(stream=stream)).kind == "answer"
        outcome = await judge.ask(stream=stream)
        assert len(script.requests) == 2
    assert outcome.verdict == ("refused", 502, "upstream_disconnected")


@both
@pytest.mark.parametrize("strike", ["cut", "reset"])
async def test_u5_closed_while_idle(stream: bool, strike: str) -> None:
    """U5: a connection that was closed behind its answer is not used again."""
    good = build_good(stream)
    async with judging_faults(STRIKES[strike](good, None), tell(good)) as (judge, script):
        for _ in range(2):
            assert (await judge.ask(stream=stream)).kind == "answer"
        assert len(script.requests) == 2
