"""Chat through the real server: what goes up, what comes back, and how failures are told."""

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest

from proxy.domain.settings import Clocks
from tests.fakes.proxy_server import (
    ANSWER,
    AUTH,
    DONE,
    KEY,
    PROVIDER_KEY,
    USAGE,
    build_chat,
    build_chunk,
    proxying,
)
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream

pytestmark = pytest.mark.usefixtures("no_leaks")

HELLO = [build_chunk("he"), build_chunk("llo"), build_chunk(finish="stop")]
USAGE_EVENT = b"data: " + msgspec.json.encode({"id": "chatcmpl-1", "choices": [], "usage": USAGE}) + b"\n\n"


class Recorder:
    """A script that answers with fixed bytes and keeps the requests."""

    def __init__(self, *chunks: bytes, content_type: str = "text/event-stream", status: int = 200) -> None:
        self.chunks = chunks
        self.content_type = content_type
        self.status = status
        self.extra = ""
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    async def __call__(self, connection: UpstreamConnection) -> None:
        while True:
            self.requests.append(await connection.read_request())
            if self.content_type == "text/event-stream" and self.status == 200:
                await connection.start_chunked()
                for chunk in self.chunks:
                    await connection.chunk(chunk)
                await connection.chunk(b"")
            else:
                await connection.answer(
                    b"".join(self.chunks), self.status, self.content_type, self.extra
                )

    def body(self, position: int = 0) -> Any:
        """The decoded body of one request that came up."""
        return msgspec.json.decode(self.requests[position][2])


def answering(value: Any, status: int = 200) -> Recorder:
    """A script that answers with JSON."""
    return Recorder(msgspec.json.encode(value), content_type="application/json", status=status)


async def post(url: str, body: Any, **headers: str) -> tuple[int, Any, bytes]:
    """Return (status, headers, body) of a chat request."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    async with aiohttp.ClientSession() as session, session.post(
        url + "/chat/completions", data=data, headers={**AUTH, **headers}
    ) as answer:
        return answer.status, answer.headers, await answer.read()


async def test_a_json_answer_passes_untouched() -> None:
    """The provider's JSON reaches the client byte for byte, with our headers and none of its own."""
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


async def test_upstream_gets_the_providers_key_and_nothing_of_the_clients() -> None:
    """Headers of the client stay here; the provider sees its own key and our headers only."""
    script = answering(ANSWER)
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        await post(
            server.url, build_chat(), Cookie="c=1", **{"X-Forwarded-For": "1.2.3.4", "OpenAI-Beta": "x"}
        )
    line, headers, _ = script.requests[0]
    assert line == "POST /v1/chat/completions HTTP/1.1"
    assert headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert KEY not in str(headers)
    assert not {"cookie", "x-forwarded-for", "openai-beta"} & headers.keys()


async def test_fields_that_nobody_reads_go_up_as_they_came() -> None:
    """Unknown fields and odd spellings of numbers are byte-identical upstream; the last duplicate wins."""
    script = answering(ANSWER)
    body = (
        b'{"model":"x","messages":[{"role":"user","content":"\\u00e9 \xc3\xa9"}],'
        b'"top_p":1.00,"seed":12345678901234567890123,"new_thing":{"a": [1,  2]},"model":"m"}'
    )
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        status, _, _ = await post(server.url, body)
    assert status == 200
    sent = script.requests[0][2]
    for part in (b'"top_p":1.00', b'"seed":12345678901234567890123', b'{"a": [1,  2]}', b'"\\u00e9 \xc3\xa9"'):
        assert part in sent
    assert sent.count(b'"model"') == 1


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
    "not utf-8": ([build_chunk("he"), b'data: {"a":"\xff"}\n\n', DONE], "upstream_protocol_error"),
    "error event": (
        [build_chunk("he"), b'data: {"error":{"message":"secret words","code":500}}\n\n', DONE],
        "upstream_server_error",
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
        last = msgspec.json.decode(body.removeprefix(build_chunk("he")).removeprefix(b"data: "))
        assert last["error"].keys() == {"message", "type", "param", "code"}
        assert last["error"]["code"] == code
        assert b"[DONE]" not in body
        assert b"secret words" not in body
        (record,) = await server.observer.wait_for_records()
        assert (record.ending, record.error_code, record.status) == ("failed", code, 200)


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


FAILURES_BEFORE_CONTENT: dict[str, tuple[Recorder, int, str]] = {
    "empty stream": (Recorder(DONE), 502, "upstream_truncated"),
    "nothing at all": (Recorder(), 502, "upstream_truncated"),
    "role only": (Recorder(build_chunk(), DONE), 502, "upstream_truncated"),
    "html": (Recorder(b"<html>secret words</html>", content_type="text/html"), 502, "upstream_protocol_error"),
    "error first": (
        Recorder(b'data: {"error":{"message":"secret words","type":"server_error"}}\n\n'),
        502,
        "upstream_server_error",
    ),
    "overloaded first": (
        Recorder(b'data: {"error":{"message":"x","type":"overloaded_error"}}\n\n'),
        503,
        "upstream_overloaded",
    ),
    "error in json 200": (
        answering({"error": {"message": "secret words", "code": 502}}),
        502,
        "upstream_server_error",
    ),
    "malformed first": (Recorder(b"data: {oops\n\n"), 502, "upstream_protocol_error"),
    "500": (answering({"error": {"message": "secret words"}}, 500), 502, "upstream_server_error"),
    "503": (answering({"error": {"message": "secret words"}}, 503), 503, "upstream_overloaded"),
    "401": (answering({"error": {"message": "secret words"}}, 401), 502, "upstream_auth"),
    "429": (answering({"error": {"message": "secret words"}}, 429), 429, "rate_limit_exceeded"),
    "redirect": (answering({}, 307), 502, "upstream_redirect"),
}


@pytest.mark.parametrize("case", FAILURES_BEFORE_CONTENT)
async def test_failures_before_content_get_a_proper_status(case: str) -> None:
    """What fails before the commit point is a status and an error body, never a 200."""
    script, status, code = FAILURES_BEFORE_CONTENT[case]
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        found, headers, body = await post(server.url, build_chat(stream=True))
        assert found == status
        error = msgspec.json.decode(body)["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert error["code"] == code
        assert b"secret words" not in body
        assert headers["x-request-id"].startswith("req_")
        (record,) = await server.observer.wait_for_records()
        assert (record.status, record.ending, record.error_code) == (status, "failed", code)


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [
        ({"error": {"message": "x", "code": 429}}, 429, "rate_limit_exceeded"),
        ({"error": {"message": "secret words"}}, 502, "upstream_server_error"),
        ({"object": "chat.completion", "choices": []}, 502, "upstream_truncated"),
        ({"no": "choices"}, 502, "upstream_protocol_error"),
        (["list"], 502, "upstream_protocol_error"),
    ],
)
async def test_an_error_inside_a_200_is_an_error(value: Any, status: int, code: str) -> None:
    """A 200 whose JSON is no answer gets the status that it stands for."""
    async with open_raw_upstream(answering(value)) as upstream, proxying(upstream.url) as server:
        found, _, body = await post(server.url, build_chat())
    assert (found, msgspec.json.decode(body)["error"]["code"]) == (status, code)


async def test_the_clients_own_mistake_comes_back_in_the_providers_words() -> None:
    """An upstream 400 reaches the client with message, param and code, keys masked."""
    fault = {
        "error": {
            "message": "Invalid value for 'top_p' sk-abcdefghijklmnop1234567890",
            "type": "invalid_request_error",
            "param": "top_p",
            "code": "invalid_value",
        }
    }
    async with open_raw_upstream(answering(fault, 400)) as upstream, proxying(upstream.url) as server:
        status, _, body = await post(server.url, build_chat())
    error = msgspec.json.decode(body)["error"]
    assert status == 400
    assert error["message"].startswith("Invalid value for 'top_p'")
    assert (error["param"], error["code"]) == ("top_p", "invalid_value")
    assert b"sk-abc" not in body


async def test_retry_after_reaches_the_client_in_whole_seconds() -> None:
    """A provider's wait of 1.2 s is passed on as `Retry-After: 2`."""
    script = answering({"error": {"message": "slow down"}}, 429)
    script.extra = "retry-after-ms: 1200\r\n"
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        status, headers, _ = await post(server.url, build_chat())
    assert (status, headers["Retry-After"]) == (429, "2")


async def test_silence_before_content_shows_signs_of_life() -> None:
    """After `commit_delay_s` of silence headers and comments go out, and the stream follows."""
    comments_seen = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await comments_seen.wait()
        for chunk in (*HELLO, DONE):
            await connection.chunk(chunk)
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
        assert answer.status == 200
        body = b""
        while body.count(b": keep-alive\n\n") < 3:
            body += await answer.content.readany()
        comments_seen.set()
        body += await answer.read()
    assert body.replace(b": keep-alive\n\n", b"") == b"".join([*HELLO, DONE])


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


@pytest.mark.parametrize("stream", [True, False])
async def test_the_deadline_is_a_gateway_timeout(stream: bool) -> None:
    """`request_timeout` bounds a request that gets no answer: 504 with 003's text."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, request_timeout_s=0.1) as server,
    ):
        status, _, body = await post(server.url, build_chat(stream=stream))
        await upstream.connections[0].wait_closed()
        (record,) = await server.observer.wait_for_records()
    assert status == 504
    assert "Gateway Timeout" in msgspec.json.decode(body)["error"]["message"]
    assert [attempt.outcome for attempt in record.attempts] == ["deadline_exceeded"]


async def test_a_slow_json_answer_runs_into_its_clock() -> None:
    """A JSON body that never ends is `upstream_answer_timeout`."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, clocks=Clocks(answer_s=0.1)) as server,
    ):
        status, _, body = await post(server.url, build_chat())
    assert (status, msgspec.json.decode(body)["error"]["code"]) == (504, "upstream_answer_timeout")


async def test_nobody_there_is_a_bad_gateway(loopback_port: int) -> None:
    """A provider that refuses connections is 502 `upstream_unreachable`."""
    async with proxying(f"http://127.0.0.1:{loopback_port}/v1") as server:
        status, _, body = await post(server.url, build_chat(stream=True))
    assert (status, msgspec.json.decode(body)["error"]["code"]) == (502, "upstream_unreachable")


async def test_the_trace_goes_on() -> None:
    """A client's traceparent goes upstream with the same trace id and a new span."""
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    script = answering(ANSWER)
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        await post(
            server.url,
            build_chat(),
            traceparent=f"00-{trace_id}-00f067aa0ba902b7-01",
            tracestate="a=1",
        )
        (record,) = await server.observer.wait_for_records()
    headers = script.requests[0][1]
    assert headers["traceparent"].split("-")[1] == trace_id
    assert headers["traceparent"].split("-")[2] != "00f067aa0ba902b7"
    assert headers["tracestate"] == "a=1"
    assert record.trace_id == trace_id
