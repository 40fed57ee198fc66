"""The oracle itself: what is good passes, and each kind of harm is seen."""

import asyncio
import logging
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from proxy.domain.breaker import Permit
from proxy.domain.key_mask import mask_keys
from proxy.domain.settings import PoolLimits
from proxy.stores.memory_breakers import MemoryBreakers
from tests.fakes.proxy_server import ANSWER, DONE, build_chunk, proxying
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import Recorder, answering
from tests.faults.oracle import UPSTREAM_SECRET, Judge, judging
from tests.faults.raw_client import judge_reply, parse_reply
from tests.upstream.pools import list_caps

CHUNK, FINISH = build_chunk("hi"), build_chunk(finish="stop")
ERROR = b'{"error":{"message":"m","type":"t","param":null,"code":"c"}}'
_JSON = "Content-Type: application/json\r\nx-request-id: req_1"
_SSE = "Content-Type: text/event-stream\r\nx-request-id: req_1"


async def test_what_is_good_passes() -> None:
    """A stream, a whole answer and a refusal are all in order."""
    async with (
        open_raw_upstream(Recorder(CHUNK, FINISH, DONE)) as up,
        judging(proxying(up.url)) as judge,
    ):
        outcome = await judge.ask(stream=True)
        assert outcome.verdict == ("answer", 200, None)
        assert outcome.text == "hi"
        assert (await judge.read_record(outcome)).status == 200
    assert len(judge.log_lines) == 1
    async with open_raw_upstream(answering(ANSWER)) as up, judging(proxying(up.url)) as judge:
        assert (await judge.ask()).text == "hello"
        outcome = await judge.ask(model="unknown")
        assert outcome.verdict == ("refused", 404, "model_not_found")


def _reply(status: int, fields: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status} X\r\n{fields}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


BAD_REPLIES = {
    "error as text": _reply(502, "Content-Type: text/plain\r\nx-request-id: req_1", b"no"),
    "error without an id": _reply(502, "Content-Type: application/json", ERROR),
    "error with more keys": _reply(502, _JSON, ERROR.replace(b'"param"', b'"detail":1,"param"')),
    "error with status 200": _reply(200, _JSON, ERROR),
    "redirect": _reply(302, _JSON, b"{}"),
    "no end": _reply(200, _SSE, CHUNK + FINISH),
    "half an event": _reply(200, _SSE, CHUNK[:-1]),
    "done twice": _reply(200, _SSE, CHUNK + DONE + DONE),
    "done behind an error": _reply(200, _SSE, CHUNK + b"data: " + ERROR + b"\n\n" + DONE),
    "content behind an error": _reply(200, _SSE, b"data: " + ERROR + b"\n\n" + CHUNK),
    "content behind done": _reply(200, _SSE, DONE + CHUNK),
    "a header twice": _reply(200, f"{_JSON}\r\nx-request-id: req_2", b"{}"),
}


@pytest.mark.parametrize("case", BAD_REPLIES)
def test_replies_that_are_no_outcome(case: str) -> None:
    """A reply that may not be is an AssertionError."""
    with pytest.raises(AssertionError):
        parsed = parse_reply(BAD_REPLIES[case], at_end=True)
        assert parsed is not None
        judge_reply(parsed[0])


@pytest.mark.parametrize("case", ["answer", "error", "chunks"])
def test_a_reply_that_is_cut_is_none(case: str) -> None:
    """Of a reply whose end is missing nothing is made."""
    whole = {
        "answer": _reply(200, _JSON, b'{"a":1}'),
        "error": _reply(502, _JSON, ERROR),
        "chunks": b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    }[case]
    assert parse_reply(whole, at_end=True) is not None
    assert all(parse_reply(whole[:end], at_end=True) is None for end in range(len(whole)))


def _forget_record(judge: Judge) -> None:
    judge.server.observer.records.pop()


def _repeat_record(judge: Judge) -> None:
    judge.server.observer.records.append(judge.server.observer.records[0])


def _repeat_id(judge: Judge) -> None:
    _repeat_record(judge)
    judge.allow_unseen()


def _begin_attempt(judge: Judge) -> None:
    judge.server.runtime.observer.attempt_started("up")


def _take_slot(judge: Judge) -> None:
    judge.server.runtime.in_flight += 1


def _keep_place(judge: Judge) -> None:
    (place,) = judge.server.runtime.board._places.values()
    place.in_flight += 1


def _keep_permit(judge: Judge) -> None:
    breakers = judge.server.runtime.board.breakers
    assert isinstance(breakers, MemoryBreakers)
    breakers.rules = replace(breakers.rules, consecutive=1, open_ms=0)
    breakers.report("up/m", "fail")
    assert isinstance(breakers.acquire_now("up/m", 60.0), Permit)


def _keep_repetition(judge: Judge) -> None:
    judge.server.runtime.board.find_budget("m").take(0.0)


def _add_attempt(judge: Judge) -> None:
    observer = judge.server.observer
    observer.attempt_started("up")
    observer.attempt_ended(observer.attempts[0])


def _log_secret(judge: Judge) -> None:
    judge.secrets.append("planted words")
    logging.getLogger("llm_proxy.test").warning("planted words")


def _log_masked_words(judge: Judge) -> None:
    logging.getLogger("llm_proxy.test").warning(mask_keys(UPSTREAM_SECRET))


def _keep_cap_slot(judge: Judge) -> None:
    list_caps(judge.server.runtime.transports["up"])[0]._free -= 1


def _log_error(judge: Judge) -> None:
    logging.getLogger("llm_proxy.test").error("a fault of ours")


def _hide_id(judge: Judge) -> None:
    judge.secrets.append(judge.outcomes[0].request_id)


def _expect_one_who_left(judge: Judge) -> None:
    judge.expect_left()


HARM: dict[str, tuple[Callable[[Judge], None], str]] = {
    "no record": (_forget_record, "0 records of 1 requests"),
    "two records": (_repeat_record, "2 records of 1 requests"),
    "one id twice": (_repeat_id, "an id came twice"),
    "an attempt without an end": (_begin_attempt, "attempts begun"),
    "an attempt of no request": (_add_attempt, "in records"),
    "an attempt that its board still counts": (_keep_place, "attempt at up/m"),
    "a permit that is not given back": (_keep_permit, "permit of up/m"),
    "a repetition that the budget still counts": (_keep_repetition, "repetition of m"),
    "a slot that is not given back": (_take_slot, "in-flight slot"),
    "a slot of a connection cap that is not given back": (_keep_cap_slot, "slot of a connection"),
    "a secret in the log": (_log_secret, "in the log"),
    "an upstream's words in the log, masked": (_log_masked_words, "in the log"),
    "an error in the log": (_log_error, "faults of ours in the log"),
    "a secret in a record or header": (_hide_id, "in a record"),
    "nobody left": (_expect_one_who_left, "1 records of 2 requests"),
}


@pytest.mark.parametrize("case", HARM)
async def test_harm_is_seen(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong behind good answers fails the block, with its reason."""
    monkeypatch.setattr("tests.faults.oracle.WITHIN_S", 0.1)
    harm, reason = HARM[case]
    async with open_raw_upstream(answering(ANSWER)) as up:
        with pytest.raises(AssertionError, match=reason):
            async with judging(proxying(up.url, pool=PoolLimits(max_connections=9))) as judge:
                await judge.ask()
                harm(judge)


async def test_a_task_that_runs_on_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task of the product that outlives its request fails the block."""
    monkeypatch.setattr("tests.faults.oracle.WITHIN_S", 0.1)
    task = None
    async with open_raw_upstream(answering(ANSWER)) as up:
        with pytest.raises(AssertionError, match="still held"):
            async with judging(proxying(up.url)) as judge:
                await judge.ask()
                task = asyncio.create_task(asyncio.Event().wait())
    assert task is not None
    task.cancel()


@pytest.mark.parametrize("text", ["tag-00000009 tag-00000001", "tag-00000009"])
async def test_bytes_of_another_answer_are_seen(text: str) -> None:
    """A tag that is not the request's own, alone or beside it, fails the block."""
    async with open_raw_upstream(Recorder(build_chunk(text), FINISH, DONE)) as up:
        with pytest.raises(AssertionError, match="tag-00000009"):
            async with judging(proxying(up.url)) as judge:
                await judge.ask(stream=True)


async def test_bytes_of_another_provider_are_seen() -> None:
    """A tag with the number of a provider that has not answered fails the block."""
    script = Recorder(build_chunk("tag-20000001"), FINISH, DONE)
    async with open_raw_upstream(script) as up:
        with pytest.raises(AssertionError, match="bytes of b as an answer of up"):
            async with judging(proxying(up.url)) as judge:
                await judge.ask(stream=True)
