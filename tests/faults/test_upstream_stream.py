"""Rows U6 to U15, U17, U20 and U35: a body that breaks, stalls, goes on for ever or is odd."""

import asyncio
import re
from collections.abc import Sequence

import msgspec
import pytest

from proxy.domain.settings import Clocks
from tests.fakes.proxy_server import DONE, build_chunk
from tests.faults.fault_upstream import (
    CONTENT,
    EVENT_FAULTS,
    FINISH,
    GOOD_EVENTS,
    MORE,
    ROLE,
    Framing,
    build_answer,
    build_json,
    build_reply,
    build_stream,
    cut,
    drip,
    flood,
    judging_faults,
    reset,
    split,
    stall,
    tell,
)

pytestmark = pytest.mark.both_transports

HASTY = Clocks(first_token_s=0.1, answer_s=0.1)
HASTY_BEHIND_CONTENT = Clocks(idle_s=0.1)
COMMENT = b": still here\n\n"

before_content = pytest.mark.parametrize("events", [0, 1])
after_content = pytest.mark.parametrize("events", [2, 3])


def _length_until(event: int) -> int:
    """Return how many bytes of a close-delimited good stream come before an event."""
    return len(build_stream(GOOD_EVENTS[:event], "close"))


def _until(event: int, framing: Framing) -> tuple[bytes, int]:
    """Return a good stream and how many bytes of it come before an event, whatever its framing."""
    whole, next_event = build_stream(framing=framing), GOOD_EVENTS[event]
    size = b"%x\r\n" % (len(next_event) - 1) if framing == "chunked" else b""
    return whole, whole.index(size + next_event.rstrip())


@before_content
async def test_u6_silence_before_content(events: int) -> None:
    """U6: a head and then no content within the first token's clock: 504, nothing kept open."""
    deed = stall(build_stream(GOOD_EVENTS[:events], "close"))
    async with judging_faults(deed, clocks=HASTY) as (judge, script):
        async with asyncio.timeout(10.0):
            outcome = await judge.ask(stream=True)
            await script.connections[0].wait_closed()
    assert outcome.verdict == ("refused", 504, "upstream_first_token_timeout")


@pytest.mark.parametrize("missing_bytes", [1, 100])
async def test_u6_silence_in_a_whole_answer(missing_bytes: int) -> None:
    """U6: a JSON body that does not become whole within its clock: 504."""
    async with judging_faults(stall(build_json(), -missing_bytes), clocks=HASTY) as (judge, script):
        async with asyncio.timeout(10.0):
            outcome = await judge.ask()
            await script.connections[0].wait_closed()
    assert outcome.verdict == ("refused", 504, "upstream_answer_timeout")


async def test_u6_comments_are_no_content() -> None:
    """U6: comments without end do not hold the first token's clock up."""
    deed = flood(build_stream([ROLE], "close"), COMMENT)
    async with judging_faults(deed, clocks=HASTY) as (judge, _):
        async with asyncio.timeout(10.0):
            outcome = await judge.ask(stream=True)
    assert outcome.verdict == ("refused", 504, "upstream_first_token_timeout")


@before_content
async def test_u6_a_failure_behind_signs_of_life(events: int) -> None:
    """U6: once comments have gone out the status has too: the failure is told in the stream."""
    deed = stall(build_stream(GOOD_EVENTS[:events], "close"))
    clocks = Clocks(first_token_s=0.3)
    async with judging_faults(deed, clocks=clocks, commit_delay_s=0.05, keep_alive_s=0.05) as (
        judge,
        _,
    ):
        outcome = await judge.ask(stream=True)
    assert outcome.verdict == ("broken", 200, "upstream_first_token_timeout")
    assert outcome.reply.body.startswith(b": keep-alive\n\n")
    assert outcome.chunks == []


@after_content
@pytest.mark.parametrize("framing", ["chunked", "length"])
async def test_u7_reset_after_content(events: int, framing: Framing) -> None:
    """U7: a reset behind content is told in the stream; what was delivered is estimated."""
    async with judging_faults(reset(*_until(events, framing))) as (judge, script):
        outcome = await judge.ask(stream=True)
        record = await judge.read_record(outcome)
        assert len(script.requests) == 1
    assert outcome.verdict == ("broken", 200, "upstream_disconnected")
    assert len(outcome.tags) == 1
    assert record.usage is not None
    assert record.usage.source == "estimated"
    assert record.usage.output_tokens == -(-len(outcome.text.encode()) // 4)


@after_content
async def test_u7_reset_of_a_body_without_an_announced_end(
    events: int, transport_kind: str
) -> None:
    """U7: also where only the close ends a body; to aiohttp a reset is one more close."""
    async with judging_faults(reset(build_stream(GOOD_EVENTS[:events], "close"))) as (judge, _):
        outcome = await judge.ask(stream=True)
    code = "upstream_truncated" if transport_kind == "aiohttp" else "upstream_disconnected"
    assert outcome.verdict == ("broken", 200, code)


@after_content
async def test_u8_stall_after_content(events: int) -> None:
    """U8: no event within the idle clock: told in the stream, and the provider is let go of."""
    deed = stall(build_stream(GOOD_EVENTS[:events], "close"))
    async with judging_faults(deed, clocks=HASTY_BEHIND_CONTENT) as (judge, script):
        async with asyncio.timeout(10.0):
            outcome = await judge.ask(stream=True)
            await script.connections[0].wait_closed()
    assert outcome.verdict == ("broken", 200, "upstream_stalled")
    assert len(outcome.tags) == 1


async def test_u9_drip_after_content() -> None:
    """U9: bytes that never become an event do not hold the idle clock up."""
    long = build_stream([*GOOD_EVENTS[:2], build_chunk("slow " * 100)], "close")
    deed = drip(long, _length_until(2), 0.01)
    async with judging_faults(deed, clocks=HASTY_BEHIND_CONTENT) as (judge, _):
        async with asyncio.timeout(10.0):
            outcome = await judge.ask(stream=True)
    assert outcome.verdict == ("broken", 200, "upstream_stalled")
    assert "slow" not in outcome.text


async def test_u9_drip_before_content() -> None:
    """U9: bytes that never become content do not hold the first token's clock up."""
    deed = drip(build_stream(), len(build_stream([])), 0.01)
    async with judging_faults(deed, clocks=HASTY) as (judge, _):
        async with asyncio.timeout(10.0):
            outcome = await judge.ask(stream=True)
    assert outcome.verdict == ("refused", 504, "upstream_first_token_timeout")


async def test_u9_comments_are_no_events() -> None:
    """U9: comments without end do not hold the idle clock up, nor do they reach the client."""
    deed = flood(build_stream(GOOD_EVENTS[:2], "close"), COMMENT)
    async with judging_faults(deed, clocks=HASTY_BEHIND_CONTENT) as (judge, _):
        async with asyncio.timeout(10.0):
            outcome = await judge.ask(stream=True)
    assert outcome.verdict == ("broken", 200, "upstream_stalled")
    assert b"still here" not in outcome.reply.body


@before_content
async def test_u10_end_before_content(events: int) -> None:
    """U10: a body that ends cleanly before any content: 502."""
    deed = cut(build_stream(GOOD_EVENTS[:events], "close"))
    async with judging_faults(deed) as (judge, _):
        outcome = await judge.ask(stream=True)
    assert outcome.verdict == ("refused", 502, "upstream_truncated")


@after_content
@pytest.mark.parametrize("framing", ["close", "chunked", "length"])
async def test_u10_end_before_the_finish(events: int, framing: Framing) -> None:
    """U10: a body that ends cleanly behind content and before its finish: told in the stream."""
    data = build_reply(b"".join(GOOD_EVENTS[:events]), "text/event-stream", framing)
    async with judging_faults(cut(data)) as (judge, _):
        outcome = await judge.ask(stream=True)
    assert outcome.verdict == ("broken", 200, "upstream_truncated")


@pytest.mark.parametrize("framing", ["close", "chunked", "length"])
async def test_u10_end_behind_the_finish(framing: Framing) -> None:
    """U10 as amended: behind every finish reason only `[DONE]` is missing, and we supply it."""
    data = build_reply(b"".join(GOOD_EVENTS[:4]), "text/event-stream", framing)
    async with judging_faults(cut(data)) as (judge, _):
        outcome = await judge.ask(stream=True)
    assert outcome.verdict == ("answer", 200, None)


async def test_u10_done_alone_is_no_content() -> None:
    """U10: `[DONE]` without any content is a truncation; behind content it is an end."""
    for spoilt, kind in ([DONE], "refused"), ([ROLE, DONE], "refused"), ([CONTENT, DONE], "answer"):
        async with judging_faults(tell(build_stream(spoilt))) as (judge, _):
            assert (await judge.ask(stream=True)).kind == kind


@pytest.mark.parametrize("framing", ["chunked", "length"])
@pytest.mark.parametrize(("events", "kind"), [(1, "refused"), (2, "broken"), (3, "broken")])
async def test_u11_framing_cut_short(framing: Framing, events: int, kind: str) -> None:
    """U11: chunks without their end, or less than the Content-Length: as a reset."""
    async with judging_faults(cut(*_until(events, framing))) as (judge, _):
        outcome = await judge.ask(stream=True)
    assert (outcome.kind, outcome.code) == (kind, "upstream_disconnected")


@pytest.mark.parametrize("framing", ["chunked", "length"])
async def test_u11_a_whole_answer_cut_short(framing: Framing) -> None:
    """U11: a JSON body that is shorter than its framing says: 502."""
    data = build_json(framing=framing)
    async with judging_faults(cut(data, -10)) as (judge, _):
        outcome = await judge.ask()
    assert outcome.verdict == ("refused", 502, "upstream_disconnected")


@pytest.mark.parametrize("fault", ["junk as event", "invalid utf-8 outside strings"])
@pytest.mark.parametrize("n", [0, 1, 2, 3])
async def test_u12_malformed_events(fault: str, n: int) -> None:
    """U12: an event that is no JSON: 502 before content, told in the stream behind it."""
    data = build_stream(EVENT_FAULTS[fault](GOOD_EVENTS, n))
    async with judging_faults(tell(data)) as (judge, _):
        outcome = await judge.ask(stream=True)
    kind, status = ("refused", 502) if n < 2 else ("broken", 200)
    assert outcome.verdict == (kind, status, "upstream_protocol_error")
    assert b"oops" not in outcome.reply.body
    assert "oops" not in str(judge.log_lines)


@pytest.mark.parametrize("body", [b"", b"{oops", b"[1]", b"null", b"{}", b'{"choices": 5}'])
async def test_u12_a_malformed_whole_answer(body: bytes) -> None:
    """U12: a JSON body that is none, or no answer: 502, and nothing of it is told."""
    async with judging_faults(tell(build_reply(body, "application/json"))) as (judge, _):
        outcome = await judge.ask()
    assert outcome.verdict == ("refused", 502, "upstream_protocol_error")


_PLAIN = b"".join(GOOD_EVENTS)
_CHUNKS = [msgspec.json.decode(event.removeprefix(b"data: ")) for event in GOOD_EVENTS[:-1]]
_ASK_USAGE = {"include_usage": True}
WRITINGS = {
    "lf": _PLAIN,
    "crlf": _PLAIN.replace(b"\n", b"\r\n"),
    "cr": _PLAIN.replace(b"\n", b"\r"),
    "byte order mark": b"\xef\xbb\xbf" + _PLAIN,
    "comments": b": first\n\n" + _PLAIN.replace(b"data: ", b": again\ndata: "),
    "other fields": _PLAIN.replace(b"data: ", b"id: 7\nretry: 10\nevent: message\ndata: "),
    "no blank": _PLAIN.replace(b"data: ", b"data:"),
    "several lines": _PLAIN.replace(b'"choices"', b'\ndata: "choices"'),
    "blank lines": b"\n\n\n" + _PLAIN.replace(b"\n\n", b"\n\n\n\n"),
}


@pytest.mark.parametrize("writing", WRITINGS)
async def test_u13_every_writing_of_a_stream(writing: str) -> None:
    """U13: whatever the line ends and fields, also byte by byte, the client gets the same."""
    whole = build_reply(WRITINGS[writing], "text/event-stream", "length")
    async with judging_faults(tell(whole), split(whole)) as (judge, _):
        outcomes = [await judge.ask(stream=True, stream_options=_ASK_USAGE) for _ in range(2)]
    for outcome in outcomes:
        assert outcome.verdict == ("answer", 200, None)
        assert [*map(_drop_tag, outcome.chunks)] == [*map(_drop_tag, _CHUNKS)]
    assert len({tag for outcome in outcomes for tag in outcome.tags}) == 2


@pytest.mark.parametrize("n", [1, 2, 3])
async def test_u14_broken_text_is_mended(n: int) -> None:
    """U14: invalid UTF-8 within a string is replaced, and the record says so."""
    data = build_stream(EVENT_FAULTS["invalid utf-8 in a string"](GOOD_EVENTS, n))
    async with judging_faults(tell(data)) as (judge, _):
        outcome = await judge.ask(stream=True)
        record = await judge.read_record(outcome)
    assert outcome.verdict == ("answer", 200, None)
    assert "broken \ufffd" in outcome.text
    assert record.anomalies == ("utf8_replaced",)


async def test_u14_broken_text_of_a_whole_answer_is_mended() -> None:
    """U14: the same in a JSON answer."""
    data = build_json(build_answer("broken ?? text")).replace(b"??", b"\xff\xc3")
    async with judging_faults(tell(data)) as (judge, _):
        outcome = await judge.ask()
        record = await judge.read_record(outcome)
    assert outcome.verdict == ("answer", 200, None)
    assert "broken \ufffd" in outcome.text
    assert record.anomalies == ("utf8_replaced",)


@pytest.mark.parametrize("fault", ["oversize event", "oversize line"])
@pytest.mark.parametrize("n", [0, 1, 2, 3])
async def test_u15_an_event_above_the_cap(fault: str, n: int) -> None:
    """U15: an event above the cap: 502 before content, told in the stream behind it."""
    data = build_stream(EVENT_FAULTS[fault](GOOD_EVENTS, n), "close")
    async with judging_faults(stall(data), max_event_bytes=65_536) as (judge, script):
        outcome = await judge.ask(stream=True)
        async with asyncio.timeout(5.0):
            await script.connections[0].wait_closed()
    kind, status = ("refused", 502) if n < 2 else ("broken", 200)
    assert outcome.verdict == (kind, status, "upstream_too_large")
    assert len(outcome.reply.body) < 65_536


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
async def test_u15_a_whole_answer_above_the_cap(framing: Framing) -> None:
    """U15: a JSON answer above the cap: 502."""
    data = build_reply(b"[" * 100_000, "application/json", framing)
    async with judging_faults(cut(data), max_answer_bytes=65_536) as (judge, _):
        outcome = await judge.ask()
    assert outcome.verdict == ("refused", 502, "answer_too_large")


async def test_u15_an_endless_whole_answer() -> None:
    """U15: a JSON answer without an end is dropped at the cap, with its connection."""
    deed = flood(build_reply(b"[", "application/json", "close"), b"1,")
    async with judging_faults(deed, max_answer_bytes=65_536) as (judge, _):
        async with asyncio.timeout(5.0):
            outcome = await judge.ask()
    assert outcome.verdict == ("refused", 502, "answer_too_large")


async def test_u17_an_endless_stream_ends_at_the_cap() -> None:
    """U17 as amended: content without end is cut at `max_stream_bytes` and told so."""
    deed = flood(build_stream([CONTENT], "close"), MORE)
    async with judging_faults(deed, max_stream_bytes=200_000) as (judge, _):
        async with asyncio.timeout(5.0):
            outcome = await judge.ask(stream=True)
        record = await judge.read_record(outcome)
    assert outcome.verdict == ("broken", 200, "limit_exceeded")
    assert len(outcome.reply.body) < 201_000
    assert record.usage is not None
    assert record.usage.output_tokens > 0


async def test_u17_an_endless_stream_ends_with_its_clock() -> None:
    """U17 as amended: content without end is cut at the total clock."""
    data = build_stream([CONTENT, *[MORE] * 2000], "close")
    deed = drip(data, _length_until(2), 0.001)
    async with judging_faults(deed, clocks=Clocks(total_s=1.0)) as (judge, _):
        async with asyncio.timeout(10.0):
            outcome = await judge.ask(stream=True)
    assert outcome.verdict == ("broken", 200, "upstream_total_timeout")


@pytest.mark.parametrize("n", [2, 3])
async def test_u20_an_error_event_behind_content(n: int) -> None:
    """U20: an error in the middle becomes our own event, with none of the provider's words."""
    data = build_stream(EVENT_FAULTS["error as event"](GOOD_EVENTS, n))
    async with judging_faults(tell(data)) as (judge, _):
        outcome = await judge.ask(stream=True)
    assert outcome.verdict == ("broken", 200, "upstream_server_error")


@pytest.mark.parametrize("n", [1, 2])
async def test_a_repeated_event_is_passed_on(n: int) -> None:
    """An event that comes twice is the provider's text: the stream stays good."""
    data = build_stream(EVENT_FAULTS["duplicate event"](GOOD_EVENTS, n))
    async with judging_faults(tell(data)) as (judge, _):
        assert (await judge.ask(stream=True)).kind == "answer"


def _of_choice(index: int, event: bytes) -> bytes:
    return event.replace(b'"index":0', b'"index":%d' % index)


@pytest.mark.parametrize(
    ("ends", "kind"),
    [
        ([0, 1], "answer"),
        ([1, 0], "answer"),
        ([0], "broken"),
        ([1], "broken"),
    ],
)
@pytest.mark.parametrize("terminal", [[], [DONE]], ids=["cut", "done"])
async def test_u35_every_choice_must_finish(
    ends: Sequence[int], kind: str, terminal: list[bytes]
) -> None:
    """U35: of two interleaved choices one never finishes: a truncation, also with `[DONE]`."""
    events = [_of_choice(index, event) for event in (ROLE, CONTENT, MORE) for index in (0, 1)]
    events += [_of_choice(index, FINISH) for index in ends]
    async with judging_faults(tell(build_stream([*events, *terminal]))) as (judge, _):
        outcome = await judge.ask(stream=True, n=2)
    assert (outcome.kind, outcome.code) == (
        kind,
        None if kind == "answer" else "upstream_truncated",
    )


def _drop_tag(chunk: object) -> str:
    return re.sub("tag-[0-9]{8}", "", str(chunk))
