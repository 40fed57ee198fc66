"""Every ending gives exactly one record, which says how it ended."""

import asyncio
from typing import Any

import msgspec
import pytest

from proxy.domain.model_name import MAX_NAME_CHARACTERS
from proxy.domain.usage import Usage
from tests.canaries import PROMPT
from tests.fakes.proxy_server import (
    ANSWER,
    AUTH,
    HASHER,
    KEY,
    USAGE,
    ProxyServer,
    build_chat,
    build_chunk,
    proxying,
)
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.upstream_scripts import Recorder, answering, post

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_a_record_holds_who_asked_what_of_whom() -> None:
    """A finished request's record names caller, alias, provider, model, tokens and times."""
    async with open_raw_upstream(answering(ANSWER)) as upstream, proxying(upstream.url) as server:
        await post(server.url, build_chat())
        (record,) = await server.observer.wait_for_records()
    assert (record.key_id, record.organization_id) == (HASHER.key_id(KEY), "default")
    assert (record.alias, record.provider, record.model) == ("m", "up", "m")
    assert (record.endpoint, record.streams, record.ttft_s) == ("/chat/completions", False, None)
    assert record.usage is not None
    assert (record.usage.input_tokens, record.usage.output_tokens) == (3, 2)
    assert record.error_code is None
    assert 0.0 < record.attempts[0].duration_s <= record.duration_s


async def test_a_refused_request_has_a_record_without_attempts() -> None:
    """Without a key: status 401, no caller, nobody asked."""
    async with proxying("http://127.0.0.1:1/v1") as server:
        status, _, _ = await post(server.url, build_chat(), Authorization="Bearer nope")
        (record,) = await server.observer.wait_for_records()
    assert (status, record.status, record.ending) == (401, 401, "failed")
    assert (record.key_id, record.provider, record.attempts) == (None, None, ())
    assert record.error_code == "invalid_api_key"


@pytest.mark.parametrize("name", [PROMPT, "gpt 4", "gpt-4\n", "\uff47pt-4", "*"])
async def test_a_name_that_could_be_none_is_not_in_the_record(name: str) -> None:
    """What stands in the place of a name is logged only if a model could be called that."""
    async with proxying("http://127.0.0.1:1/v1") as server:
        status, _, _ = await post(server.url, build_chat(model=name))
        (record,) = await server.observer.wait_for_records()
    assert (status, record.alias, record.error_code) == (404, None, "model_not_found")


async def test_a_name_that_led_nowhere_is_in_the_record() -> None:
    """An unknown model is recorded as the client wrote it, cut to what a name may be."""
    async with proxying("http://127.0.0.1:1/v1") as server:
        await post(server.url, build_chat(model="nope-" + "x" * 1000))
        (record,) = await server.observer.wait_for_records()
    assert record.alias is not None
    assert record.alias.startswith("nope-xxx")
    assert len(record.alias) <= MAX_NAME_CHARACTERS
    assert record.provider is None


async def test_an_error_without_a_code_is_recorded_by_its_type() -> None:
    """A plain 400 has its type where others have a code."""
    async with proxying("http://127.0.0.1:1/v1") as server:
        await post(server.url, build_chat(temperature=-1))
        (record,) = await server.observer.wait_for_records()
    assert record.error_code == "invalid_request_error"


async def test_why_a_provider_was_not_reached_is_in_the_record_only() -> None:
    """The detail is the operator's: the client reads nothing of it."""
    async with proxying("http://127.0.0.1:1/v1") as server:
        _, _, body = await post(server.url, build_chat())
        (record,) = await server.observer.wait_for_records()
    assert record.error_detail == "Connection refused"
    assert record.error_detail not in str(body)


async def test_shutting_down_interrupts_and_says_so() -> None:
    """A stream that the server's end cuts off is `interrupted` and ends in `server_shutdown`."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(build_chunk("he"))
        await connection.watch()

    async with open_raw_upstream(script) as upstream:
        async with proxying(upstream.url) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            body = msgspec.json.encode(build_chat(stream=True))
            writer.write(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (AUTH["Authorization"].encode(), len(body), body)
            )
            await reader.readuntil(b'"he"')
        rest = await reader.read(-1)
        writer.close()
        (record,) = await server.observer.wait_for_records()
    assert b'"code":"server_shutdown"' in rest
    assert rest.endswith(b"\r\n0\r\n\r\n")
    assert b"[DONE]" not in rest
    assert (record.ending, record.error_code) == ("interrupted", "server_shutdown")
    assert [attempt.outcome for attempt in record.attempts] == ["interrupted"]


async def leave(server: ProxyServer, heard: bytes, **fields: Any) -> asyncio.StreamWriter:
    """Ask, read until these bytes have come, and return what closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = msgspec.json.encode(build_chat(**fields))
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (AUTH["Authorization"].encode(), len(body), body)
    )
    if heard:
        await reader.readuntil(heard)
    return writer


USED = build_chunk(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 1})
LEAVINGS: dict[str, tuple[list[bytes], bytes, bool, str | None]] = {
    # What the provider sends, what the client hears of it, whether it streams, whose usage.
    "no head": ([], b"", True, None),
    "no event": ([b""], b"", True, None),
    "no content": ([b"", build_chunk()], b"", True, None),
    "signs of life": ([b"", build_chunk()], b"keep-alive", True, None),
    "content": ([b"", build_chunk("hello")], b'"hello"', True, "estimated"),
    "usage": (
        [b"", build_chunk("hello"), USED],
        b'"hello"',
        True,
        "reported",
    ),
    "half of an answer": ([b"", b'{"choices":'], b"", False, None),
}


@pytest.mark.parametrize("stage", LEAVINGS)
async def test_a_client_may_leave_at_every_stage(stage: str) -> None:
    """The provider is let go of, there is one record, and what was delivered is counted."""
    pieces, heard, streams, source = LEAVINGS[stage]
    sent = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        for number, piece in enumerate(pieces):
            if number == 0:
                await connection.start_chunked("text/event-stream" if streams else "text/plain")
            else:
                await connection.chunk(piece)
        sent.set()
        await connection.watch()

    delay_s = 0.02 if b"alive" in heard else 10.0
    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, commit_delay_s=delay_s) as server,
    ):
        writer = await leave(server, heard, stream=streams)
        await sent.wait()
        if source == "reported":
            # The event is on its way through this very loop.
            for _ in range(100):
                await asyncio.sleep(0)
        writer.close()
        await upstream.connections[0].wait_closed()
        (record,) = await server.observer.wait_for_records()
        assert len(server.observer.records) == len(server.observer.attempts) == 1
    assert record.ending == record.attempts[0].outcome == "client_closed"
    assert record.status == (200 if heard else 499)
    assert (None if record.usage is None else record.usage.source) == source
    if source == "estimated":
        prompt = msgspec.json.encode(build_chat()["messages"])
        assert record.usage == Usage(-(-len(prompt) // 4), 2, source="estimated")


async def test_a_client_that_stalls_and_leaves_is_counted_for_what_came() -> None:
    """A reader that stops reading and then hangs up lets go of a provider that was paused."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        try:
            while True:
                await connection.chunk(build_chunk("x" * 16_000))
                turns.append(None)
        finally:
            let_go.set()

    let_go = asyncio.Event()
    turns: list[None] = []
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        writer = await leave(server, b"\r\n\r\n", stream=True)
        stalled_at, quiet_turns = -1, 0
        while quiet_turns < 300:
            await asyncio.sleep(0)
            quiet_turns = quiet_turns + 1 if len(turns) == stalled_at else 0
            stalled_at = len(turns)
        writer.transport.abort()
        await let_go.wait()
        (record,) = await server.observer.wait_for_records()
    assert record.ending == "client_closed"
    assert record.usage is not None
    assert record.usage.source == "estimated"
    assert 4000 <= record.usage.output_tokens <= 4000 * (len(turns) + 1)


async def test_a_stream_without_usage_is_estimated() -> None:
    """A provider that reports none: a quarter of the bytes of prompt, text, calls and thoughts."""
    calls = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a":1}'}}]
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "h\u00e9"},
        {"content": "hello"},
        {"tool_calls": calls},
    ]
    script = Recorder(
        *(build_chunk(choices=[{"index": 0, "delta": delta}]) for delta in deltas),
        build_chunk(finish="stop"),
    )
    messages = [{"role": "user", "content": "x" * 100}]
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        await post(server.url, build_chat(stream=True, messages=messages))
        (record,) = await server.observer.wait_for_records()
    prompt = msgspec.json.encode(messages)
    assert record.usage == Usage(-(-len(prompt) // 4), 4, source="estimated")
    assert record.anomalies == ()


ODD_USAGE = [
    {"prompt_tokens": -1, "completion_tokens": 1},
    {"prompt_tokens": 10**18, "completion_tokens": 1},
    {"prompt_tokens": 1.5, "completion_tokens": 1},
    {"prompt_tokens": "3", "completion_tokens": 1},
    {"completion_tokens": 1},
    "five",
]


@pytest.mark.parametrize("usage", ODD_USAGE, ids=str)
@pytest.mark.parametrize("streams", [True, False])
async def test_counts_that_are_none_are_replaced_and_noted(usage: object, streams: bool) -> None:
    """The record has an estimate in their place and the anomaly; the answer is not harmed."""
    if streams:
        script = Recorder(build_chunk("hello"), build_chunk(finish="stop", usage=usage))
    else:
        script = answering(ANSWER | {"usage": usage})
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        status, _, _ = await post(server.url, build_chat(stream=streams))
        (record,) = await server.observer.wait_for_records()
    assert (status, record.ending, record.anomalies) == (200, "completed", ("usage_anomaly",))
    assert record.usage is not None
    assert (record.usage.output_tokens, record.usage.source) == (2, "estimated")


async def test_the_last_valid_counts_stand_beside_the_note_of_a_bad_one() -> None:
    """Two reports that contradict each other and one that is none: the last good one is billed."""
    first, last = USAGE | {"prompt_tokens": 1}, USAGE | {"prompt_tokens": 0, "completion_tokens": 0}
    script = Recorder(
        build_chunk("hello", usage=first),
        build_chunk("hello", usage={"prompt_tokens": -4}),
        build_chunk(finish="stop", usage=last),
        build_chunk(choices=[], usage=None),
    )
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        await post(server.url, build_chat(stream=True))
        (record,) = await server.observer.wait_for_records()
    assert (record.usage, record.anomalies) == (Usage(0, 0), ("usage_anomaly",))


@pytest.mark.parametrize("streams", [True, False])
async def test_text_that_was_mended_is_noted(streams: bool) -> None:
    """A broken character reaches the client as U+FFFD and the record as an anomaly."""
    if streams:
        broken = build_chunk("hello").replace(b"hello", b"he\xff")
        script = Recorder(broken, build_chunk(finish="stop"))
    else:
        script = answering(ANSWER)
        script.chunks = (script.chunks[0].replace(b"hello", b"he\xff"),)
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        status, _, body = await post(server.url, build_chat(stream=streams))
        (record,) = await server.observer.wait_for_records()
    assert status == 200
    assert "he\ufffd".encode() in body
    assert record.anomalies == ("utf8_replaced",)


async def test_who_never_reached_a_provider_has_used_nothing(loopback_port: int) -> None:
    """Refused by us, or by a provider that is not there: no usage."""
    async with proxying(f"http://127.0.0.1:{loopback_port}/v1") as server:
        await post(server.url, build_chat(stream=True))
        await post(server.url, build_chat(model="nope"))
        records = await server.observer.wait_for_records(2)
    assert [record.usage for record in records] == [None, None]
