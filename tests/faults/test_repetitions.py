"""Where nobody else is left to ask: the same provider again, as long as budget and time allow."""

import asyncio
import time
from typing import Any

import openai
import pytest

from proxy.domain.breaker import BreakerRules
from proxy.domain.settings import Clocks
from proxy.policy.latency import MIN_SAMPLES
from proxy.policy.retry import RetryBudget
from tests.faults.fault_upstream import (
    STRIKES,
    Deed,
    Gate,
    build_good,
    build_json,
    build_secret_error,
    stall,
    tell,
)
from tests.faults.several import judging_several, open_sdk, read_text

both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
AT_ONCE_S = 5.0
"""An attempt that waits for nothing is over by then, whatever the machine does besides."""
_GOOD = {True: tell(build_good(True)), False: tell(build_good(False))}


def _refuse(status: int, *headers: str) -> Deed:
    return tell(build_json(build_secret_error(), "length", status, *headers))


def _repeat(max_retries: int = 3, retry_delay_s: float = 0.001) -> dict[str, Any]:
    return {"max_retries": max_retries, "retry_delay_s": retry_delay_s}


@both
@pytest.mark.parametrize("strike", ["cut", "reset"])
async def test_a_connection_that_breaks_once_is_repeated_at_once(stream: bool, strike: str) -> None:
    """A connection that breaks: asked again without a wait, however long `retry_delay` is."""
    doings = [STRIKES[strike](build_good(stream), 0), _GOOD[stream]]
    async with judging_several(doings, fields=_repeat(1, retry_delay_s=60.0)) as served:
        async with asyncio.timeout(AT_ONCE_S):
            outcome = await served.judge.ask(stream=stream)
        attempts = served.list_attempts(outcome)
        retries = served.judge.server.observer.retries
    assert outcome.verdict == ("answer", 200, None)
    assert attempts == [("a", "upstream_disconnected"), ("a", "ok")]
    assert retries == ["a"]
    assert outcome.reply.headers["x-llm-proxy-attempts"] == "2"


@both
async def test_a_provider_that_was_not_there_for_a_moment(stream: bool, loopback_port: int) -> None:
    """Nobody listens, `max_retries` times over: 502 `upstream_unreachable` after all of them."""
    dead = f"http://127.0.0.1:{loopback_port}/v1"
    async with judging_several(dead, fields=_repeat(2)) as served:
        outcome = await served.judge.ask(stream=stream)
        attempts = served.list_attempts(outcome)
    assert outcome.verdict == ("refused", 502, "upstream_unreachable")
    assert attempts == [("a", "upstream_unreachable")] * 3


@both
@pytest.mark.parametrize("max_retries", [0, 1, 3])
async def test_as_often_as_it_says_and_no_more(stream: bool, max_retries: int) -> None:
    """A provider that fails always is asked `max_retries` times more, with its `retry_delay`."""
    async with judging_several([_refuse(500)], fields=_repeat(max_retries)) as served:
        outcome = await served.judge.ask(stream=stream)
        assert served.count_requests() == [1 + max_retries]
    assert outcome.verdict == ("refused", 502, "upstream_server_error")
    assert outcome.reply.headers["x-should-retry"] == "false"


async def test_who_hardly_ever_succeeds_is_repeated_less() -> None:
    """With each request that fails the next has fewer repetitions, down to one."""
    async with judging_several([_refuse(500)], fields=_repeat(3)) as served:
        repeats = []
        for _ in range(6):
            before = sum(served.count_requests())
            await served.judge.ask()
            repeats.append(sum(served.count_requests()) - before - 1)
    assert (repeats[0], repeats[-1]) == (3, 1)
    assert repeats == sorted(repeats, reverse=True)


@both
async def test_what_stays_wrong_is_not_repeated(stream: bool) -> None:
    """A refused key, an unknown model, a redirect, no money: once is enough."""
    for status in (401, 404, 307, 402):
        async with judging_several([_refuse(status)], fields=_repeat()) as served:
            assert (await served.judge.ask(stream=stream)).kind == "refused"
            assert served.count_requests() == [1], status


async def test_others_are_asked_before_anybody_again() -> None:
    """Two fail once: the second is asked before the first is asked again, and that answers."""
    doings = [_refuse(500), _GOOD[True]], [_refuse(500), _GOOD[True]]
    async with judging_several(*doings, fields=_repeat(), clocks=Clocks()) as served:
        outcome = await served.judge.ask(stream=True)
        attempts = served.list_attempts(outcome)
    assert outcome.verdict == ("answer", 200, None)
    assert attempts == [
        ("a", "upstream_server_error"),
        ("b", "upstream_server_error"),
        ("a", "ok"),
    ]


@both
async def test_a_limit_that_is_over_in_time_is_waited_for(
    stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 429 whose time fits the deadline: the answer comes when it is over."""
    monkeypatch.setattr("proxy.policy.verdict.SHORTEST_HOLD_S", 0.05)
    doings = [_refuse(429, "retry-after-ms: 100"), _GOOD[stream]]
    async with judging_several(doings, fields=_repeat()) as served:
        begun_s = time.monotonic()
        async with asyncio.timeout(0.1 + AT_ONCE_S):
            outcome = await served.judge.ask(stream=stream)
        spent_s = time.monotonic() - begun_s
        attempts = served.list_attempts(outcome)
    assert outcome.verdict == ("answer", 200, None)
    assert attempts == [("a", "rate_limit_exceeded"), ("a", "ok")]
    assert spent_s >= 0.1


@both
async def test_a_limit_that_outlasts_the_deadline_is_told_at_once(stream: bool) -> None:
    """A 429 whose time does not fit the deadline: it is told, with that time, and no wait."""
    doing = [_refuse(429, "Retry-After: 30"), _GOOD[stream]]
    async with judging_several(doing, fields=_repeat(), request_timeout_s=30.0) as served:
        async with asyncio.timeout(AT_ONCE_S):
            outcome = await served.judge.ask(stream=stream)
        assert served.count_requests() == [1]
    assert outcome.verdict == ("refused", 429, "rate_limit_exceeded")
    assert outcome.reply.headers["retry-after"] == "30"


@both
async def test_nobody_is_repeated_whom_others_have_had_held(stream: bool) -> None:
    """One fails while another is told of a limit: its own error is told, and nobody waits."""
    gate = Gate(build_json(build_secret_error(), "length", 500))
    doing: list[Deed] = [gate, _GOOD[stream]]
    async with judging_several(doing, fields=_repeat()) as served:
        asked = asyncio.create_task(served.judge.ask(stream=stream))
        await gate.begun.wait()
        served.breakers.report("a/m", "hold", hold_s=20.0, cause="rate_limit")
        gate.go.set()
        async with asyncio.timeout(5.0):
            outcome = await asked
        assert served.count_requests() == [1]
    assert outcome.verdict == ("refused", 502, "upstream_server_error")


@both
async def test_one_deadline_is_over_all_attempts(stream: bool) -> None:
    """Two that never answer: 504 when the request's time is over, whatever clocks there are."""
    silent = stall(build_good(stream), 0)
    async with judging_several(
        [silent], [silent], fields=_repeat(), clocks=Clocks(), request_timeout_s=0.3
    ) as served:
        begun_s = time.monotonic()
        async with asyncio.timeout(0.3 + AT_ONCE_S):
            outcome = await served.judge.ask(stream=stream)
        spent_s = time.monotonic() - begun_s
        await served.scripts["a"].connections[0].wait_closed()
    assert outcome.verdict == ("refused", 504, "deadline_exceeded")
    assert spent_s >= 0.3


async def test_no_attempt_is_begun_without_time_for_it() -> None:
    """The first has used up the time: its own error is told, and it is not repeated."""
    silent = stall(build_good(True), 0)
    doing = [silent, _GOOD[True]]
    async with judging_several([*doing], fields=_repeat(), request_timeout_s=0.5) as served:
        outcome = await served.judge.ask(stream=True)
        assert served.count_requests() == [1]
    assert outcome.verdict[:2] == ("refused", 504)


@both
async def test_who_says_nothing_leaves_time_for_the_next(stream: bool) -> None:
    """With the clocks as they come, a provider that falls silent costs half of the time."""
    silent = stall(build_good(stream), 0)
    async with judging_several(
        [silent], [_GOOD[stream]], clocks=Clocks(), request_timeout_s=1.0
    ) as served:
        deployment = served.judge.server.runtime.snapshot.groups["m"].deployments[0]
        place = served.board.find_place(deployment)
        for _ in range(MIN_SAMPLES):
            (place.latency if stream else place.whole).note(0.01, served.board.read_clock_s())
        outcome = await served.judge.ask(stream=stream)
        attempts = served.list_attempts(outcome)
        await served.scripts["a"].connections[0].wait_closed()
    assert outcome.verdict == ("answer", 200, None)
    clock = "first_token" if stream else "answer"
    assert attempts == [("a", f"upstream_{clock}_timeout"), ("b", "ok")]


async def test_long_answers_are_no_silence() -> None:
    """Where answers are always long, or none is known yet, nobody is cut short for the next."""
    gate = Gate(build_json())
    async with judging_several(
        [gate], [_GOOD[False]], clocks=Clocks(), request_timeout_s=2.0
    ) as served:
        asked = asyncio.create_task(served.judge.ask())
        await gate.begun.wait()
        asyncio.get_running_loop().call_later(1.1, gate.go.set)
        outcome = await asked
        assert served.count_requests() == [1, 0]
    assert outcome.verdict == ("answer", 200, None)


async def test_a_spent_budget_ends_repetitions() -> None:
    """Many fail at once: a few are repeated, the rest gets its first error; at most 3 at a time."""
    many = 40
    fields = _repeat(3, retry_delay_s=0.01)
    async with judging_several([_refuse(500)], fields=fields) as served:
        outcomes = await asyncio.gather(*[served.judge.ask() for _ in range(many)])
        repeated = len(served.judge.server.observer.retries)
        budget = served.board.find_budget("m")
        assert not budget._running
    assert {outcome.verdict for outcome in outcomes} == {("refused", 502, "upstream_server_error")}
    assert RetryBudget.FULL // RetryBudget.PRICE <= repeated < many
    details = [record.error_detail for record in served.judge.server.observer.records]
    assert details.count("retry_budget_exhausted") >= many - repeated


async def test_a_spent_budget_stands_in_the_log_with_the_error_that_is_told() -> None:
    """The log says that the budget was spent, also where the second one's error is told."""
    fields = _repeat(3)
    async with judging_several([_refuse(500)], [_refuse(503)], fields=fields) as served:
        budget = served.board.find_budget("m")
        while budget.take(0.0):
            pass
        outcome = await served.judge.ask()
        record = await served.judge.read_record(outcome)
        for _ in range(budget._running):
            budget.finish()
    assert outcome.verdict == ("refused", 503, "upstream_overloaded")
    assert record.error_detail == "retry_budget_exhausted"
    assert len(record.attempts) == 2


@both
async def test_c24_clients_that_repeat_are_no_storm(stream: bool) -> None:
    """C24: every provider fails: each client of the SDK is told to stay away, and asks once."""
    clients = 100
    rules = BreakerRules()
    async with judging_several(
        [_refuse(500)], [_refuse(503)], fields=_repeat(), breaker=rules
    ) as served:

        async def ask() -> None:
            with pytest.raises(openai.InternalServerError):
                async with open_sdk(served.judge.server.url, max_retries=2) as client:
                    await read_text(client, stream)

        served.judge.allow_unseen(clients)
        # One by one until they are known to fail; steady is what comes then.
        for _ in range(10):
            await ask()
        before = sum(served.count_requests())
        for _ in range(10, clients):
            await ask()
        records = await served.judge.read_records()
        steady = sum(served.count_requests()) - before
    assert len(records) == clients
    assert steady <= 1.1 * (clients - 10)


@both
async def test_a_client_that_leaves_while_we_wait(stream: bool) -> None:
    """A client leaves between two attempts: there is no second, and nothing is kept."""
    fields = _repeat(3, retry_delay_s=60.0)
    async with judging_several([_refuse(500), _GOOD[stream]], fields=fields) as served:
        served.judge.expect_left()
        leaving = asyncio.create_task(served.judge.ask(stream=stream))
        # Nothing announces that a wait has begun: the budget is looked at once per turn.
        while not served.board.find_budget("m")._running:  # noqa: ASYNC110
            await asyncio.sleep(0)
        leaving.cancel()
        await served.judge.read_records()
        assert served.count_requests() == [1]


@both
async def test_a_client_that_leaves_during_the_second_attempt(stream: bool) -> None:
    """A client leaves while the second provider is asked: it is let go of, no third is asked."""
    gate = Gate(b"")
    doings: list[list[Deed]] = [[_refuse(500)], [gate], [_GOOD[stream]]]
    async with judging_several(*doings, clocks=Clocks()) as served:
        served.judge.expect_left()
        leaving = asyncio.create_task(served.judge.ask(stream=stream))
        await gate.begun.wait()
        leaving.cancel()
        await served.scripts["b"].connections[0].wait_closed()
        (record,) = await served.judge.read_records()
        assert served.count_requests() == [1, 1, 0]
    assert [each.outcome for each in record.attempts] == ["upstream_server_error", "client_closed"]
