"""Nobody answers: which error is told, when to come back, and who is not even asked."""

import asyncio
from typing import Any

import pytest

from proxy.domain.breaker import BreakerRules
from proxy.domain.settings import Clocks
from tests.faults.fault_upstream import (
    Deed,
    Gate,
    build_good,
    build_json,
    build_reply,
    build_secret_error,
    reset,
    tell,
)
from tests.faults.several import Several, judging_several

both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])


def _refuse(status: int, *headers: str, **fields: Any) -> Deed:
    return tell(build_json(build_secret_error(**fields), "length", status, *headers))


FAILURES: dict[str, tuple[Deed, int, str]] = {
    "limit": (_refuse(429), 429, "rate_limit_exceeded"),
    "overload": (_refuse(503), 503, "upstream_overloaded"),
    "late": (_refuse(504), 504, "upstream_timeout"),
    "fault": (_refuse(500), 502, "upstream_server_error"),
    "page": (tell(build_reply(b"<html>", "text/html")), 502, "upstream_protocol_error"),
    "reset": (reset(build_good(False), 0), 502, "upstream_disconnected"),
    "quota": (_refuse(402), 429, "insufficient_quota"),
    "key": (_refuse(401), 502, "upstream_auth"),
    "model": (_refuse(404, code="model_not_found"), 502, "upstream_model_not_found"),
}
"""What a provider does, and what its client is told if nobody does anything better."""
_RANKS = ["limit", "overload", "late", "fault", "page reset", "quota key model"]
"""The most useful first; those on one line are equals."""


def _rank(name: str) -> int:
    return next(rank for rank, names in enumerate(_RANKS) if name in names.split())


@both
@pytest.mark.parametrize("first", FAILURES)
async def test_the_most_useful_error_is_told(first: str, stream: bool) -> None:
    """Two fail, each pair of ways in both orders: what the client can act on is what it is told."""
    for second in FAILURES:
        doings = [FAILURES[first][0]], [FAILURES[second][0]]
        async with judging_several(*doings, clocks=Clocks()) as served:
            outcome = await served.judge.ask(stream=stream)
            assert len(served.list_attempts(outcome)) == 2
        told = first if _rank(first) <= _rank(second) else second
        assert outcome.verdict == ("refused", *FAILURES[told][1:]), (first, second)
        assert outcome.reply.headers["x-should-retry"] == "false"
        assert outcome.reply.status not in (401, 403)


async def test_three_fail_and_the_best_is_in_the_middle(loopback_port: int) -> None:
    """Nobody listens, a limit, a refused key: the limit is told."""
    dead = f"http://127.0.0.1:{loopback_port}/v1"
    async with judging_several(dead, [_refuse(429)], [_refuse(401)]) as served:
        outcome = await served.judge.ask(stream=True)
        names = [name for name, _ in served.list_attempts(outcome)]
    assert names == ["a", "b", "c"]
    assert outcome.verdict == ("refused", 429, "rate_limit_exceeded")


@both
async def test_u23_overload_of_all_says_when_to_come_back(stream: bool) -> None:
    """U23: overloaded, and nobody says until when: 503, and a time from 1 to 5 s by chance."""
    waits_s = set()
    async with judging_several([_refuse(503)], [_refuse(529)]) as served:
        for _ in range(20):
            outcome = await served.judge.ask(stream=stream)
            assert outcome.verdict == ("refused", 503, "upstream_overloaded")
            waits_s.add(int(outcome.reply.headers["retry-after"]))
    assert waits_s <= {1, 2, 3, 4, 5}
    assert len(waits_s) > 1


@both
async def test_u21_all_are_held_by_their_limits(stream: bool) -> None:
    """U21: all limited: 429 with the smallest wait; then the same, and nobody is asked."""
    doings = [[_refuse(429, f"Retry-After: {wait_s}")] for wait_s in (60, 20, 40)]
    async with judging_several(*doings) as served:
        for _ in range(3):
            outcome = await served.judge.ask(stream=stream)
            assert outcome.verdict == ("refused", 429, "rate_limit_exceeded")
            assert 20 <= int(outcome.reply.headers["retry-after"]) <= 22
        assert served.count_requests() == [1, 1, 1]
        assert served.list_attempts(outcome) == []
        assert "x-should-retry" not in outcome.reply.headers


async def test_u21_one_is_held_and_the_other_is_limited_now() -> None:
    """U21: one is held already, the other's limit is longer: the wait is that of the first."""
    doings = [_refuse(429, "Retry-After: 20")], [_refuse(500), _refuse(429, "Retry-After: 60")]
    async with judging_several(*doings) as served:
        await served.judge.ask()
        outcome = await served.judge.ask()
        assert served.list_attempts(outcome) == [("b", "rate_limit_exceeded")]
    assert outcome.verdict == ("refused", 429, "rate_limit_exceeded")
    assert 19 <= int(outcome.reply.headers["retry-after"]) <= 22


@pytest.mark.parametrize(("said", "least_s", "most_s"), [(1, 1, 2), (500, 300, 330)])
async def test_u21_a_hold_has_its_bounds(said: int, least_s: int, most_s: int) -> None:
    """U21: a provider is left alone as long as it says, for at most 300 s and a tenth."""
    async with judging_several([_refuse(429, f"Retry-After: {said}")]) as served:
        await served.judge.ask()
        report = await served.read_breaker("a/m")
    assert (report.state, report.cause) == ("open", "rate_limit")
    assert least_s - 1 <= report.retry_in_s <= most_s


HELD: dict[str, tuple[Deed, str, str, float]] = {
    "u21": (_refuse(429, "Retry-After: 20"), "a/m", "rate_limit", 20.0),
    "u21 without a time": (_refuse(429), "a/m", "rate_limit", 1.0),
    "u22": (_refuse(429, code="insufficient_quota"), "key:a", "quota", 300.0),
    "u22 402": (_refuse(402), "key:a", "quota", 300.0),
    "u25": (_refuse(401), "key:a", "auth", 60.0),
    "u25 403": (_refuse(403), "key:a", "auth", 60.0),
    "u26": (_refuse(404, code="model_not_found"), "a/m", "misconfigured", 300.0),
    "u26 403": (_refuse(403, code="model_not_found"), "a/m", "misconfigured", 300.0),
}
"""What a provider answers, what is held for it, why, and for how many seconds."""


@both
@pytest.mark.parametrize("case", HELD)
async def test_u21_u22_u25_u26_who_is_held_is_left_alone(case: str, stream: bool) -> None:
    """U21 to U26: one refusal; from then on the other answers alone, until the hold is over."""
    deed, held, cause, hold_s = HELD[case]
    good = tell(build_good(stream))
    async with judging_several([deed, good], [good], clocks=Clocks()) as served:
        outcomes = [await served.judge.ask(stream=stream) for _ in range(3)]
        assert served.count_requests() == [1, 3]
        report = await served.read_breaker(held)
        other = await served.read_breaker(held.replace("a", "b"))
        served.clock.ahead_s = hold_s * 1.1 + 1.0
        outcomes.append(await served.judge.ask(stream=stream))
        assert served.count_requests() == [2, 3]
    assert {outcome.verdict for outcome in outcomes} == {("answer", 200, None)}
    assert (report.state, report.cause, report.failure_count) == ("open", cause, 0)
    assert hold_s - 1.0 <= report.retry_in_s <= hold_s * 1.1
    assert other.state == "closed"


@both
async def test_u25_a_refused_key_is_never_the_clients(stream: bool) -> None:
    """U25: every key is refused, then every key is held: 502, and one is tried, in need."""
    async with judging_several([_refuse(401)], [_refuse(403)]) as served:
        outcomes = [await served.judge.ask(stream=stream) for _ in range(2)]
        assert sum(served.count_requests()) == 2 + 1
    assert {outcome.verdict for outcome in outcomes} == {("refused", 502, "upstream_auth")}


_ONE_IS_TOO_MANY = BreakerRules(consecutive=1, open_ms=30_000)


async def _open_all(served: Several) -> None:
    """Have each provider fail once, which opens its breaker."""
    outcome = await served.judge.ask()
    assert len(served.list_attempts(outcome)) == len(served.scripts)
    for name in served.scripts:
        assert (await served.read_breaker(f"{name}/m")).state == "open"


@both
async def test_u37_all_are_open_and_one_is_tried_all_the_same(stream: bool) -> None:
    """U37: all breakers are open: the one that is nearest to its next try is tried, and answers."""
    good = tell(build_good(stream))
    doings = [_refuse(500)], [_refuse(500), good], [_refuse(503, "Retry-After: 60")]
    async with judging_several(*doings, breaker=_ONE_IS_TOO_MANY, clocks=Clocks()) as served:
        await _open_all(served)
        # Later than the others have failed, and for longer.
        served.breakers.report("a/m", "hold", hold_s=60.0, cause="failures")
        outcome = await served.judge.ask(stream=stream)
        assert served.list_attempts(outcome) == [("b", "ok")]
        # What it has proven need not be proven again by waiting: the others may try it now.
        assert (await served.read_breaker("b/m")).state == "half_open"
        for _ in range(_ONE_IS_TOO_MANY.permits):
            assert (await served.judge.ask(stream=stream)).kind == "answer"
        assert (await served.read_breaker("b/m")).state == "closed"
        assert served.count_requests() == [1, 2 + _ONE_IS_TOO_MANY.permits, 1]
    assert outcome.verdict == ("answer", 200, None)
    assert outcome.reply.headers["x-llm-proxy-reason"] == "priority,panic"


@both
async def test_u37_one_at_a_time_is_tried_while_all_are_open(stream: bool) -> None:
    """U37: while one such attempt is under way all others get 503 at once, and nobody is asked."""
    gate = Gate(build_good(stream))
    doings: list[list[Deed]] = [[_refuse(500), gate], [_refuse(500)]]
    async with judging_several(*doings, breaker=_ONE_IS_TOO_MANY, clocks=Clocks()) as served:
        await _open_all(served)
        served.breakers.report("b/m", "hold", hold_s=60.0, cause="failures")
        panicking = asyncio.create_task(served.judge.ask(stream=stream))
        await gate.begun.wait()
        outcomes = [await served.judge.ask(stream=stream) for _ in range(5)]
        assert served.count_requests() == [2, 1]
        gate.go.set()
        assert (await panicking).kind == "answer"
    assert {each.verdict for each in outcomes} == {("refused", 503, "no_healthy_provider")}
    for each in outcomes:
        # The nearest of the two reopenings, later by up to a tenth.
        assert 26 <= int(each.reply.headers["retry-after"]) <= 33
        assert served.list_attempts(each) == []


@both
async def test_u37_a_panic_attempt_that_fails_is_told(stream: bool) -> None:
    """U37: the least bad one fails once more: its error is told, and the next may try again."""
    async with judging_several(
        [_refuse(500)], [_refuse(500)], breaker=_ONE_IS_TOO_MANY, fields={"max_retries": 3}
    ) as served:
        await served.judge.ask(stream=stream)
        before = sum(served.count_requests())
        for asked in range(1, 4):
            outcome = await served.judge.ask(stream=stream)
            assert outcome.verdict == ("refused", 502, "upstream_server_error")
            assert sum(served.count_requests()) == before + asked


async def test_u37_who_wants_to_be_left_alone_is_not_tried() -> None:
    """U37: a limit, a spent quota and an operator's word are kept to: 503, and nobody is asked."""
    async with judging_several(*[[_refuse(500)]] * 3) as served:
        served.breakers.report("a/m", "hold", hold_s=20.0, cause="rate_limit")
        served.breakers.report("key:b", "hold", hold_s=60.0, cause="quota")
        await served.breakers.command("c/m", "open")
        outcome = await served.judge.ask()
        assert served.count_requests() == [0, 0, 0]
    assert outcome.verdict == ("refused", 503, "no_healthy_provider")
    assert 20 <= int(outcome.reply.headers["retry-after"]) <= 25
