"""Bodies over real sockets: their type, encoding, size, speed, and who may send them at all."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from proxy.domain.settings import ClientClocks
from tests.fakes.proxy_server import ANSWER, ProxyServer, build_chat, proxying
from tests.fakes.raw_client import CHAT, RawClient, build_head, build_request, connecting
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering

pytestmark = [pytest.mark.usefixtures("no_leaks"), pytest.mark.both_connections]

NOWHERE = "http://127.0.0.1:1/v1"
HASTY_S = 0.1
SLACK = 10
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def check_refused(
    client: RawClient, server: ProxyServer, status: int, code: str
) -> dict[str, Any]:
    """Read the refusal: its status and code, then the end of the connection, and one record."""
    answer = await client.read_answer()
    assert (answer.status, answer.error["code"]) == (status, code)
    assert answer.headers["connection"] == "close"
    assert await client.read_end() == b""
    (record,) = await server.observer.wait_for_records()
    assert (record.status, record.error_code) == (status, code)
    return answer.error


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "APPLICATION/Json",
        "application/json; charset=utf-8",
        'application/json ;profile="a;b"',
        "application/vnd.acme.v1+json",
        "application/ld+JSON; a=b",
    ],
)
async def test_every_way_to_say_json_is_taken(kind: str) -> None:
    """JSON may be declared in any case, with any parameters, and by a `+json` suffix."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        proxying(upstream.url) as server,
        connecting(server.port, build_request(content_type=kind)) as client,
    ):
        assert (await client.read_answer()).status == 200


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (None, "has none"),
        ("text/plain", "something else"),
        ("application/x-www-form-urlencoded", "curl -d"),
        ("application/jsonp", "something else"),
        ("text/json", "something else"),
        ("application/xml+json2", "something else"),
        ("multipart/form-data; boundary=" + "a" * 8000, "something else"),
        ("text/plain, application/json", "something else"),
    ],
)
async def test_any_other_type_is_refused_in_words_that_help(kind: str | None, told: str) -> None:
    """What is not declared as JSON is 415, and the message says which header to send."""
    async with (
        proxying(NOWHERE) as server,
        connecting(server.port, build_request(content_type=kind)) as client,
    ):
        answer = await client.read_answer()
    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")
    assert "'Content-Type: application/json'" in answer.error["message"]
    assert told in answer.error["message"]


@pytest.mark.parametrize(
    "encoding", ["gzip", "br", "zstd", "deflate", "x-unknown", "identity, gzip"]
)
async def test_a_compressed_body_is_refused_unopened(encoding: str) -> None:
    """Any encoding but identity is 415 `unsupported_encoding`; nothing is inflated."""
    request = build_request(b"\x1f\x8b not gzip", f"Content-Encoding: {encoding}")
    async with (
        proxying(NOWHERE) as server,
        connecting(server.port, request) as client,
    ):
        answer = await client.read_answer()
    assert (answer.status, answer.error["code"]) == (415, "unsupported_encoding")
    assert "uncompressed" in answer.error["message"]


async def test_identity_is_no_encoding() -> None:
    """A body may say that it is not compressed."""
    async with open_raw_upstream(answering(ANSWER)) as upstream, proxying(upstream.url) as server:
        request = build_request(CHAT, "Content-Encoding: Identity")
        async with connecting(server.port, request) as client:
            assert (await client.read_answer()).status == 200


async def test_a_declared_size_above_the_cap_is_refused_unread() -> None:
    """The head alone brings the 413, and the connection closes without a wait for the body."""
    async with (
        proxying(NOWHERE, max_body_bytes=2000) as server,
        connecting(server.port, build_head("Content-Length: 2001")) as client,
    ):
        error = await check_refused(client, server, 413, "request_too_large")
    assert "2000 bytes" in error["message"]


async def test_a_chunked_body_is_refused_at_the_cap() -> None:
    """Without a declared size the 413 comes when the cap is passed, while more is still sent."""
    async with proxying(NOWHERE, max_body_bytes=2000) as server:
        head = build_head("Transfer-Encoding: chunked")
        async with connecting(server.port, head + b"7d1\r\n" + b" " * 2001) as client:
            await check_refused(client, server, 413, "request_too_large")


async def test_crumbs_of_chunks_cost_little() -> None:
    """Chunks of one byte are refused long before the cap, for less than a second of CPU."""
    crumbs = b"1\r\n \r\n" * 10_000
    async with (
        proxying(NOWHERE) as server,
        connecting(server.port, build_head("Transfer-Encoding: chunked")) as client,
    ):

        async def flood() -> None:
            while True:
                await client.send(crumbs)

        started_s = time.process_time()
        flooding = asyncio.ensure_future(flood())
        error = await check_refused(client, server, 413, "request_too_large")
        # Ours is in it too: both ends run in this process.
        spent_s = time.process_time() - started_s
        flooding.cancel()
        await asyncio.wait([flooding])
    assert "small chunks" in error["message"]
    assert spent_s < 0.15 * SLACK


async def test_many_good_chunks_are_taken() -> None:
    """A body of more chunks than are free is taken if they hold something."""
    chunk = b"40\r\n" + b" " * 64 + b"\r\n"
    script = answering(ANSWER)
    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url) as server,
        connecting(server.port, build_head("Transfer-Encoding: chunked")) as client,
    ):
        await client.send(chunk * 70_000)
        await client.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(CHAT), CHAT))
        assert (await client.read_answer()).status == 200


@pytest.mark.parametrize("sent", [b"", CHAT[:-5]])
async def test_a_silent_body_is_a_timeout(sent: bytes) -> None:
    """After `body_s` of silence the client gets 408, and the connection closes."""
    clocks = ClientClocks(body_s=HASTY_S)
    async with proxying(NOWHERE, client_clocks=clocks) as server:
        started_s = asyncio.get_running_loop().time()
        head = build_head(f"Content-Length: {len(CHAT)}")
        async with connecting(server.port, head + sent) as client:
            await check_refused(client, server, 408, "request_timeout")
    assert HASTY_S <= asyncio.get_running_loop().time() - started_s < HASTY_S * SLACK * SLACK


async def dribble(client: RawClient, ended: asyncio.Event, every_s: float) -> None:
    """Send one byte after the other, `every_s` apart, until the server has had enough."""
    while not ended.is_set():
        client.writer.write(b" ")
        try:
            await asyncio.wait_for(ended.wait(), every_s)
        except TimeoutError:
            continue


@pytest.mark.parametrize(
    ("settings", "least_s"),
    [
        ({"client_clocks": ClientClocks(body_s=0.2), "min_body_bytes_per_s": 1024}, 0.2),
        ({"request_timeout_s": 0.3, "min_body_bytes_per_s": 1}, 0.3),
    ],
    ids=["too slow", "too long"],
)
async def test_a_dribbling_body_is_a_timeout(settings: dict[str, Any], least_s: float) -> None:
    """A body that is never silent ends by its speed, and at the latest by the whole deadline."""
    async with proxying(NOWHERE, **settings) as server:
        started_s = asyncio.get_running_loop().time()
        async with connecting(server.port, build_head("Content-Length: 5000")) as client:
            ended = asyncio.Event()
            dribbling = asyncio.ensure_future(dribble(client, ended, 0.01))
            await check_refused(client, server, 408, "request_timeout")
            ended.set()
            await dribbling
    assert least_s <= asyncio.get_running_loop().time() - started_s < least_s * SLACK * SLACK


async def test_a_slow_body_that_is_fast_enough_is_taken() -> None:
    """Longer than `body_s` is fine for a body that keeps coming at its least speed."""
    # More than a machine stands still for: a pause must not look like silence.
    clocks = ClientClocks(body_s=1.0)
    settings: dict[str, Any] = {"client_clocks": clocks, "min_body_bytes_per_s": 1}
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        proxying(upstream.url, **settings) as server,
    ):
        head = build_head(f"Content-Length: {len(CHAT) + 22}")
        async with connecting(server.port, head) as client:
            for _ in range(22):
                client.writer.write(b" ")
                # Nothing announces that time passes; the body must take longer than its clock.
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.reader.read(1), 0.05)
            await client.send(CHAT)
            assert (await client.read_answer()).status == 200


async def test_a_body_whose_framing_breaks_off_is_refused() -> None:
    """A chunk that is no chunk is 400 `invalid_http`, also when the head has come before it."""
    async with (
        proxying(NOWHERE) as server,
        connecting(server.port, build_head("Transfer-Encoding: chunked")) as client,
    ):
        await client.send(b"1\r\n \r\n")
        await client.send(b"zz\r\n")
        await check_refused(client, server, 400, "invalid_http")


async def test_continue_is_told_right_before_the_body_is_read() -> None:
    """A client that waits for `100 Continue` gets it once, and its request is answered."""
    async with open_raw_upstream(answering(ANSWER)) as upstream, proxying(upstream.url) as server:
        head = build_head(f"Content-Length: {len(CHAT)}", "Expect: 100-Continue")
        async with connecting(server.port, head) as client:
            assert await client.read_head() == (100, {})
            await client.send(CHAT)
            assert (await client.read_answer()).status == 200
            await client.send(build_request())
            assert (await client.read_answer()).status == 200


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_continue_is_not_told_where_nobody_waits_for_it(version: str) -> None:
    """A client of HTTP/1.0, or one whose body has come with the head, gets its answer only."""
    request = build_request(CHAT, "Expect: 100-continue")
    line = f"POST /v1/chat/completions HTTP/{version}"
    if version == "1.0":
        request = build_request(CHAT, "Expect: 100-continue", line=line)
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        proxying(upstream.url) as server,
        connecting(server.port, request) as client,
    ):
        assert (await client.read_answer()).status == 200


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (build_head("Content-Length: 200000000"), 413, "request_too_large"),
        (build_head("Content-Length: 9", content_type="text/plain"), 415, "unsupported_media_type"),
        (build_head("Content-Length: 9", "Content-Encoding: br"), 415, "unsupported_encoding"),
        (
            build_head("Content-Length: 9").replace(b"Bearer sk", b"Bearer no"),
            401,
            "invalid_api_key",
        ),
    ],
    ids=["size", "type", "encoding", "key"],
)
async def test_a_refused_body_is_never_asked_for(head: bytes, status: int, code: str) -> None:
    """What the head tells is checked before `100 Continue`; refused, the connection closes."""
    head = head.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    async with (
        proxying(NOWHERE) as server,
        connecting(server.port, head) as client,
    ):
        await check_refused(client, server, status, code)


async def test_the_body_clock_runs_while_a_client_may_continue() -> None:
    """A client that is told to continue and does not is a timeout like any other."""
    clocks = ClientClocks(body_s=HASTY_S)
    async with proxying(NOWHERE, client_clocks=clocks) as server:
        head = build_head("Content-Length: 9", "Expect: 100-continue")
        async with connecting(server.port, head) as client:
            assert await client.read_head() == (100, {})
            await check_refused(client, server, 408, "request_timeout")


@pytest.mark.parametrize("expected", ["200-ok", "100-continue, other", "x" * 5000])
async def test_any_other_expectation_fails(expected: str) -> None:
    """What cannot be met is 417 in JSON, whether the body has come or not."""
    async with proxying(NOWHERE) as server:
        for body in (CHAT, b""):
            head = build_head(f"Content-Length: {len(CHAT)}", f"Expect: {expected}")
            async with connecting(server.port, head + body) as client:
                answer = await client.read_answer()
            assert (answer.status, answer.error["code"]) == (417, "expectation_failed")


async def test_an_expectation_without_a_body_waits_for_nothing() -> None:
    """There is nothing to continue with: the empty body is what is wrong."""
    async with (
        proxying(NOWHERE) as server,
        connecting(server.port, build_head("Expect: 100-continue")) as client,
    ):
        answer = await client.read_answer()
    assert (answer.status, answer.error["code"]) == (400, "invalid_json")


async def test_a_refusal_keeps_the_connection_of_a_short_body_that_is_on_its_way() -> None:
    """A refused client whose small body is still coming can send its next request at once."""
    async with open_raw_upstream(answering(ANSWER)) as upstream, proxying(upstream.url) as server:
        head = build_head(f"Content-Length: {len(CHAT)}")
        async with connecting(server.port, head.replace(b"Bearer sk", b"Bearer no")) as client:
            assert (await client.read_answer()).status == 401
            await client.send(CHAT + build_request())
            assert (await client.read_answer()).status == 200


async def test_nothing_behind_a_refused_body_is_taken_for_a_request() -> None:
    """What follows a 413 on its connection is dropped, however much it looks like a request."""
    script = answering(ANSWER)
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        head = build_head("Content-Length: 200000000")
        async with connecting(server.port, head + build_request()) as client:
            await check_refused(client, server, 413, "request_too_large")
    assert script.requests == []


async def test_a_refused_body_does_not_hold_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever goes on sending after a 413 is cut off soon, without anything being read."""
    for module in ("runner", "lean_connection"):
        monkeypatch.setattr(f"proxy.server.{module}.FAREWELL_S", HASTY_S)
    async with proxying(NOWHERE) as server:
        head = build_head("Content-Length: 900000000")
        async with connecting(server.port, head) as client:
            started_s = asyncio.get_running_loop().time()
            with suppress(ConnectionError):
                while not client.writer.transport.is_closing():
                    await client.send(b" " * 65_536)
    assert asyncio.get_running_loop().time() - started_s < HASTY_S * SLACK * SLACK


async def test_a_key_that_is_unknown_costs_no_body() -> None:
    """Strangers are refused by their head; a body that never comes is not waited for."""
    async with proxying(NOWHERE) as server:
        head = build_head("Content-Length: 30000000").replace(b"Bearer sk", b"Bearer no")
        async with connecting(server.port, head) as client:
            await check_refused(client, server, 401, "invalid_api_key")


@pytest.mark.parametrize("size_bytes", [1_000, 60_000, 100_000, 250_000, 1_000_000])
async def test_requests_behind_a_body_are_answered_whatever_its_size(size_bytes: int) -> None:
    """Two requests sent in one piece are both answered, whether or not a body stopped reading."""
    body = msgspec.json.encode(build_chat(user="u" * size_bytes))
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        proxying(upstream.url) as server,
        connecting(server.port, build_request(body) * 3) as client,
    ):
        assert [(await client.read_answer()).status for _ in range(3)] == [200] * 3
