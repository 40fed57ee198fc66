"""Rows U18, U19, U21 to U27, U30 to U32 and U40: what a head and its first words can be."""

import asyncio
from typing import Any

import msgspec
import pytest

from proxy.domain.settings import Clocks
from tests.fakes.proxy_server import proxying
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.faults.fault_upstream import (
    BAD_HEADS,
    CONTENT,
    FINISH,
    build_answer,
    build_good,
    build_json,
    build_reply,
    build_secret_error,
    build_stream,
    flood,
    judging_faults,
    open_canary,
    tell,
)
from tests.faults.oracle import UPSTREAM_SECRET, judging
from tests.faults.pre_content import ERRORS_INSIDE_200, REFUSALS

pytestmark = pytest.mark.both_transports

both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])


async def test_u18_json_where_a_stream_was_asked() -> None:
    """U18: a whole answer in place of a stream becomes one: content, finish, `[DONE]`."""
    async with judging_faults(tell(build_json())) as (judge, _):
        outcome = await judge.ask(stream=True)
        record = await judge.read_record(outcome)
    assert outcome.verdict == ("answer", 200, None)
    assert outcome.text.endswith("says hello")
    assert len(outcome.tags) == 1
    assert outcome.chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert record.usage is not None
    assert (record.usage.output_tokens, record.usage.source) == (2, "reported")


@pytest.mark.parametrize("media_type", ["text/html", "text/plain", "image/png"])
@pytest.mark.parametrize("size_bytes", [100, 200_000])
async def test_u18_a_page_where_a_stream_was_asked(media_type: str, size_bytes: int) -> None:
    """U18: HTML and the like in place of a stream: 502, however long, and none of its words."""
    page = f"<html>{UPSTREAM_SECRET}".encode() + b"x" * size_bytes
    async with judging_faults(tell(build_reply(page, media_type))) as (judge, _):
        outcome = await judge.ask(stream=True)
    assert outcome.verdict == ("refused", 502, "upstream_protocol_error")


async def test_u18_an_endless_page_is_not_read() -> None:
    """U18: a page without an end is dropped at once, and so is its connection."""
    head = build_reply(b"<html>", "text/html", "close")
    async with judging_faults(flood(head, b"words ")) as (judge, _):
        async with asyncio.timeout(5.0):
            outcome = await judge.ask(stream=True)
            assert outcome.verdict == ("refused", 502, "upstream_protocol_error")


@pytest.mark.parametrize("media_type", ["text/html", "text/event-stream"])
async def test_u18_no_json_where_json_was_asked(media_type: str) -> None:
    """U18: a page or a stream in place of JSON: 502."""
    page = UPSTREAM_SECRET.encode()
    async with judging_faults(tell(build_reply(page, media_type))) as (judge, _):
        outcome = await judge.ask()
    assert outcome.verdict == ("refused", 502, "upstream_protocol_error")


@both
@pytest.mark.parametrize("case", ERRORS_INSIDE_200)
async def test_u19_an_error_with_status_200(case: str, stream: bool) -> None:
    """U19: an error object with status 200 is the status that it stands for."""
    value, status, code = ERRORS_INSIDE_200[case]
    async with judging_faults(tell(build_json(value))) as (judge, _):
        outcome = await judge.ask(stream=stream)
    assert outcome.verdict == ("refused", status, code)


@pytest.mark.parametrize("case", ERRORS_INSIDE_200)
@pytest.mark.parametrize("name", [b"", b"event: error\n"])
async def test_u19_an_error_as_first_event(case: str, name: bytes) -> None:
    """U19: an error as the first event is a status too, whether the event is named or not."""
    value, status, code = ERRORS_INSIDE_200[case]
    event = name + b"data: " + msgspec.json.encode(value) + b"\n\n"
    async with judging_faults(tell(build_stream([event, CONTENT, FINISH]))) as (judge, _):
        outcome = await judge.ask(stream=True)
    assert outcome.verdict == ("refused", status, code)


@both
@pytest.mark.parametrize("case", REFUSALS)
async def test_u21_to_u26_a_provider_refuses(case: str, stream: bool) -> None:
    """U21 to U26: an error status becomes ours, and nothing of the provider's words is told."""
    sent, fields, status, code = REFUSALS[case]
    data = build_json(build_secret_error(**fields), "length", sent, "Retry-After: 7")
    async with judging_faults(tell(data)) as (judge, _):
        outcome = await judge.ask(stream=stream)
    assert outcome.verdict == ("refused", status, code)
    if status in (429, 503):
        assert outcome.reply.headers["retry-after"] == "7"


@both
async def test_u27_the_clients_mistake(stream: bool) -> None:
    """U27: a context that is too long is a 400 in the provider's words, which no log holds."""
    words = "This model's maximum context length is 16 tokens."
    value = build_secret_error(words, code="context_length_exceeded", param="messages")
    async with judging_faults(tell(build_json(value, "length", 400))) as (judge, _):
        outcome = await judge.ask(stream=stream)
    assert outcome.verdict == ("refused", 400, "context_length_exceeded")
    assert outcome.error["message"] == words
    assert outcome.error["param"] == "messages"
    assert words not in str(judge.log_lines)


@both
@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_u30_redirects_are_not_followed(status: int, stream: bool) -> None:
    """U30: a redirect is 502, and nobody connects to where it leads."""
    async with open_canary() as (port, seen):
        data = build_json({}, "length", status, f"Location: http://127.0.0.1:{port}/v1/x")
        async with judging_faults(tell(data)) as (judge, script):
            outcome = await judge.ask(stream=stream)
            assert len(script.requests) == 1
        assert seen == []
    assert outcome.verdict == ("refused", 502, "upstream_redirect")


@both
@pytest.mark.parametrize("case", BAD_HEADS)
async def test_u31_bad_heads(case: str, stream: bool) -> None:
    """U31: a head that is too much or no HTTP is 502, and its connection is closed."""
    async with judging_faults(tell(BAD_HEADS[case])) as (judge, script):
        outcome = await judge.ask(stream=stream)
        async with asyncio.timeout(5.0):
            await script.connections[0].wait_closed()
    assert outcome.verdict == ("refused", 502, "upstream_protocol_error")


@both
@pytest.mark.parametrize("status", [100, 102, 103])
async def test_u31_a_few_interim_answers(status: int, stream: bool) -> None:
    """U31: interim answers before the final one are passed over, as many as make sense."""
    interim = f"HTTP/1.1 {status} Early\r\nLink: </x>\r\n\r\n".encode() * 5
    async with judging_faults(tell(interim + build_good(stream))) as (judge, _):
        outcome = await judge.ask(stream=stream)
    assert outcome.verdict == ("answer", 200, None)


@both
async def test_u32_bytes_while_nobody_asks(stream: bool) -> None:
    """U32: an answer that comes on an idle connection is never anybody's."""
    good = build_good(stream)
    evil = build_json(build_answer("tag-66666666 evil"))
    is_answered, is_told = asyncio.Event(), asyncio.Event()

    async def tell_later(connection: UpstreamConnection, tag: bytes) -> None:
        await tell(good)(connection, tag)
        await is_answered.wait()
        await connection.write(evil)
        is_told.set()

    async with judging_faults(tell_later, tell(good)) as (judge, script):
        assert (await judge.ask(stream=stream)).kind == "answer"
        is_answered.set()
        await is_told.wait()
        for _ in range(10):
            await asyncio.sleep(0)  # what has been written is read within a turn or two
        outcome = await judge.ask(stream=stream)
        assert len(script.connections) == 2
    assert outcome.kind == "answer"
    assert b"evil" not in outcome.reply.body


@both
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_u32_bytes_behind_the_answer(stream: bool, framing: Any) -> None:
    """U32: a second answer behind the first is never anybody's: the connection is dropped."""
    good = build_stream(framing=framing) if stream else build_json(framing=framing)
    evil = build_json(build_answer("tag-66666666 evil"))
    async with judging_faults(tell(good + evil), tell(good)) as (judge, script):
        for _ in range(2):
            outcome = await judge.ask(stream=stream)
            assert outcome.kind == "answer"
            assert b"evil" not in outcome.reply.body
        assert len(script.connections) == 2


@both
@pytest.mark.parametrize("closes", [True, False])
async def test_u40_refused_while_we_still_upload(stream: bool, closes: bool) -> None:
    """U40: an early 413 in the middle of our upload is read and told, and the upload stops."""
    words = "Too long, stop."
    early = build_json(build_secret_error(words, code="too_long"), "length", 413)
    is_told = asyncio.Event()
    size_bytes = 16_000_000

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_head()
        await connection.write(early)
        if closes:
            connection.close()
        await is_told.wait()
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        judging(proxying(upstream.url, clocks=Clocks(headers_s=5.0, answer_s=5.0))) as judge,
    ):
        outcome = await judge.ask(stream=stream, user="x" * size_bytes)
        is_told.set()
        async with asyncio.timeout(5.0):
            await upstream.connections[0].wait_closed()
        assert upstream.connections[0].watched_bytes < size_bytes
    assert outcome.verdict == ("refused", 413, "too_long")
    assert outcome.error["message"] == words


@both
async def test_answers_carry_their_own_tag(stream: bool) -> None:
    """Fifty requests at once: each gets the answer that was made for it, and no other."""
    async with judging_faults(tell(build_good(stream))) as (judge, _):
        outcomes = await asyncio.gather(*[judge.ask(stream=stream) for _ in range(50)])
    assert {outcome.kind for outcome in outcomes} == {"answer"}
    assert len({tag for outcome in outcomes for tag in outcome.tags}) == 50
