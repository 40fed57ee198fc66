"""A client of a stream hears of us before its provider has anything to show."""

import asyncio
import time
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.fakes.proxy_server import AUTH, DONE, build_chat, build_chunk, proxying
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.wire.response_events import START, said

pytestmark = pytest.mark.usefixtures("no_leaks")

PING = b'event: ping\ndata: {"type":"ping"}\n\n'


@pytest.mark.parametrize("silent_before_its_head", [True, False])
async def test_comments_come_from_dispatch_on_until_content(silent_before_its_head: bool) -> None:
    """Silence counts from dispatch, whether the provider holds its head or its content back."""
    seen = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        if silent_before_its_head:
            await seen.wait()
        await connection.start_chunked()
        await seen.wait()
        await connection.chunk(build_chunk("he") + build_chunk(finish="stop") + DONE)
        await connection.chunk(b"")
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, commit_delay_s=0.02, keep_alive_s=0.02) as server,
        aiohttp.ClientSession() as session,
        session.post(
            server.url + "/chat/completions", json=build_chat(stream=True), headers=AUTH
        ) as answer,
    ):
        assert answer.headers["x-llm-proxy-provider"] == "up"
        body = b""
        while body.count(b": keep-alive\n\n") < 3:
            body += await answer.content.readany()
        seen.set()
        body += await answer.read()
    good = build_chunk("he") + build_chunk(finish="stop") + DONE
    assert body.replace(b": keep-alive\n\n", b"") == good


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "cut"])
async def test_comments_go_on_while_a_stream_is_held(is_whole: bool) -> None:
    """The client of a buffered stream hears of us to its end; then come all of it or an error."""
    seen = asyncio.Event()
    went_on_at = 0.0

    async def script(connection: UpstreamConnection) -> None:
        nonlocal went_on_at
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(build_chunk("he"))
        await seen.wait()
        went_on_at = time.time()
        if is_whole:
            await connection.chunk(build_chunk(finish="stop") + DONE)
        await connection.chunk(b"")
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, commit_delay_s=0.02, keep_alive_s=0.02) as server,
        aiohttp.ClientSession() as session,
        session.post(
            server.url + "/chat/completions",
            json=build_chat(stream=True),
            headers={**AUTH, "x-llm-proxy-buffer": "true"},
        ) as answer,
    ):
        body = b""
        while body.count(b": keep-alive\n\n") < 3:
            body += await answer.content.readany()
        assert b"data:" not in body
        seen.set()
        body += await answer.read()
        (record,) = await server.observer.wait_for_records()
    told = body.replace(b": keep-alive\n\n", b"")
    if is_whole:
        assert told == build_chunk("he") + build_chunk(finish="stop") + DONE
        # Its time to the first token is the provider's, not that of the client.
        assert record.ttft_s is not None
        assert record.started_at + record.ttft_s < went_on_at
    else:
        assert told.count(b"data:") == 1
        assert b'"code":"upstream_truncated"' in told
        assert (record.ending, record.usage, record.ttft_s) == ("failed", None, None)


async def test_an_error_repeats_nothing_of_a_stream_that_was_held() -> None:
    """Its client has heard of no response: none has failed, and the error is the first event."""
    seen = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(START + said("he"))
        await seen.wait()
        await connection.chunk(b"")
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, commit_delay_s=0.02, keep_alive_s=0.02) as server,
        aiohttp.ClientSession() as session,
        session.post(
            server.url + "/responses",
            json={"model": "m", "input": "Hi", "stream": True},
            headers={**AUTH, "x-llm-proxy-buffer": "true"},
        ) as answer,
    ):
        body = await answer.content.readany()
        seen.set()
        body += await answer.read()
    told = body.replace(b": keep-alive\n\n", b"")
    assert told.startswith(b'event: error\ndata: {"type":"error","sequence_number":0,')
    assert told.count(b"event: ") == 1


async def test_a_json_answer_gets_no_comments() -> None:
    """Only streams are kept alive: a JSON answer keeps its status until it is known."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, commit_delay_s=0.01, request_timeout_s=0.1) as server,
        aiohttp.ClientSession() as session,
        session.post(server.url + "/chat/completions", json=build_chat(), headers=AUTH) as answer,
    ):
        assert answer.status == 504


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_anthropics_clients_get_pings(kind: str) -> None:
    """Before and between events, in the client's dialect, whether bytes pass or are translated."""
    seen, ended = asyncio.Event(), asyncio.Event()
    if kind == "openai":
        first, last = build_chunk("he"), build_chunk(finish="stop") + DONE
    else:
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
        usage = {"input_tokens": 1, "output_tokens": 1}
        text = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": "he"}
        stop = {"stop_reason": "end_turn", "stop_sequence": None}
        first = build_named("message_start", message={**message, "content": [], "usage": usage})
        first += build_named("content_block_start", index=0, content_block=text)
        first += build_named("content_block_delta", index=0, delta=delta)
        last = build_named("content_block_stop", index=0)
        last += build_named("message_delta", delta=stop, usage={"output_tokens": 1})
        last += build_named("message_stop")

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await seen.wait()
        await connection.chunk(first)
        await ended.wait()
        await connection.chunk(last)
        await connection.chunk(b"")
        await connection.watch()

    asked = {**build_chat(stream=True), "max_tokens": 9}
    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, type=kind, commit_delay_s=0.02, keep_alive_s=0.02) as server,
        aiohttp.ClientSession() as session,
        session.post(server.url + "/messages", json=asked, headers=AUTH) as answer,
    ):
        body = b""
        while body.count(PING) < 2:
            body += await answer.content.readany()
        assert body.replace(PING, b"") == b""
        seen.set()
        while b'"he"' not in body or not body.endswith(PING):
            body += await answer.content.readany()
        ended.set()
        body += await answer.read()
    assert b": keep-alive" not in body
    assert body.rstrip().endswith(b'{"type":"message_stop"}')


def build_named(name: str, **fields: Any) -> bytes:
    """Return one event as Anthropic sends it."""
    data = msgspec.json.encode({"type": name, **fields})
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
