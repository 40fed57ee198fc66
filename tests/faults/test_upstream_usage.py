"""Rows U33 and U34: token counts that are odd, missing, or told more than once."""

from typing import Any

import msgspec
import pytest

from proxy.domain.usage import Usage
from tests.fakes.proxy_server import DONE, build_chunk
from tests.faults.fault_upstream import (
    CONTENT,
    FINISH,
    MORE,
    ROLE,
    USAGE_EVENT,
    build_answer,
    build_json,
    build_stream,
    cut,
    judging_faults,
    tell,
)

pytestmark = pytest.mark.both_transports

both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
EVENTS = (ROLE, CONTENT, MORE, FINISH)


def _counts(prompt: Any, completion: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion}


def _answer(usages: list[Any], stream: bool) -> bytes:
    """Return a good answer with these usages; a whole one has room for the last only."""
    if not stream:
        value = build_answer()
        del value["usage"]
        return build_json({**value, **({"usage": usages[-1]} if usages else {})})
    events = [build_chunk(choices=[], usage=usage) for usage in usages]
    return build_stream([*EVENTS, *events, DONE])


INVALID: dict[str, Any] = {
    "negative": _counts(-1, 2),
    "huge": _counts(3, 10**18),
    "float": _counts(3.5, 2),
    "string": _counts("3", 2),
    "null": _counts(None, 2),
    "no output": _counts(3, None),
    "list": [3, 2],
    "text": "3 tokens",
}


@both
@pytest.mark.parametrize("case", INVALID)
async def test_u33_counts_that_nobody_can_bill_from(case: str, stream: bool) -> None:
    """U33: an invalid usage is set aside, estimated instead, and the record says so."""
    async with judging_faults(tell(_answer([INVALID[case]], stream))) as (judge, _):
        outcome = await judge.ask(stream=stream)
        record = await judge.read_record(outcome)
    assert outcome.kind == "answer"
    assert record.anomalies == ("usage_anomaly",)
    assert record.usage is not None
    assert record.usage.source == "estimated"
    assert record.usage.output_tokens == -(-len(outcome.text.encode()) // 4)


@both
async def test_u33_an_explicit_zero_is_zero(stream: bool) -> None:
    """U33: a provider that says 0 is believed."""
    async with judging_faults(tell(_answer([_counts(0, 0)], stream))) as (judge, _):
        record = await judge.read_record(await judge.ask(stream=stream))
    assert record.usage == Usage(0, 0, source="reported")
    assert record.anomalies == ()


@pytest.mark.parametrize("case", INVALID)
@pytest.mark.parametrize("is_last_valid", [True, False])
async def test_u33_the_last_valid_usage_wins(case: str, is_last_valid: bool) -> None:
    """U33: of several usages in a stream the last valid one counts, whatever else came."""
    usages = [_counts(9, 9), _counts(3, 2)]
    usages.insert(1 if is_last_valid else 2, INVALID[case])
    async with judging_faults(tell(_answer(usages, True))) as (judge, _):
        record = await judge.read_record(await judge.ask(stream=True))
    assert record.usage == Usage(3, 2, source="reported")
    assert record.anomalies == ("usage_anomaly",)


@both
async def test_u34_no_usage_is_estimated(stream: bool) -> None:
    """U34: a provider that counts nothing: estimated from the bytes on both sides."""
    async with judging_faults(tell(_answer([], stream))) as (judge, _):
        outcome = await judge.ask(stream=stream)
        record = await judge.read_record(outcome)
    assert record.usage is not None
    assert record.usage.source == "estimated"
    assert record.usage.input_tokens > 5
    assert record.usage.output_tokens == -(-len(outcome.text.encode()) // 4)
    assert record.anomalies == ()


@pytest.mark.parametrize("events", [1, 20])
async def test_u34_a_report_before_the_cut_is_not_the_whole(events: int) -> None:
    """U34: what a provider said after its last report, and before it broke off, is estimated."""
    report = build_chunk("a", usage=_counts(5, 1))
    later = [build_chunk("some words ")] * events
    async with judging_faults(cut(build_stream([report, *later], "close"))) as (judge, _):
        outcome = await judge.ask(stream=True)
        record = await judge.read_record(outcome)
    outputs = -(-len(outcome.text.encode()) // 4)
    assert record.usage == Usage(5, outputs, source="estimated")


async def test_u34_a_report_with_the_last_words_stands() -> None:
    """U34: a provider that counts as it goes has counted all there was, though it broke off."""
    events = [build_chunk("some words ", usage=_counts(5, n)) for n in (1, 2)]
    async with judging_faults(cut(build_stream(events, "close"))) as (judge, _):
        outcome = await judge.ask(stream=True)
        record = await judge.read_record(outcome)
    assert outcome.kind == "broken"
    assert record.usage == Usage(5, 2, source="reported")


async def test_u34_usage_is_asked_for_and_kept_to_ourselves() -> None:
    """U34: usage is always asked for upstream; a client that did not ask gets none."""
    async with judging_faults(tell(build_stream())) as (judge, script):
        plain = await judge.ask(stream=True)
        asked = await judge.ask(stream=True, stream_options={"include_usage": True})
        record = await judge.read_record(plain)
        bodies = [msgspec.json.decode(body) for _, _, body in script.requests]
    assert [body["stream_options"] for body in bodies] == [{"include_usage": True}] * 2
    assert b"usage" not in plain.reply.body
    assert asked.chunks[-1]["usage"] == msgspec.json.decode(USAGE_EVENT[6:])["usage"]
    assert record.usage == Usage(3, 2, source="reported")


@both
async def test_nothing_is_consumed_where_nothing_was_answered(stream: bool) -> None:
    """A provider that refuses has delivered nothing: no usage at all."""
    async with judging_faults(tell(build_json({}, "length", 500))) as (judge, _):
        record = await judge.read_record(await judge.ask(stream=stream))
    assert record.usage is None
