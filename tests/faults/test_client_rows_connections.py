"""
Rows C2 to C7, C10 and C11: clients that leave, stall, hurry, dawdle or come in crowds.

An upstream here is let go of as soon as its client is, and every request that reached a handler
has one record, whoever left first.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from proxy.domain.exchange import RequestRecord
from proxy.domain.settings import ClientClocks, Settings
from proxy.server.connection_counts import ConnectionCounts
from tests.fakes.proxy_server import ANSWER, DONE, build_chunk, proxying
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.upstream_scripts import Recorder
from tests.faults.asking import SLACK, asking
from tests.faults.oracle import Judge, build_body, build_request, judging, read_tag
from tests.faults.raw_client import parse_reply
from tests.faults.test_client_rows_body import GOOD, check_answered
from tests.faults.test_client_rows_head import POST

LEAVE_S = 0.5 * SLACK
"""A client that has left is noticed within a quarter of a second."""
TAG = b"tag-00000000"
STREAM = build_request(build_body(TAG, stream=True))
FINISH = build_chunk(finish="stop")


class Held:
    """An upstream's script: some events, and then nothing until the proxy closes."""

    def __init__(self, *events: bytes) -> None:
        self.events = events
        self.asked = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, connection: UpstreamConnection) -> None:
        await connection.read_request()
        if self.events:
            await connection.start_chunked()
            for event in self.events:
                await connection.chunk(event)
        self.asked.set()
        await connection.watch()
        self.left.set()

    async def wait_left(self) -> None:
        """Return once the proxy has closed its connection, within what is promised."""
        async with asyncio.timeout(LEAVE_S):
            await self.left.wait()


@asynccontextmanager
async def holding(script: Held, **settings: Any) -> AsyncIterator[Judge]:
    """Serve an upstream that never comes to an end."""
    async with (
        open_raw_upstream(script) as upstream,
        judging(proxying(upstream.url, **settings)) as judge,
    ):
        yield judge


async def connect(judge: Judge) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a client's connection that the judge does not look at."""
    return await asyncio.open_connection("127.0.0.1", judge.server.port)


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection with a TCP reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_one(judge: Judge) -> RequestRecord:
    """Return the one record there is."""
    (record,) = await judge.read_records()
    return record


@pytest.mark.parametrize("manner", ["close", "reset"])
@pytest.mark.parametrize("streams", [True, False])
async def test_c2_gone_before_the_first_token(streams: bool, manner: str) -> None:
    """C2: the provider is let go of at once, and the log says that the client saw nothing."""
    script = Held()
    async with holding(script) as judge:
        _, writer = await connect(judge)
        writer.write(build_request(build_body(TAG, stream=streams)))
        await script.asked.wait()
        writer.close() if manner == "close" else reset(writer)
        await script.wait_left()
        judge.expect_left()
        record = await read_one(judge)
        assert (record.ending, record.status) == ("client_closed", 499)
        (attempt,) = record.attempts
        assert attempt.outcome == "client_closed"


@pytest.mark.parametrize("manner", ["close", "reset"])
async def test_c3_gone_in_the_middle_of_a_stream(manner: str) -> None:
    """C3: the provider is let go of at once, and what was delivered has been counted."""
    script = Held(build_chunk("a few words that were delivered"))
    async with holding(script) as judge:
        reader, writer = await connect(judge)
        writer.write(STREAM)
        await reader.readuntil(b"delivered")
        writer.close() if manner == "close" else reset(writer)
        await script.wait_left()
        judge.expect_left()
        record = await read_one(judge)
        assert (record.ending, record.status) == ("client_closed", 200)
        assert record.usage is not None
        assert record.usage.source == "estimated"
        assert record.usage.input_tokens > 0
        assert record.usage.output_tokens > 0


async def test_c4_a_reader_that_has_stalled() -> None:
    """C4: the provider is not read from any more, and after `write_stall_s` the client is cut."""
    event = build_chunk("x" * 60_000)
    sent = 0
    ended = asyncio.Event()

    async def flood(connection: UpstreamConnection) -> None:
        nonlocal sent
        await connection.read_request()
        await connection.start_chunked()
        try:
            while True:
                await connection.chunk(event)
                sent += len(event)
        finally:
            ended.set()

    clocks = ClientClocks(write_stall_s=0.2)
    async with (
        open_raw_upstream(flood) as upstream,
        judging(proxying(upstream.url, client_clocks=clocks)) as judge,
    ):
        reader, writer = await connect(judge)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(STREAM)
        async with asyncio.timeout(SLACK):
            await ended.wait()
        judge.expect_left()
        record = await read_one(judge)
        assert record.ending == "client_closed"
        assert judge.server.observer.connection_faults == ["write_stall"]
        writer.close()
    # Kernels buffer some megabytes on the way; a server that read on would have taken hundreds.
    assert sent < 64 * 1024 * 1024


async def test_c5_a_slow_reader_gets_everything() -> None:
    """C5: who reads slowly, but never stops for `write_stall_s`, has the stream to its end."""
    events = [build_chunk("x" * 60_000) for _ in range(200)]
    script = Recorder(*events, FINISH, DONE)
    clocks = ClientClocks(write_stall_s=0.3)
    async with asking(script, clocks=clocks) as asked:
        reader, writer = await asked.connect()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        writer.write(STREAM)
        received = bytearray()
        pause = asyncio.Event()
        loop = asyncio.get_running_loop()
        # Three times as long as a reader may stand still, all in all.
        for _ in range(30):
            received += await reader.readexactly(60_000)
            loop.call_later(0.03, pause.set)
            await pause.wait()
            pause.clear()
        while part := await reader.read(65_536):
            received += part
        writer.close()
        asked.judge.allow_unseen()
        assert asked.judge.server.observer.connection_faults == []
    reply = parse_reply(bytes(received), at_end=True)
    assert reply is not None
    assert reply[0].body.count(b"x" * 60_000) == len(events)
    assert reply[0].body.endswith(DONE)


async def test_c6_half_a_close_is_a_whole_one() -> None:
    """C6: a client that shuts down its side has left: it gets nothing, and nothing leaks."""
    script = Held()
    async with holding(script) as judge:
        reader, writer = await connect(judge)
        writer.write(STREAM)
        await script.asked.wait()
        writer.write_eof()
        await script.wait_left()
        assert await reader.read() == b""
        writer.close()
        judge.expect_left()
        assert (await read_one(judge)).ending == "client_closed"


async def test_c7_a_thousand_requests_at_once() -> None:
    """C7: pipelined requests are answered in their order, each with its own answer and record."""

    async def repeat_tags(connection: UpstreamConnection) -> None:
        while True:
            _, _, body = await connection.read_request()
            await connection.answer(msgspec.json.encode({**ANSWER, "id": read_tag(body).decode()}))

    tags = [b"tag-%08d" % number for number in range(1000)]
    requests = [
        build_request(build_body(tag), headers={"Connection": "keep-alive"}) for tag in tags
    ]
    requests[-1] = build_request(build_body(tags[-1]))
    async with (
        open_raw_upstream(repeat_tags) as upstream,
        judging(proxying(upstream.url)) as judge,
    ):
        outcomes = await judge.ask_many(b"".join(requests), len(requests))
        assert [outcome.tags for outcome in outcomes] == [{tag} for tag in tags]


@pytest.mark.parametrize("count", [2, 500])
async def test_c7_leaving_cancels_the_rest(count: int) -> None:
    """C7: a client that pipelines and leaves is noticed; what had not begun never begins."""
    script = Held()
    async with holding(script) as judge:
        _, writer = await connect(judge)
        writer.write(build_request(GOOD, headers={"Connection": "keep-alive"}) * count)
        await script.asked.wait()
        writer.close()
        await script.wait_left()
        judge.expect_left()
        assert (await read_one(judge)).ending == "client_closed"
        assert len(judge.server.observer.started) == 1


@pytest.mark.parametrize(
    "head", [b"", b"P", b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n", POST + b"X-A: a\r\n"]
)
async def test_c10_a_head_that_does_not_come(head: bytes) -> None:
    """C10: a head that is not whole after `head_s` is 408 `request_timeout`, and a close."""
    clocks = ClientClocks(head_s=0.05)
    async with asking(clocks=clocks) as asked, asyncio.timeout(SLACK):
        outcome = await asked.post_raw(head, is_recorded=False)
        asked.check_refused(outcome, 408, "request_timeout")
        assert outcome.reply.closes
        assert asked.judge.server.observer.connection_faults == ["head_timeout"]


async def test_c10_the_clock_of_a_head_begins_anew_with_each_request() -> None:
    """C10: on a connection that is kept, the next head has its own `head_s`."""
    clocks = ClientClocks(head_s=0.1)
    async with asking(clocks=clocks) as asked:
        kept = build_request(GOOD, headers={"Connection": "keep-alive"})
        asked.judge.allow_unseen(1)
        both = kept + b"POST /v1/chat"
        first, second = await asked.judge.ask_many(both, 2, is_recorded=False)
        check_answered(first)
        assert second.verdict == ("refused", 408, "request_timeout")
        assert len(asked.upstream.requests) == 1


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("start", [b"", b"5\r\n{"])
async def test_c10_a_body_that_falls_silent(framing: bytes, start: bytes) -> None:
    """C10: a silence of `body_s` within a body is 408 `request_timeout`, and a close."""
    clocks = ClientClocks(body_s=0.05)
    async with asking(clocks=clocks) as asked, asyncio.timeout(SLACK):
        outcome = await asked.post_raw(POST + framing + b"\r\n\r\n" + start)
        asked.check_refused(outcome, 408, "request_timeout")
        assert outcome.reply.closes


async def test_c10_a_body_that_drips() -> None:
    """C10: bytes that keep coming, but too slowly, are 408 once `body_s` is over."""
    clocks = ClientClocks(body_s=0.2)
    async with asking(clocks=clocks, min_body_bytes_per_s=100_000) as asked:
        reader, writer = await asked.connect()
        writer.write(POST + b"Content-Length: 1000000\r\n\r\n")
        loop = asyncio.get_running_loop()

        def drip() -> None:
            if not writer.is_closing():
                writer.write(b" ")
                loop.call_later(0.01, drip)

        drip()
        async with asyncio.timeout(SLACK):
            head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nConnection: close\r\n" in head
        assert asked.upstream.requests == []
        asked.judge.allow_unseen()


async def test_c11_more_connections_than_a_worker_takes() -> None:
    """C11: what comes above the cap is reset at once; those who were there are served on."""
    async with asking(max_client_connections=3) as asked, asyncio.timeout(SLACK):
        kept = [await asked.connect() for _ in range(3)]
        health = b"GET /health/liveness HTTP/1.1\r\nHost: a\r\n\r\n"
        for reader, writer in kept:
            writer.write(health)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        for _ in range(5):
            reader, writer = await asked.connect()
            with pytest.raises(ConnectionResetError):
                writer.write(health)
                # A reset that has come already reads as an end.
                if not await reader.read():
                    raise ConnectionResetError
            writer.close()
        faults = asked.judge.server.observer.connection_faults
        assert faults == ["connection_rejected"] * 5
        for reader, writer in kept:
            writer.write(POST + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
            assert b"invalid_json" in await reader.read()
            writer.close()
        asked.judge.allow_unseen(3)
        check_answered(await asked.post())


@pytest.mark.parametrize(
    ("peers", "is_counted"),
    [
        (["203.0.113.7"], True),
        (["::ffff:203.0.113.7", "203.0.113.7"], True),
        (["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::"], True),
        (["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"], False),
        (["198.51.100.9"], False),
    ],
)
def test_c11_more_connections_than_an_address_may_have(peers: list[str], is_counted: bool) -> None:
    """C11: an address or IPv6 network has 256, but for loopback and proxies that are trusted."""
    settings = Settings(trusted_proxies=("198.51.100.0/24",))
    counts = ConnectionCounts()
    admitted = [counts.admit(peers[number % len(peers)], settings) for number in range(256)]
    assert None not in admitted
    refused = [peer for peer in peers if counts.admit(peer, settings) is None]
    assert refused == (peers if is_counted else [])
    assert counts.admit("192.0.2.1", settings) is not None
    for admission in admitted:
        assert admission is not None
        admission.release()
    assert counts.admit(peers[0], settings) is not None
