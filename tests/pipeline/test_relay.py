"""What the client gets of an answer: untouched if good, never complete-looking if it broke."""

import asyncio

import aiohttp
import msgspec
import pytest

from proxy.domain.settings import Clocks
from tests.fakes.proxy_server import (
    ANSWER,
    AUTH,
    DONE,
    USAGE,
    build_chat,
    build_chunk,
    proxying,
)
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.upstream_scripts import Recorder, answering, post

pytestmark = pytest.mark.usefixtures("no_leaks")

HELLO = [build_chunk("he"), build_chunk("llo"), build_chunk(finish="stop")]

USAGE_EVENT = (
    b"data: " + msgspec.json.encode({"id": "chatcmpl-1", "choices": [], "usage": USAGE}) + b"\n\n"
)


async def test_a_json_answer_passes_untouched() -> None:
    """The provider's JSON reaches the client byte for byte, with our headers, none of its own."""
    script = answering(ANSWER)
    script.extra = "Set-Cookie: a=b\r\nx-request-id: theirs\r\n"
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        status, headers, body = await post(server.url, build_chat())
        assert status == 200
        assert body == script.chunks[0]
        assert headers["Content-Type"] == "application/json"
        assert headers["x-request-id"].startswith("req_")
        assert headers["x-llm-proxy-model"] == "m"
        assert headers["x-llm-proxy-provider"] == "up"
        assert headers["x-llm-proxy-attempts"] == "1"
        assert headers["x-llm-proxy-reason"] == "only"
        assert "Set-Cookie" not in headers
        (record,) = await server.observer.wait_for_records()
        assert (record.status, record.ending, record.usage.total_tokens) == (200, "completed", 5)  # type: ignore[union-attr]
        assert record.request_id == headers["x-request-id"]
        assert [attempt.outcome for attempt in record.attempts] == ["ok"]


async def test_a_stream_passes_untouched_and_usage_is_kept_from_who_did_not_ask() -> None:
    """Events reach the client byte for byte; the usage chunk, always asked for, stays here."""
    script = Recorder(*HELLO, USAGE_EVENT, DONE)
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        status, headers, body = await post(server.url, build_chat(stream=True))
        assert status == 200
        assert body == b"".join([*HELLO, DONE])
        assert headers["Content-Type"].startswith("text/event-stream")
        assert headers["Cache-Control"] == "no-cache, no-transform"
        assert headers["X-Accel-Buffering"] == "no"
        assert script.body()["stream_options"] == {"include_usage": True}
        (record,) = await server.observer.wait_for_records()
        assert record.usage is not None
        assert record.usage.total_tokens == 5
        assert record.ttft_s is not None


async def test_a_client_that_asks_for_usage_gets_it() -> None:
    """With `include_usage` the usage chunk passes, and the client's other options go up."""
    script = Recorder(*HELLO, USAGE_EVENT, DONE)
    options = {"include_usage": True, "include_obfuscation": False}
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        _, _, body = await post(server.url, build_chat(stream=True, stream_options=options))
    assert body == b"".join([*HELLO, USAGE_EVENT, DONE])
    assert script.body()["stream_options"] == options


async def test_a_missing_done_is_supplied_after_a_finish() -> None:
    """A stream that ends after its finish reason without `[DONE]` gets its `[DONE]`."""
    async with open_raw_upstream(Recorder(*HELLO)) as upstream, proxying(upstream.url) as server:
        status, _, body = await post(server.url, build_chat(stream=True))
    assert (status, body) == (200, b"".join([*HELLO, DONE]))


BROKEN_AFTER_CONTENT = {
    "clean end": ([build_chunk("he")], "upstream_truncated"),
    "malformed": ([build_chunk("he"), b"data: {oops\n\n", DONE], "upstream_protocol_error"),
    "error event": (
        [build_chunk("he"), b'data: {"error":{"message":"secret words","code":500}}\n\n', DONE],
        "upstream_server_error",
    ),
    "the client's error": (
        [
            build_chunk("he"),
            b'data: {"error":{"message":"secret words","param":"secret words","code":400,'
            b'"type":"invalid_request_error"}}\n\n',
        ],
        None,
    ),
    "one of two choices": (
        [
            build_chunk("he"),
            build_chunk(choices=[{"index": 1, "delta": {"content": "x"}, "finish_reason": None}]),
            build_chunk(finish="stop"),
            DONE,
        ],
        "upstream_truncated",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_AFTER_CONTENT)
async def test_a_stream_that_breaks_after_content_never_looks_complete(case: str) -> None:
    """It ends with one error event in OpenAI's shape, no `[DONE]`, none of the provider's words."""
    chunks, code = BROKEN_AFTER_CONTENT[case]
    async with open_raw_upstream(Recorder(*chunks)) as upstream, proxying(upstream.url) as server:
        status, _, body = await post(server.url, build_chat(stream=True))
        assert status == 200
        assert body.startswith(build_chunk("he"))
        last = msgspec.json.decode(body.rstrip().rpartition(b"\n\n")[2].removeprefix(b"data: "))
        assert last["error"].keys() == {"message", "type", "param", "code"}
        assert last["error"]["code"] == code
        assert b"[DONE]" not in body
        assert b"secret words" not in body
        (record,) = await server.observer.wait_for_records()
        assert (record.ending, record.status) == ("failed", 200)
        assert record.error_code == (code or "upstream_rejected")
        assert record.usage is not None
        assert (record.usage.output_tokens, record.usage.source) == (1, "estimated")


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_cut_stream_ends_with_an_error(how: str) -> None:
    """A connection that breaks after content ends in `upstream_disconnected`, without `[DONE]`."""
    sent = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(build_chunk("he"))
        await sent.wait()
        connection.reset() if how == "reset" else connection.close()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url) as server,
        aiohttp.ClientSession() as session,
        session.post(
            server.url + "/chat/completions", json=build_chat(stream=True), headers=AUTH
        ) as answer,
    ):
        first = await answer.content.readany()
        sent.set()
        body = first + await answer.read()
    assert b"upstream_disconnected" in body
    assert b"[DONE]" not in body


async def test_a_stalled_stream_ends_with_an_error() -> None:
    """Silence after content, comments or not, runs into the idle clock."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(build_chunk("he"))
        for _ in range(3):
            await connection.chunk(b": still here\n\n")
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, clocks=Clocks(idle_s=0.1)) as server,
    ):
        status, _, body = await post(server.url, build_chat(stream=True))
        await upstream.connections[0].wait_closed()
    assert status == 200
    assert b"upstream_stalled" in body
    assert b"[DONE]" not in body


async def test_an_error_after_signs_of_life_is_told_in_the_stream() -> None:
    """Once headers have gone out for silence, a failure is an error event without `[DONE]`."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(
            upstream.url, clocks=Clocks(first_token_s=0.2), commit_delay_s=0.02, keep_alive_s=0.02
        ) as server,
    ):
        status, _, body = await post(server.url, build_chat(stream=True))
    assert status == 200
    assert b"upstream_first_token_timeout" in body
    assert b"[DONE]" not in body
