"""What a provider in trouble costs its clients, how it comes back, and what changes nothing."""

import asyncio
import time

import pytest

from proxy.domain.breaker import BreakerRules
from proxy.domain.settings import Clocks
from tests.faults.fault_upstream import (
    Deed,
    Gate,
    build_good,
    build_json,
    build_secret_error,
    tell,
)
from tests.faults.several import Several, judging_several

both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
RULES = BreakerRules()
_ERROR = build_json(build_secret_error(), "length", 500)
_FAIL = tell(_ERROR)
_GOOD = {True: tell(build_good(True)), False: tell(build_good(False))}


async def _ask(served: Several, stream: bool, count: int) -> list[str]:
    """Ask one by one, and return who has answered each; nobody may see an error."""
    outcomes = [await served.judge.ask(stream=stream) for _ in range(count)]
    assert {outcome.verdict for outcome in outcomes} == {("answer", 200, None)}
    return [outcome.reply.headers["x-llm-proxy-provider"] for outcome in outcomes]


def _count_attempts(served: Several, provider: str) -> int:
    return served.judge.server.observer.started.count(provider)


@both
async def test_a_dead_provider_costs_five_attempts(stream: bool, loopback_port: int) -> None:
    """Asked one by one, five find it dead; then nobody tries until its time is over, then one."""
    dead = f"http://127.0.0.1:{loopback_port}/v1"
    async with judging_several(dead, [_GOOD[stream]], breaker=RULES, clocks=Clocks()) as served:
        assert await _ask(served, stream, 30) == ["b"] * 30
        assert _count_attempts(served, "a") == RULES.consecutive
        report = await served.read_breaker("a/m")
        assert (report.state, report.cause) == ("open", "failures")
        assert 53.0 < report.retry_in_s <= 60.0
        served.clock.ahead_s = report.retry_in_s - 1.0
        assert await _ask(served, stream, 5) == ["b"] * 5
        assert _count_attempts(served, "a") == RULES.consecutive
        served.clock.ahead_s += 1.1
        assert await _ask(served, stream, 5) == ["b"] * 5
        assert _count_attempts(served, "a") == RULES.consecutive + 1
        report = await served.read_breaker("a/m")
        assert (report.state, report.trips) == ("open", 2)
        assert 107.0 < report.retry_in_s <= 120.0


@both
async def test_a_provider_that_is_back_answers_the_next_request(stream: bool) -> None:
    """Once its time is over, the first request goes to it; three good ones close its breaker."""
    doings = [_FAIL] * RULES.consecutive + [_GOOD[stream]], [_GOOD[stream]]
    async with judging_several(*doings, breaker=RULES, clocks=Clocks()) as served:
        assert await _ask(served, stream, 10) == ["b"] * 10
        served.clock.ahead_s = 61.0
        assert await _ask(served, stream, 1) == ["a"]
        assert (await served.read_breaker("a/m")).state == "half_open"
        assert await _ask(served, stream, 9) == ["a"] * 9
        assert (await served.read_breaker("a/m")).state == "closed"


@both
async def test_a_provider_that_is_back_may_fail_again(stream: bool) -> None:
    """Who is back is judged as anew: a success ends a row of failures, five in a row are enough."""
    good, row = _GOOD[stream], [_FAIL] * RULES.consecutive
    doing = [*row, *[good] * 3, *row[1:], good, *row[1:], good, *row, good]
    async with judging_several(doing, [good], breaker=RULES, clocks=Clocks()) as served:
        await _ask(served, stream, RULES.consecutive)
        served.clock.ahead_s = 61.0
        assert await _ask(served, stream, 3) == ["a"] * 3
        almost = ["b"] * (RULES.consecutive - 1)
        assert await _ask(served, stream, 10) == [*almost, "a", *almost, "a"]
        assert await _ask(served, stream, 8) == ["b"] * 8
        assert served.count_requests()[0] == len(doing) - 1
        assert (await served.read_breaker("a/m")).state == "open"


@both
@pytest.mark.parametrize("is_back", [True, False])
async def test_many_at_once_are_three_probes(stream: bool, is_back: bool) -> None:
    """Twenty come when its time is over: three are probes, which cost nobody an answer."""
    gates = [Gate(build_good(stream) if is_back else _ERROR) for _ in range(RULES.permits)]
    doings: list[list[Deed]] = [[_FAIL] * RULES.consecutive + [*gates, _FAIL], [_GOOD[stream]]]
    async with judging_several(*doings, breaker=RULES, clocks=Clocks()) as served:
        await _ask(served, stream, RULES.consecutive)
        served.clock.ahead_s = 61.0
        asked = [asyncio.create_task(served.judge.ask(stream=stream)) for _ in range(20)]
        await asyncio.gather(*[gate.begun.wait() for gate in gates])
        while sum(task.done() for task in asked) < 20 - RULES.permits:
            await asyncio.wait([t for t in asked if not t.done()], return_when="FIRST_COMPLETED")
        assert (await served.read_breaker("a/m")).permits_in_use == RULES.permits
        for gate in gates:
            gate.go.set()
        outcomes = await asyncio.gather(*asked)
        assert len(served.scripts["a"].requests) == RULES.consecutive + RULES.permits
        report = await served.read_breaker("a/m")
    assert {outcome.verdict for outcome in outcomes} == {("answer", 200, None)}
    answered = [outcome.reply.headers["x-llm-proxy-provider"] for outcome in outcomes]
    assert answered.count("a") == (RULES.permits if is_back else 0)
    assert report.state == ("closed" if is_back else "open")


@both
async def test_a_probe_whose_client_leaves_gives_its_permit_back(stream: bool) -> None:
    """A client that leaves proves nothing: its permit is free again, for the next request."""
    gate = Gate(b"")
    doings: list[list[Deed]] = [
        [_FAIL] * RULES.consecutive + [gate, _GOOD[stream]],
        [_GOOD[stream]],
    ]
    rules = BreakerRules(permits=1)
    async with judging_several(*doings, breaker=rules, clocks=Clocks()) as served:
        await _ask(served, stream, rules.consecutive)
        served.clock.ahead_s = 61.0
        served.judge.expect_left()
        leaving = asyncio.create_task(served.judge.ask(stream=stream))
        await gate.begun.wait()
        assert await _ask(served, stream, 1) == ["b"]
        leaving.cancel()
        await served.scripts["a"].connections[-1].wait_closed()
        await served.judge.read_records()
        assert await _ask(served, stream, 1) == ["a"]
        assert (await served.read_breaker("a/m")).state == "closed"


@both
async def test_u36_a_success_from_before_the_breaker_opened(stream: bool) -> None:
    """U36: who was asked before its breaker opened answers late: its client gets it, no more."""
    gate = Gate(build_good(stream))
    doings: list[list[Deed]] = [[gate, *[_FAIL] * RULES.consecutive], [_GOOD[stream]]]
    async with judging_several(*doings, breaker=RULES, clocks=Clocks()) as served:
        late = asyncio.create_task(served.judge.ask(stream=stream))
        await gate.begun.wait()
        await _ask(served, stream, RULES.consecutive)
        before = await served.read_breaker("a/m")
        gate.go.set()
        assert (await late).kind == "answer"
        after = await served.read_breaker("a/m")
        assert await _ask(served, stream, 3) == ["b"] * 3
    assert (before.state, after.state) == ("open", "open")
    assert (before.failure_count, before.trips) == (after.failure_count, after.trips)


@both
async def test_u36_a_failure_from_before_the_breaker_opened(stream: bool) -> None:
    """U36: who was asked before its breaker opened fails after it has closed: nobody's failure."""
    gate, good = Gate(_ERROR), _GOOD[stream]
    doings: list[list[Deed]] = [[gate, *[_FAIL] * RULES.consecutive, good], [good]]
    async with judging_several(*doings, breaker=RULES, clocks=Clocks()) as served:
        late = asyncio.create_task(served.judge.ask(stream=stream))
        await gate.begun.wait()
        await _ask(served, stream, RULES.consecutive)
        served.clock.ahead_s = 61.0
        assert await _ask(served, stream, RULES.permits) == ["a"] * RULES.permits
        gate.go.set()
        assert (await late).kind == "answer"
        report = await served.read_breaker("a/m")
    assert (report.state, report.failure_count) == ("closed", 0)


@both
async def test_u36_an_answer_to_an_attempt_that_was_given_up(stream: bool) -> None:
    """U36: an answer that comes after we have gone on is nobody's, and mends no breaker."""
    gate = Gate(build_good(stream))
    async with judging_several([gate], [_GOOD[stream]], breaker=RULES) as served:
        assert await _ask(served, stream, 1) == ["b"]
        await served.scripts["a"].connections[0].wait_closed()
        gate.go.set()
        assert (await served.read_breaker("a/m")).failure_count == 1
        assert served.judge.server.observer.attempts[0].outcome == "upstream_header_timeout"


@both
async def test_u38_a_provider_that_fails_every_other_time(stream: bool) -> None:
    """U38: nobody sees an error; after twenty calls it is left alone, longer each time."""
    doings = [_GOOD[stream], _FAIL] * 100, [_GOOD[stream]]
    async with judging_several(*doings, breaker=RULES, clocks=Clocks()) as served:
        answered = await _ask(served, stream, 50)
        assert _count_attempts(served, "a") == RULES.min_calls
        assert answered[:20] == ["a", "b"] * 10
        waits_s = []
        for _ in range(4):
            report = await served.read_breaker("a/m")
            waits_s.append(report.retry_in_s)
            served.clock.ahead_s += report.retry_in_s + 0.1
            await _ask(served, stream, 3)
    for wait_s, promised_s in zip(waits_s, (60.0, 120.0, 240.0, 300.0), strict=True):
        assert promised_s * 0.89 < wait_s <= promised_s


async def test_u39_a_provider_that_has_become_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """U39: first tokens that take too long are no errors, but who is slow is left alone."""
    async with judging_several(
        [_GOOD[True]], [_GOOD[True]], breaker=RULES, clocks=Clocks()
    ) as served:
        assert await _ask(served, True, 25) == ["a"] * 25
        served.clock.ahead_s += 31.0  # a window that knows nothing of these
        with monkeypatch.context() as patch:
            # From now on every time is slow; how it is measured is `policy/verdict.py`'s test.
            patch.setattr("proxy.policy.verdict.SLOW_AT_LEAST_S", 0.0)
            patch.setattr("proxy.policy.verdict.SLOW_FACTOR", 0.0)
            assert await _ask(served, True, 25) == ["a"] * 20 + ["b"] * 5
            report = await served.read_breaker("a/m")
            assert (report.state, report.cause, report.failure_count) == ("open", "slow", 0)
            served.clock.ahead_s += 61.0
            # The probe is judged by its first token too, and answers its client all the same.
            assert await _ask(served, True, 5) == ["a"] + ["b"] * 4
            assert (await served.read_breaker("a/m")).trips == 2
        served.clock.ahead_s += 121.0
        assert await _ask(served, True, 5) == ["a"] * 5
        assert (await served.read_breaker("a/m")).state == "closed"


@pytest.mark.parametrize(
    "jump_s",
    [3600.0, -3600.0, -time.time(), 86_400.0 * 3650],
    ids=["an hour", "an hour back", "1970", "a decade"],
)
async def test_i17_the_wall_clock_jumps(jump_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """I17: an hour, a decade, back to 1970: breakers keep their waits, no duration is odd."""
    read_wall_s = time.time
    doings = [*[_FAIL] * RULES.consecutive, _GOOD[True]], [_GOOD[True]]
    async with judging_several(*doings, breaker=RULES, clocks=Clocks()) as served:
        await _ask(served, True, 6)
        before = await served.read_breaker("a/m")
        monkeypatch.setattr(time, "time", lambda: read_wall_s() + jump_s)
        assert await _ask(served, True, 3) == ["b"] * 3
        after = await served.read_breaker("a/m")
        assert before.retry_in_s - 5.0 < after.retry_in_s <= before.retry_in_s
        served.clock.ahead_s = after.retry_in_s + 0.1
        assert await _ask(served, True, 4) == ["a"] * 4
        assert (await served.read_breaker("a/m")).state == "closed"
        for record in await served.judge.read_records():
            assert 0.0 <= record.duration_s < 5.0
            assert all(0.0 <= attempt.duration_s < 5.0 for attempt in record.attempts)
