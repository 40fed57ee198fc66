"""A stream between provider and client: flow control, endings, and its connection."""

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest

from proxy.domain.settings import Clocks
from proxy.domain.usage import Usage
from proxy.pipeline import stream_answer
from proxy.providers.openai_format import OpenAIFormat
from proxy.wire.base import Ask, StreamReader
from tests.fakes.proxy_server import (
    AUTH,
    DONE,
    USAGE,
    build_chat,
    build_chunk,
    build_provider,
    build_snapshot,
    proxying,
    serving,
)
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.upstream_scripts import Recorder, post

pytestmark = pytest.mark.usefixtures("no_leaks")

LONG = build_chunk("x" * 16_000)
WHOLE = build_chunk("he") + build_chunk(finish="stop") + DONE
BUFFERED = {"x-llm-proxy-buffer": "true"}


async def test_a_client_that_does_not_read_holds_the_provider_up() -> None:
    """A stalled reader stops the upstream; when it reads on, everything comes in order."""
    events = 4000
    sent = 0

    async def script(connection: UpstreamConnection) -> None:
        nonlocal sent
        await connection.read_request()
        await connection.start_chunked()
        for _ in range(events):
            await connection.chunk(LONG)
            sent += 1
        await connection.chunk(build_chunk(finish="stop") + DONE)
        await connection.chunk(b"")
        await connection.watch()

    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 16)
        body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nAuthorization: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (AUTH["Authorization"].encode(), len(body), body)
        )
        await reader.readuntil(b"\r\n\r\n")
        stalled_at, quiet_turns = -1, 0
        while quiet_turns < 500:
            await asyncio.sleep(0)
            quiet_turns = quiet_turns + 1 if sent == stalled_at else 0
            stalled_at = sent
        assert sent < events
        received = await reader.read(-1)
        writer.close()
        assert received.count(b"x" * 16_000) == events
        assert b"[DONE]" in received
        (record,) = await server.observer.wait_for_records()
        assert record.ending == "completed"


async def test_a_finished_stream_gives_its_connection_back() -> None:
    """After `[DONE]` the provider's connection serves the next request."""

    async def script(connection: UpstreamConnection) -> None:
        while True:
            await connection.read_request()
            await connection.start_chunked()
            await connection.chunk(build_chunk("he") + build_chunk(finish="stop") + DONE)
            await connection.chunk(b"")

    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        for _ in range(3):
            status, _, body = await post(server.url, build_chat(stream=True))
            assert (status, body.endswith(DONE)) == (200, True)
        assert len(upstream.connections) == 1


async def test_a_provider_that_lingers_after_done_is_let_go_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client's answer ends at `[DONE]`; a body that does not end then is closed by us."""
    monkeypatch.setattr(stream_answer, "LINGER_S", 0.02)

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(build_chunk("he") + build_chunk(finish="stop") + DONE)
        await connection.watch()

    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        _, _, body = await post(server.url, build_chat(stream=True))
        assert body.endswith(DONE)
        await upstream.connections[0].wait_closed()


async def test_a_reset_after_the_finish_reason_is_no_failure() -> None:
    """An answer that was complete stays complete, however the connection ended."""
    seen = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(build_chunk("he") + build_chunk(finish="stop"))
        await seen.wait()
        connection.reset()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url) as server,
        aiohttp.ClientSession() as session,
        session.post(
            server.url + "/chat/completions", json=build_chat(stream=True), headers=AUTH
        ) as answer,
    ):
        first = await answer.content.readany()
        seen.set()
        body = first + await answer.read()
        (record,) = await server.observer.wait_for_records()
    assert body.endswith(DONE)
    assert record.ending == "completed"


async def test_many_streams_at_once_keep_apart() -> None:
    """Two hundred concurrent streams each get their own text, whole and in order."""

    async def script(connection: UpstreamConnection) -> None:
        while True:
            _, _, body = await connection.read_request()
            tag = body.partition(b"tag-")[2][:4].decode()
            await connection.start_chunked()
            for position in range(10):
                await connection.chunk(build_chunk(f"{tag}:{position};"))
                await asyncio.sleep(0)
            await connection.chunk(build_chunk(finish="stop") + DONE)
            await connection.chunk(b"")

    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:

        async def ask(number: int) -> None:
            tag = f"{number:04d}"
            messages = [{"role": "user", "content": f"tag-{tag}"}]
            _, _, body = await post(server.url, build_chat(stream=True, messages=messages))
            expected = [build_chunk(f"{tag}:{position};") for position in range(10)]
            assert body == b"".join([*expected, build_chunk(finish="stop"), DONE])

        await asyncio.gather(*(ask(number) for number in range(200)))


async def test_a_stall_after_the_finish_reason_is_no_failure_either() -> None:
    """A provider that never sends its `[DONE]` costs the idle time, not the answer."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(build_chunk("he") + build_chunk(finish="stop"))
        await connection.watch()

    clocks = Clocks(idle_s=0.05)
    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, clocks=clocks) as server,
    ):
        _, _, body = await post(server.url, build_chat(stream=True))
        (record,) = await server.observer.wait_for_records()
        await upstream.connections[0].wait_closed()
    assert body.endswith(DONE)
    assert record.ending == "completed"


async def test_what_is_held_back_before_content_has_a_cap() -> None:
    """A provider that sends events without content for ever is cut off, not stored."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        try:
            while True:
                await connection.chunk(build_chunk(padding="x" * 1000))
        finally:
            let_go.set()

    let_go = asyncio.Event()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, max_event_bytes=100_000) as server,
    ):
        status, _, body = await post(server.url, build_chat(stream=True))
        await let_go.wait()
    assert status == 502
    assert b"upstream_too_large" in body


@pytest.mark.parametrize("comments", [False, True], ids=["events", "comments"])
async def test_a_stream_without_end_has_a_cap(comments: bool) -> None:
    """Beyond `max_stream_bytes` a stream ends in `limit_exceeded`; comments count too."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        try:
            while True:
                await connection.chunk(build_chunk("he"))
                if comments:
                    await connection.chunk(b": " + b"x" * 20_000 + b"\n\n")
        finally:
            let_go.set()

    let_go = asyncio.Event()
    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, max_stream_bytes=100_000) as server,
    ):
        status, _, body = await post(server.url, build_chat(stream=True))
        await let_go.wait()
        (record,) = await server.observer.wait_for_records()
    assert status == 200
    assert len(body) <= 100_000 + 1000
    assert b'"code":"limit_exceeded"' in body
    assert b"[DONE]" not in body
    assert record.error_code == "limit_exceeded"
    assert record.usage is not None
    assert record.usage.output_tokens == -(-body.count(b'"he"') * 2 // 4)


async def test_what_comes_before_content_has_the_same_cap() -> None:
    """Comments for ever without an event are cut off with a status."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        while True:
            await connection.chunk(b": " + b"x" * 10_000 + b"\n\n")

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, max_stream_bytes=100_000) as server,
    ):
        status, _, body = await post(server.url, build_chat(stream=True))
    assert status == 502
    assert b'"code":"limit_exceeded"' in body


async def test_a_complete_answer_is_not_spoilt_by_what_follows() -> None:
    """Rubbish behind the last finish reason costs nothing but the connection."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(build_chunk("he") + build_chunk(finish="stop"))
        while True:
            await connection.chunk(b": " + b"x" * 10_000 + b"\n\n")

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, max_stream_bytes=100_000) as server,
    ):
        status, _, body = await post(server.url, build_chat(stream=True))
    assert (status, body) == (200, build_chunk("he") + build_chunk(finish="stop") + DONE)


# --- buffered ---------------------------------------------------------------------------------


def code_of(body: bytes) -> str | None:
    """Return the code of an answer that is one JSON error and nothing else."""
    code: str | None = msgspec.json.decode(body)["error"]["code"]
    return code


@pytest.mark.parametrize("ending", [[DONE], []], ids=["done", "no done"])
async def test_a_buffered_stream_arrives_whole(ending: list[bytes]) -> None:
    """The client gets every event and `[DONE]`; usage is recorded, and told if it was asked for."""
    report = b"data: " + msgspec.json.encode({"choices": [], "usage": USAGE}) + b"\n\n"
    events = [build_chunk("he"), build_chunk("llo"), build_chunk(finish="stop"), report]
    options = {"include_usage": True}
    async with (
        open_raw_upstream(Recorder(*events, *ending)) as upstream,
        proxying(upstream.url) as server,
    ):
        chat = build_chat(stream=True, stream_options=options)
        status, headers, body = await post(server.url, chat, **BUFFERED)
        (record,) = await server.observer.wait_for_records()
    assert (status, body) == (200, b"".join(events) + DONE)
    assert headers["Content-Type"].startswith("text/event-stream")
    assert (record.ending, record.usage) == ("completed", Usage(3, 2))


BROKEN_BEHIND_CONTENT: dict[str, tuple[list[bytes], int, str | None]] = {
    "clean end": ([], 502, "upstream_truncated"),
    "malformed": ([b"data: {oops\n\n", DONE], 502, "upstream_protocol_error"),
    "error event": (
        [b'data: {"error":{"message":"m","code":529,"type":"overloaded_error"}}\n\n', DONE],
        503,
        "upstream_overloaded",
    ),
    "the client's error": (
        [b'data: {"error":{"message":"m","code":400,"type":"invalid_request_error"}}\n\n'],
        400,
        None,
    ),
    "one of two choices": (
        [
            build_chunk(choices=[{"index": 1, "delta": {"content": "x"}, "finish_reason": None}]),
            build_chunk(finish="stop"),
            DONE,
        ],
        502,
        "upstream_truncated",
    ),
}


@pytest.mark.parametrize("case", BROKEN_BEHIND_CONTENT)
async def test_a_buffered_stream_that_breaks_has_shown_nothing(case: str) -> None:
    """Behind content, too, every fault is a status and a JSON error; no tokens are recorded."""
    rest, told_status, code = BROKEN_BEHIND_CONTENT[case]
    report = b"data: " + msgspec.json.encode({"choices": [], "usage": USAGE}) + b"\n\n"
    script = Recorder(build_chunk("he"), report, *rest)
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        status, _, body = await post(server.url, build_chat(stream=True), **BUFFERED)
        (record,) = await server.observer.wait_for_records()
    assert (status, code_of(body)) == (told_status, code)
    assert (record.status, record.usage, record.ttft_s) == (told_status, None, None)


async def test_a_buffered_stream_that_breaks_fails_over_unseen() -> None:
    """The next provider's answer comes whole, and nothing of the first: no byte and no token."""
    odd = {"prompt_tokens": -1, "completion_tokens": 900, "total_tokens": 899}
    first = Recorder(
        build_chunk("first"),
        b"data: " + msgspec.json.encode({"choices": [], "usage": USAGE}) + b"\n\n",
        b"data: " + msgspec.json.encode({"choices": [], "usage": odd}) + b"\n\n",
    )
    async with (
        open_raw_upstream(first) as broken,
        open_raw_upstream(Recorder(WHOLE)) as good,
        serving(
            build_snapshot(
                build_provider(broken.url, name="broken"), build_provider(good.url, name="good")
            )
        ) as server,
    ):
        status, headers, body = await post(server.url, build_chat(stream=True), **BUFFERED)
        (record,) = await server.observer.wait_for_records()
    assert (status, body) == (200, WHOLE)
    assert headers["x-llm-proxy-provider"] == "good"
    assert [attempt.outcome for attempt in record.attempts] == ["upstream_truncated", "ok"]
    assert record.usage is not None
    assert (record.usage.output_tokens, record.usage.source) == (1, "estimated")
    assert record.anomalies == ()


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_buffered_stream_that_is_cut_has_shown_nothing(how: str) -> None:
    """A connection that breaks behind content is 502 `upstream_disconnected`."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(build_chunk("he"))
        connection.reset() if how == "reset" else connection.close()

    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        status, _, body = await post(server.url, build_chat(stream=True), **BUFFERED)
    assert (status, code_of(body)) == (502, "upstream_disconnected")


@pytest.mark.parametrize(
    ("content", "clocks", "code"),
    [
        (b"", Clocks(first_token_s=0.05), "upstream_first_token_timeout"),
        (build_chunk("he"), Clocks(idle_s=0.05), "upstream_stalled"),
        (build_chunk("he"), Clocks(first_token_s=0.05, total_s=0.1), "upstream_total_timeout"),
    ],
    ids=["first token", "idle", "total"],
)
async def test_all_clocks_run_while_a_stream_is_held(
    content: bytes, clocks: Clocks, code: str
) -> None:
    """First token, idle and total hold as for any stream, and are told with status 504."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        if content:
            await connection.chunk(content)
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, clocks=clocks) as server,
    ):
        status, _, body = await post(server.url, build_chat(stream=True), **BUFFERED)
        await upstream.connections[0].wait_closed()
    assert (status, code_of(body)) == (504, code)


async def test_the_request_timeout_bounds_all_of_a_buffered_stream() -> None:
    """What is not complete by then is 504 `deadline_exceeded`, and nothing is recorded of it."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(build_chunk("he"))
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, request_timeout_s=0.1) as server,
    ):
        status, _, body = await post(server.url, build_chat(stream=True), **BUFFERED)
        (record,) = await server.observer.wait_for_records()
    assert (status, code_of(body)) == (504, "deadline_exceeded")
    assert record.usage is None


async def test_what_is_held_has_the_cap_of_whole_answers() -> None:
    """`max_answer_bytes` bounds it, `max_event_bytes` does not; the provider is let go of."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        try:
            while True:
                await connection.chunk(LONG)
        finally:
            let_go.set()

    let_go = asyncio.Event()
    caps: dict[str, Any] = {"max_event_bytes": 20_000, "max_answer_bytes": 100_000}
    async with open_raw_upstream(script) as upstream, proxying(upstream.url, **caps) as server:
        status, _, body = await post(server.url, build_chat(stream=True), **BUFFERED)
        await let_go.wait()
    assert (status, code_of(body)) == (502, "answer_too_large")
    script_below = Recorder(*[LONG] * 5, WHOLE)
    async with (
        open_raw_upstream(script_below) as upstream,
        proxying(upstream.url, **caps) as server,
    ):
        status, _, body = await post(server.url, build_chat(stream=True), **BUFFERED)
    assert (status, body) == (200, LONG * 5 + WHOLE)


async def test_a_complete_answer_that_is_held_is_not_spoilt_by_what_follows() -> None:
    """Events without end behind the last finish reason cost the connection, not the answer."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(build_chunk("he") + build_chunk(finish="stop"))
        try:
            while True:
                await connection.chunk(build_chunk(padding="x" * 1000))
        finally:
            let_go.set()

    let_go = asyncio.Event()
    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, max_answer_bytes=50_000) as server,
    ):
        status, _, body = await post(server.url, build_chat(stream=True), **BUFFERED)
        await let_go.wait()
    assert status == 200
    assert body.startswith(build_chunk("he") + build_chunk(finish="stop"))
    assert body.endswith(DONE)


async def test_a_buffered_stream_gives_its_connection_back() -> None:
    """Once it is complete the provider's connection serves the next request."""
    async with (
        open_raw_upstream(Recorder(WHOLE)) as upstream,
        proxying(upstream.url) as server,
    ):
        for _ in range(3):
            status, _, body = await post(server.url, build_chat(stream=True), **BUFFERED)
            assert (status, body) == (200, WHOLE)
        assert len(upstream.connections) == 1


async def test_a_client_that_leaves_while_a_stream_is_held_is_counted() -> None:
    """The provider has worked for it: its tokens are estimated, and the provider is let go of."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        # More than all buffers between hold: when it has gone out, some has been read.
        for _ in range(1500):
            await connection.chunk(LONG)
        has_content.set()
        await connection.watch()

    has_content = asyncio.Event()
    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url) as server,
        aiohttp.ClientSession() as session,
    ):
        asking = asyncio.ensure_future(
            session.post(
                server.url + "/chat/completions",
                json=build_chat(stream=True),
                headers={**AUTH, **BUFFERED},
            )
        )
        await has_content.wait()
        asking.cancel()
        (record,) = await server.observer.wait_for_records()
        await upstream.connections[0].wait_closed()
    assert record.ending == "client_closed"
    assert record.usage is not None
    assert record.usage.output_tokens >= 4000
    assert record.usage.source == "estimated"


# --- faults of ours ---------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, BUFFERED], ids=["sent-on", "held"])
@pytest.mark.parametrize("way", ["feed", "finish"])
async def test_a_fault_of_a_reader_ends_its_request_at_once(
    way: str, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs one client an error, and no clock has to run out before; the next is served."""
    open_stream = OpenAIFormat.open_stream

    def fail(*_arguments: object) -> bytes:
        raise RuntimeError("a fault")

    def open_faulty(provider_type: OpenAIFormat, ask: Ask, max_event_bytes: int) -> StreamReader:
        reader = open_stream(provider_type, ask, max_event_bytes)
        faults.setattr(type(reader), way, fail)
        return reader

    script = Recorder(build_chunk("he")) if way == "feed" else Recorder()
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        with monkeypatch.context() as faults:
            faults.setattr(OpenAIFormat, "open_stream", open_faulty)
            status, _, body = await post(server.url, build_chat(stream=True), **headers)
        assert (status, code_of(body)) == (500, "internal_error")
        (record,) = await server.observer.wait_for_records()
    assert record.ending == "failed"


async def test_a_fault_of_a_reader_behind_content_ends_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was sent before stays, and an error is the last event."""
    content = build_chunk("he")

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(content)
        await read_on.wait()
        await connection.chunk(content)
        await connection.watch()

    def open_faulty(provider_type: OpenAIFormat, ask: Ask, max_event_bytes: int) -> StreamReader:
        reader = open_stream(provider_type, ask, max_event_bytes)
        feed = type(reader).feed

        def feed_once(reader: Any, chunk: bytes) -> bytes:
            if reader.has_content:
                raise RuntimeError("a fault")
            return feed(reader, chunk)

        monkeypatch.setattr(type(reader), "feed", feed_once)
        return reader

    open_stream = OpenAIFormat.open_stream
    monkeypatch.setattr(OpenAIFormat, "open_stream", open_faulty)
    read_on = asyncio.Event()
    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url) as server,
        aiohttp.ClientSession() as session,
        session.post(
            f"{server.url}/chat/completions", json=build_chat(stream=True), headers=AUTH
        ) as answer,
    ):
        assert await answer.content.readexactly(len(content)) == content
        read_on.set()
        rest = await answer.read()
    assert (answer.status, b"internal_error" in rest, b"[DONE]" in rest) == (200, True, False)
