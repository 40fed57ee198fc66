"""What is made of an answer by its head: formats, encodings, and headers that stay here."""

import asyncio
import gzip
import json
import zlib
from typing import Any

import aiohttp
import msgspec
import pytest

from proxy.domain.settings import Clocks
from proxy.domain.usage import Usage
from tests.fakes.proxy_server import (
    ANSWER,
    AUTH,
    DONE,
    USAGE,
    ProxyServer,
    build_chat,
    build_chunk,
    proxying,
)
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.upstream_scripts import Recorder, post

pytestmark = pytest.mark.usefixtures("no_leaks")

HELLO = [build_chunk("he"), build_chunk("llo"), build_chunk(finish="stop"), DONE]
STREAM = b"".join(HELLO)
JSON = msgspec.json.encode(ANSWER)


class Compressed(Recorder):
    """A script that answers with compressed bytes, in pieces, whatever was asked."""

    def __init__(self, packed: bytes, encoding: str, media_type: str, status: int = 200) -> None:
        super().__init__(packed, content_type=media_type, status=status)
        self.encoding = encoding

    async def __call__(self, connection: UpstreamConnection) -> None:
        while True:
            self.requests.append(await connection.read_request())
            await connection.write(
                f"HTTP/1.1 {self.status} X\r\nContent-Type: {self.content_type}\r\n"
                f"Content-Encoding: {self.encoding}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            )
            (packed,) = self.chunks
            for start in range(0, len(packed), 100):
                await connection.chunk(packed[start : start + 100])
            await connection.chunk(b"")


async def ask(script: Any, body: Any, **settings: Any) -> tuple[int, bytes, Any, ProxyServer]:
    """Return (status, body, record, server) of one request."""
    async with open_raw_upstream(script) as upstream, proxying(upstream.url, **settings) as server:
        status, _, answer = await post(server.url, body)
        (record,) = await server.observer.wait_for_records()
    return status, answer, record, server


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)],
)
async def test_a_compressed_answer_arrives_plain(encoding: str, pack: Any) -> None:
    """Streams and JSON that a provider compressed unasked reach the client as they were."""
    script = Compressed(pack(STREAM), encoding, "text/event-stream")
    status, body, record, _ = await ask(script, build_chat(stream=True))
    assert (status, body, record.ending) == (200, STREAM, "completed")
    assert script.requests[0][1]["accept-encoding"] == "identity"
    script = Compressed(pack(JSON), encoding, "application/json")
    status, body, record, _ = await ask(script, build_chat())
    assert (status, body, record.usage.total_tokens) == (200, JSON, 5)


async def test_a_compressed_error_is_read() -> None:
    """The words of a compressed 400 reach the client as those of a plain one do."""
    packed = gzip.compress(b'{"error":{"message":"no such voice","param":"voice"}}')
    script = Compressed(packed, "gzip", "application/json", 400)
    status, body, _, _ = await ask(script, build_chat())
    error = json.loads(body)["error"]
    assert (status, error["message"], error["param"]) == (400, "no such voice", "voice")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
async def test_an_encoding_that_is_not_read_is_a_bad_gateway(encoding: str, stream: bool) -> None:
    """Nothing of such a body is looked at: 502 `unsupported_encoding`."""
    script = Compressed(gzip.compress(STREAM), encoding, "text/event-stream")
    status, body, _, _ = await ask(script, build_chat(stream=stream))
    assert (status, json.loads(body)["error"]["code"]) == (502, "unsupported_encoding")


async def test_an_error_status_says_enough_in_any_encoding() -> None:
    """A 429 stays a 429 where its body cannot be read."""
    script = Compressed(b"\x00" * 50, "br", "application/json", 429)
    status, body, _, _ = await ask(script, build_chat())
    assert (status, json.loads(body)["error"]["code"]) == (429, "rate_limit_exceeded")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_bomb_is_too_large(stream: bool) -> None:
    """64 MiB in 64 KiB are refused before they are there."""
    filler = b":" + b" " * (64 << 20) + b"\n\n"
    media_type = "text/event-stream" if stream else "application/json"
    script = Compressed(gzip.compress(filler + STREAM, 1), "gzip", media_type)
    status, body, _, _ = await ask(script, build_chat(stream=stream))
    code = "upstream_too_large" if stream else "answer_too_large"
    assert (status, json.loads(body)["error"]["code"]) == (502, code)


@pytest.mark.parametrize("stream", [True, False])
async def test_the_caps_of_plain_answers_hold_for_inflated_ones(stream: bool) -> None:
    """One event and one answer may be no larger inflated than plain."""
    body = build_chunk("x" * 3000) if stream else msgspec.json.encode(ANSWER | {"x": "x" * 3000})
    media_type = "text/event-stream" if stream else "application/json"
    script = Compressed(gzip.compress(body), "gzip", media_type)
    caps = {"max_event_bytes": 2000, "max_answer_bytes": 2000}
    status, answer, _, _ = await ask(script, build_chat(stream=stream), **caps)
    code = "upstream_too_large" if stream else "answer_too_large"
    assert (status, json.loads(answer)["error"]["code"]) == (502, code)


async def test_a_compressed_stream_that_is_cut_never_looks_complete() -> None:
    """What was good is delivered, then comes the error, and no `[DONE]`."""
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(build_chunk("he")) + packer.flush(zlib.Z_SYNC_FLUSH)
    script = Compressed(packed, "gzip", "text/event-stream")
    status, body, record, _ = await ask(script, build_chat(stream=True))
    assert status == 200
    assert body.startswith(build_chunk("he"))
    assert b"upstream_truncated" in body
    assert b"[DONE]" not in body
    assert record.usage.source == "estimated"


# --- formats ----------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "application/x-ndjson"])
async def test_json_where_a_stream_was_asked_becomes_the_stream(media_type: str) -> None:
    """The client gets events, its usage if it asked, and `[DONE]`; the record has the counts."""
    script = Recorder(JSON, content_type=media_type)
    options = {"include_usage": True}
    status, body, record, _ = await ask(script, build_chat(stream=True, stream_options=options))
    events = [json.loads(line[6:]) for line in body.removesuffix(DONE).split(b"\n\n")[:-1]]
    assert status == 200
    assert body.endswith(DONE)
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": "hello"}
    assert events[1]["choices"][0]["finish_reason"] == "stop"
    assert (events[2]["choices"], events[2]["usage"]) == ([], USAGE)
    assert (record.ending, record.usage, record.streams) == ("completed", Usage(3, 2), True)
    assert record.ttft_s is not None


async def test_json_for_a_stream_is_made_regular_first() -> None:
    """A provider's quirk is repaired before its answer is told as events."""
    message = {"role": "assistant", "content": "x", "reasoning": "why"}
    choices = [{"index": 0, "message": message, "finish_reason": "eos"}]
    script = Recorder(
        msgspec.json.encode(ANSWER | {"choices": choices}), content_type="application/json"
    )
    _, body, _, _ = await ask(script, build_chat(stream=True), type="together")
    first, last = (json.loads(line[6:]) for line in body.removesuffix(DONE).split(b"\n\n")[:-1])
    assert first["choices"][0]["delta"]["reasoning_content"] == "why"
    assert last["choices"][0]["finish_reason"] == "stop"


async def test_json_for_a_stream_may_follow_signs_of_life() -> None:
    """Where comments have gone out the events follow them in the same reply."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % len(JSON)
        )
        await heard.wait()
        await connection.write(JSON)
        await connection.watch()

    heard = asyncio.Event()
    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, commit_delay_s=0.02, keep_alive_s=5.0) as server,
        aiohttp.ClientSession() as session,
        session.post(
            server.url + "/chat/completions", json=build_chat(stream=True), headers=AUTH
        ) as answer,
    ):
        first = await answer.content.readany()
        heard.set()
        body = first + await answer.read()
    assert body.startswith(b": keep-alive\n\n")
    assert b'"content":"hello"' in body
    assert body.endswith(DONE)


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/octet-stream", "application/json"]
)
async def test_a_stream_under_another_name_is_a_stream(media_type: str) -> None:
    """What begins like an event stream is read as one."""
    script = Recorder(STREAM, content_type=media_type)
    status, body, _, _ = await ask(script, build_chat(stream=True))
    assert (status, body) == (200, STREAM)


async def test_a_stream_without_a_name_is_a_stream() -> None:
    """No content type at all is no fault, also if the stream breaks off later."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + build_chunk("he"))
        connection.close()

    status, body, _, _ = await ask(script, build_chat(stream=True))
    assert status == 200
    assert body.startswith(build_chunk("he"))
    assert b"upstream_truncated" in body


@pytest.mark.parametrize("media_type", ["text/html", "text/plain", "application/json", "image/png"])
@pytest.mark.parametrize("text", [b"<html>secret words</html>", b"secret words", b"[1]"])
async def test_what_is_neither_is_a_bad_gateway(media_type: str, text: bytes) -> None:
    """Pages and other things are refused, and none of their words passes."""
    script = Recorder(text, content_type=media_type)
    status, body, record, _ = await ask(script, build_chat(stream=True))
    assert (status, json.loads(body)["error"]["code"]) == (502, "upstream_protocol_error")
    assert b"secret words" not in body
    assert record.usage is None


async def test_a_page_without_end_is_let_go_of() -> None:
    """A page is not read to its end: the connection is closed."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked("text/html")
        await connection.chunk(b"<html>")
        await connection.watch()

    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        for body in (build_chat(stream=True), build_chat()):
            status, _, _ = await post(server.url, body)
            assert status == 502
            await upstream.connections[-1].wait_closed()


async def test_a_nameless_silence_is_a_gateway_timeout() -> None:
    """A head without a type and without a body runs into the first token's clock."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        await connection.watch()

    clocks = Clocks(first_token_s=0.05)
    status, body, _, _ = await ask(script, build_chat(stream=True), clocks=clocks)
    assert (status, json.loads(body)["error"]["code"]) == (504, "upstream_first_token_timeout")


@pytest.mark.parametrize("media_type", ["text/event-stream", "text/plain"])
@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "cut"])
async def test_any_stream_can_be_buffered(media_type: str, is_whole: bool) -> None:
    """Compressed, or under another name: it comes whole, or as a status if it breaks."""
    script = Compressed(gzip.compress(STREAM if is_whole else HELLO[0]), "gzip", media_type)
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        chat = build_chat(stream=True)
        status, _, body = await post(server.url, chat, **{"x-llm-proxy-buffer": "true"})
    if is_whole:
        assert (status, body) == (200, STREAM)
    else:
        assert (status, json.loads(body)["error"]["code"]) == (502, "upstream_truncated")


# --- headers ----------------------------------------------------------------------------------

HOSTILE = {
    "Set-Cookie": "session=canary",
    "Location": "https://canary.example/",
    "X-Powered-By": "canary",
    "Server": "canary",
    "x-request-id": "canary",
    "x-llm-proxy-provider": "canary",
    "Access-Control-Allow-Origin": "https://canary.example",
    "Content-Security-Policy": "canary",
    "Strict-Transport-Security": "max-age=canary",
    "Cache-Control": "public, max-age=canary",
    "Link": "<canary>",
    "Refresh": "0; url=canary",
    "WWW-Authenticate": "canary",
    "Content-Disposition": "attachment; filename=canary",
    "x-ratelimit-remaining-requests": "canary",
    "openai-organization": "canary",
    "Retry-After": "canary",
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 429, 500, 503])
async def test_no_header_of_a_provider_reaches_the_client(status: int, stream: bool) -> None:
    """Whatever stands in a provider's head, of any status: our replies are headed by us."""
    is_stream = stream and status == 200
    script = Recorder(
        STREAM if is_stream else JSON,
        content_type="text/event-stream; canary=1" if is_stream else "application/json; canary=1",
        status=status,
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in HOSTILE.items())
    if is_stream:

        async def hostile(connection: UpstreamConnection) -> None:
            await connection.read_request()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{lines}"
            await connection.write(f"{head}Connection: close\r\n\r\n".encode() + STREAM)
            connection.close()

    else:
        script.extra = lines
    upstream_script: Any = hostile if is_stream else script
    async with open_raw_upstream(upstream_script) as upstream, proxying(upstream.url) as server:
        _, headers, _ = await post(server.url, build_chat(stream=stream))
    assert "canary" not in str(dict(headers)).lower()
    assert "Set-Cookie" not in headers
    assert headers["x-llm-proxy-provider"] == "up"


async def test_a_providers_words_are_cleaned_and_in_no_record() -> None:
    """Of a 400 message, param and code reach the client, short and masked; a record has none."""
    words = "<b>bad</b>\r\n\u202evoice sk-canary0123456789abcdef " + "word " * 1000
    error = {"message": words, "param": "messages[0] " * 1000, "code": "canary_code"}
    script = Recorder(
        msgspec.json.encode({"error": error}), content_type="application/json", status=400
    )
    status, body, record, _ = await ask(script, build_chat())
    told = json.loads(body)["error"]
    assert status == 400
    assert told["message"].startswith("bad voice *** word")
    assert max(len(told[name]) for name in ("message", "param", "code")) <= 500
    assert told["code"] == "canary_code"
    assert record.error_code == "upstream_rejected"
    assert "canary" not in str(record)


@pytest.mark.parametrize(
    ("lines", "body", "wait_s"),
    [
        ("Retry-After: 7\r\n", {}, "7"),
        ("X-RateLimit-Remaining-Tokens: 0\r\nX-RateLimit-Reset-Tokens: 1m2.5s\r\n", {}, "63"),
        ("", {"error": {"message": "m", "details": [{"retryDelay": "34.4s"}]}}, "35"),
    ],
    ids=["retry-after", "reset", "google"],
)
async def test_a_client_is_told_when_a_provider_wants_to_be_asked_again(
    lines: str, body: dict[str, Any], wait_s: str
) -> None:
    """Whatever the dialect of a 429, the client gets Retry-After in whole seconds."""
    script = Recorder(msgspec.json.encode(body), content_type="application/json", status=429)
    script.extra = lines
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        status, headers, _ = await post(server.url, build_chat())
    assert (status, headers["Retry-After"]) == (429, wait_s)
