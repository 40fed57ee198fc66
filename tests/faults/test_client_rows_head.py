"""
Rows C8, C9, C25 and C26: sizes, versions, methods and expectations, before a body is looked at.

All bytes are a test's own. Whatever HTTP makes of them, the client reads JSON in one shape, and
a connection whose framing is in doubt closes.
"""

import time

import pytest

from proxy.domain.settings import ClientClocks
from tests.fakes.proxy_server import KEY
from tests.faults.asking import SLACK, Asked, asking
from tests.faults.oracle import build_request
from tests.faults.test_client_rows_body import GOOD, check_answered

KEYED = f"Host: a\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n".encode()
MODELS = b"GET /v1/models HTTP/1.1\r\n" + KEYED
POST = b"POST /v1/chat/completions HTTP/1.1\r\n" + KEYED
SIZED = b"Content-Length: %d\r\n" % len(GOOD)
END = b"\r\n"


def check_edge(asked: Asked, fault: str | None = "invalid_http") -> None:
    """Check that what is not HTTP was counted as that."""
    assert asked.judge.server.observer.connection_faults == ([] if fault is None else [fault])


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GET /" + b"a" * 8191 + b" HTTP/1.1\r\n" + KEYED + END, id="target"),
        pytest.param(b"GET /?" + b"a" * 70_000 + b" HTTP/1.1\r\n" + KEYED + END, id="query"),
        pytest.param(MODELS + b"X-A: " + b"a" * 8191 + END + END, id="value"),
        pytest.param(MODELS + b"X-A: " + b"a" * 1_000_000 + END + END, id="long value"),
        pytest.param(MODELS + b"X" * 8191 + b": a" + END + END, id="name"),
        pytest.param(MODELS + b"X-A: a\r\n" * 129 + END, id="many"),
        pytest.param(MODELS + b"X-A: a\r\n" * 10_000 + END, id="very many"),
        pytest.param(
            POST + b"Content-Type: multipart/form-data; boundary=" + b"x" * 10_000_000 + END + END,
            id="boundary",
        ),
    ],
)
async def test_c8_heads_that_are_too_large(request_bytes: bytes) -> None:
    """C8, C23: 431 in JSON, the connection closes, and the log has nothing of the head."""
    async with asking() as asked:
        outcome = await asked.post_raw(request_bytes)
        asked.check_refused(outcome, 431, "request_head_too_large")
        assert outcome.reply.closes
        check_edge(asked)
    for line in asked.judge.log_lines:
        # An id of ours is random and may hold these letters by itself.
        told = {name: value for name, value in line.items() if name != "request_id"}
        assert "aaaa" not in str(told)


async def test_c8_what_just_fits_passes() -> None:
    """C8: 8,000 bytes in one header and 100 headers are taken."""
    async with asking() as asked:
        padding = b"X-A: " + b"a" * 8000 + END + b"X-B: b\r\n" * 100
        closing = b"Connection: close\r\n"
        check_answered(await asked.post_raw(POST + padding + closing + SIZED + END + GOOD))


async def test_c9_a_declared_size_is_refused_before_a_byte_is_read() -> None:
    """C9: a Content-Length above the cap is 413 at once, although nothing of the body comes."""
    async with asking(max_body_bytes=1000) as asked:
        outcome = await asked.post_raw(POST + b"Content-Length: 1001\r\n\r\n")
        asked.check_refused(outcome, 413, "request_too_large")
        assert outcome.reply.closes


@pytest.mark.parametrize("size", [1, 100, 1000])
async def test_c9_chunks_are_refused_at_the_cap(size: int) -> None:
    """C9: an endless chunked body is 413 as soon as the cap is passed; no chunk is too small."""
    chunk = b"%x\r\n%b\r\n" % (size, b" " * size)
    async with asking(max_body_bytes=20_000) as asked:
        before_s = time.process_time()
        chunks = chunk * (20_001 // size + 1)
        outcome = await asked.post_raw(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        assert time.process_time() - before_s < 0.05 * SLACK
        asked.check_refused(outcome, 413, "request_too_large")
        assert outcome.reply.closes


async def test_c9_a_chunked_body_below_the_cap_passes() -> None:
    """C9: one byte a chunk is no fault."""
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in GOOD) + b"0\r\n\r\n"
    head = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with asking() as asked:
        check_answered(await asked.post_raw(head + chunks))
        assert asked.sent()["model"] == "m"


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GET /v1/models\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"GET /v1/models HTTP/2.0\r\n" + KEYED + END, id="HTTP/2.0"),
        pytest.param(b"GET /v1/models HTTP/1.2\r\n" + KEYED + END, id="HTTP/1.2"),
        pytest.param(b"GET /v1/models HTTP/3\r\n" + KEYED + END, id="HTTP/3"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 with prior knowledge"),
        pytest.param(
            b"POST /v1/chat/completions HTTP/1.0\r\n" + KEYED
            + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="1.0 with chunks"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x91" * 32, id="TLS"),
        pytest.param(b"\x00" * 64, id="NULs"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="SSH"),
        pytest.param(b"*1\r\n$4\r\nPING\r\n", id="Redis"),
        pytest.param(MODELS + b"No colon\r\n\r\n", id="no colon"),
        pytest.param(MODELS + b"X-A : a\r\n\r\n", id="space before a colon"),
        pytest.param(MODELS + b"X-A: a\0b\r\n\r\n", id="NUL in a value"),
        pytest.param(MODELS + b"X-A: a\r\n b\r\n\r\n", id="folded line"),
        pytest.param(b"GET /v1/ models HTTP/1.1\r\n" + KEYED + END, id="space in the target"),
        pytest.param(b"GET v1/models HTTP/1.1\r\n" + KEYED + END, id="no slash"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\n" + KEYED + END, id="asterisk"),
        pytest.param(b"GET /v1/models HTTP/1.1\r\n\r\n", id="no Host"),
    ],
)  # fmt: skip
async def test_c25_what_is_not_http(request_bytes: bytes) -> None:
    """C25: anything but HTTP/1.0 and 1.1 in good form is 400 in JSON, and the connection closes."""
    async with asking() as asked:
        outcome = await asked.post_raw(request_bytes)
        asked.check_refused(outcome, 400, "invalid_http")
        assert outcome.reply.closes
        check_edge(asked)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PUT", "DELETE", "PATCH", "PROPFIND"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/health"])
async def test_c25_other_methods(method: str, path: str) -> None:
    """C25: a path takes the methods that it lists; TRACE repeats nothing."""
    head = f"{method} {path} HTTP/1.1\r\n".encode() + KEYED + b"Connection: close\r\n\r\n"
    async with asking() as asked:
        outcome = await asked.post_raw(head)
        asked.check_refused(outcome, 405, "method_not_allowed")
        assert outcome.reply.headers["allow"]


async def test_c25_connect_to_elsewhere() -> None:
    """C25: CONNECT to another host opens no tunnel."""
    async with asking() as asked:
        outcome = await asked.post_raw(b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n" + KEYED + END)
        assert outcome.verdict in (
            ("refused", 405, "method_not_allowed"),
            ("refused", 400, "invalid_http"),
        )
        assert outcome.reply.closes


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.2"])
async def test_c25_an_upgrade_is_ignored(protocol: str) -> None:
    """C25: a request that would change the protocol is answered as HTTP/1.1, and so is the next."""
    upgrade = f"Connection: Upgrade\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABk\r\n".encode()
    requests = POST + upgrade + SIZED + END + GOOD + build_request(GOOD)
    async with asking() as asked:
        for outcome in await asked.judge.ask_many(requests, 2):
            check_answered(outcome)
        assert len(asked.upstream.requests) == 2


EXPECTING = b"Expect: 100-continue\r\n"


async def test_c26_a_good_request_is_told_to_go_on() -> None:
    """C26: with a good key and a size that fits, 100 comes before the body is waited for."""
    async with asking() as asked:
        request = POST + b"Connection: close\r\n" + EXPECTING + SIZED + END
        reader, writer = await asked.connect()
        writer.write(request)
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert await reader.readline() == END
        writer.write(GOOD)
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        asked.judge.allow_unseen()


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (POST.replace(KEY.encode(), b"sk-no") + SIZED, 401, "invalid_api_key"),
        (POST + b"Content-Length: 1001\r\n", 413, "request_too_large"),
        (POST.replace(b"application/json", b"text/plain") + SIZED, 415, "unsupported_media_type"),
        (POST + SIZED + b"Content-Encoding: gzip\r\n", 415, "unsupported_encoding"),
    ],
)
async def test_c26_a_bad_request_is_not_told_to_go_on(head: bytes, status: int, code: str) -> None:
    """C26: key, size and type are judged before 100; the refusal is the first thing to come."""
    async with asking(max_body_bytes=1000) as asked:
        reader, writer = await asked.connect()
        writer.write(head + EXPECTING + END)
        received = await reader.read()
        writer.close()
        asked.judge.allow_unseen()
        assert received.startswith(b"HTTP/1.1 %d " % status)
        assert code.encode() in received
        assert b"\r\nConnection: close\r\n" in received
        assert asked.upstream.requests == []


async def test_c26_the_clock_of_the_body_runs_while_it_is_waited_for() -> None:
    """C26: who is told to go on and does not is 408 by the clock of bodies."""
    async with asking(clocks=ClientClocks(body_s=0.05)) as asked:
        outcome = await asked.post_raw(POST + EXPECTING + SIZED + END)
        asked.check_refused(outcome, 408, "request_timeout")
        assert outcome.reply.closes


@pytest.mark.parametrize("value", ["100-continues", "200-ok", "x, 100-continue", "\x7f"])
async def test_c26_other_expectations(value: str) -> None:
    """C26: any other expectation is 417 in JSON."""
    expect = f"Expect: {value}\r\n".encode("latin-1")
    async with asking() as asked:
        outcome = await asked.post_raw(POST + expect + SIZED + b"Connection: close\r\n\r\n" + GOOD)
        if value.isprintable():
            asked.check_refused(outcome, 417, "expectation_failed")
        else:
            assert outcome.reply.status in (400, 417)
