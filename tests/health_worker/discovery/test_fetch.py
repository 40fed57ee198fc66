"""Answers are bounded, faults have words, and lines come one by one however they are split."""

import asyncio

import pytest

from health_worker.discovery.base import SourceFailed
from health_worker.discovery.fetch import MAX_BODY_BYTES, Fetcher
from tests.fakes.ports import find_port
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_a_body_that_is_too_large_is_dropped() -> None:
    """More than is read of an answer is a failure, before all of it has come."""

    async def flood(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked("application/json")
        for _ in range(MAX_BODY_BYTES // 65536 + 1):
            await connection.chunk(b" " * 65536)
        await connection.watch()

    async with open_raw_upstream(flood) as upstream:
        fetcher = Fetcher(upstream.url)
        with pytest.raises(SourceFailed, match="too large"):
            await fetcher.get("/x", {})
        await upstream.connections[0].wait_closed()
        await fetcher.close()


async def test_silence_and_refusal_have_words() -> None:
    """A server that says nothing, and one that is not there, are failures without an address."""

    async def keep_silent(connection: UpstreamConnection) -> None:
        await connection.watch()

    async with open_raw_upstream(keep_silent) as upstream:
        fetcher = Fetcher(upstream.url)
        with pytest.raises(SourceFailed, match=r"no answer within 0\.05 s"):
            await fetcher.get("/x", {}, 0.05)
        await fetcher.close()
    fetcher = Fetcher(f"http://127.0.0.1:{find_port()}")
    with pytest.raises(SourceFailed, match=r"^connection refused$"):
        await fetcher.get("/x", {})
    await fetcher.close()


async def test_metadata_services_stay_out_of_reach() -> None:
    """Even the operator's own address cannot be one of a cloud's metadata service."""
    fetcher = Fetcher("http://169.254.169.254/latest")
    with pytest.raises(SourceFailed, match="not allowed"):
        await fetcher.get("/x", {})
    await fetcher.close()


async def test_lines_come_as_they_are_complete() -> None:
    """Lines are the same however they are split, and what has broken off is a failure."""
    go_on = asyncio.Event()

    async def speak(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked("application/json")
        for part in (b"on", b"e\ntwo\n\nth", b"ree\n"):
            await connection.chunk(part)
        await go_on.wait()
        connection.reset()

    async with open_raw_upstream(speak) as upstream:
        fetcher = Fetcher(upstream.url)
        stream = await fetcher.stream("/x", {"X-Token": "t"})
        assert stream.status == 200
        assert [await stream.read_line(5.0) for _ in range(3)] == [b"one", b"two", b"three"]
        assert not stream.has_line
        with pytest.raises(SourceFailed, match=r"nothing came for 0\.01 s"):
            await stream.read_line(0.01)
        go_on.set()
        with pytest.raises(SourceFailed, match="the connection broke"):
            await stream.read_line(5.0)
        stream.close()
        await fetcher.close()
