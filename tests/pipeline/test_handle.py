"""However a request ends: its upstream is let go of at once, and there is one record of it."""

import asyncio
import gc

import aiohttp
import pytest

from proxy.pipeline.context import Exchange
from tests.fakes.proxy_server import (
    AUTH,
    build_chat,
    build_chunk,
    build_provider,
    build_snapshot,
    proxying,
    serving,
)
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream

pytestmark = pytest.mark.usefixtures("no_leaks")

SECONDS_ALLOWED = 0.1 * 10
"""The promise is 100 ms; it is asserted at ten times that, as every promised delay."""


@pytest.mark.parametrize("moment", ["before the head", "before content", "after content", "json"])
async def test_the_upstream_is_closed_soon_after_the_client_left(moment: str) -> None:
    """On streams, on JSON answers and before the first token: closed within 100 ms, one record."""
    reached = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        if moment == "json":
            await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        elif moment != "before the head":
            await connection.start_chunked()
            await connection.chunk(build_chunk())
        if moment == "after content":
            await connection.chunk(build_chunk("he"))
        reached.set()
        await connection.watch()

    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        async with aiohttp.ClientSession() as session:
            task = asyncio.ensure_future(
                session.post(
                    server.url + "/chat/completions",
                    json=build_chat(stream=moment != "json"),
                    headers=AUTH,
                )
            )
            await reached.wait()
            if moment == "after content":
                answer = await task
                await answer.content.readany()
                answer.close()
            else:
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            left_s = asyncio.get_running_loop().time()
            closed_s = await upstream.connections[0].wait_closed()
        (record,) = await server.observer.wait_for_records()
        assert closed_s - left_s < SECONDS_ALLOWED
        assert record.ending == "client_closed"
        assert record.status == (200 if moment == "after content" else 499)
        assert [attempt.outcome for attempt in record.attempts] == ["client_closed"]
        assert server.observer.started == ["up"]


BROKEN_EVENTS = {
    "bad event": b"data: {x\n\n",
    "bad choice": b'data: {"choices":[{"index":-1}]}\n\n',
    "bad text": b'data: {"choices":[{"delta":"\xff}]}\n\n',
    "error event": b'data: {"error":{"message":"m","type":"overloaded_error"}}\n\n',
}
KINDS = ["no key", "refused", "500", "html", "cut", "cut at once", *BROKEN_EVENTS]


@pytest.mark.parametrize("transport", ["httptools", "aiohttp"])
@pytest.mark.parametrize("fails_over", [False, True], ids=["alone", "failing over"])
@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_of_a_failed_request_waits_for_the_collector(
    kind: str, fails_over: bool, transport: str, loopback_port: int
) -> None:
    """A flood of errors keeps no request, body or connection: each goes with its answer."""

    async def fail(connection: UpstreamConnection) -> None:
        while True:
            await connection.read_request()
            if kind in ("500", "html"):
                status = 200 if kind == "html" else 500
                await connection.answer(b"{}", status=status, content_type="text/html")
                continue
            await connection.start_chunked()
            # What fails over has shown nothing before.
            if not fails_over and kind != "cut at once":
                await connection.chunk(build_chunk("he"))
            if kind in BROKEN_EVENTS:
                await connection.chunk(BROKEN_EVENTS[kind])
                await connection.watch()
            connection.reset()
            return

    async def succeed(connection: UpstreamConnection) -> None:
        while True:
            await connection.read_request()
            await connection.start_chunked()
            for data in (build_chunk("he"), build_chunk(finish="stop"), b"data: [DONE]\n\n", b""):
                await connection.chunk(data)

    async with open_raw_upstream(fail) as bad, open_raw_upstream(succeed) as good:
        url = f"http://127.0.0.1:{loopback_port}/v1" if kind == "refused" else bad.url
        providers = [build_provider(url, name="bad", transport=transport)]
        if fails_over:
            providers.append(build_provider(good.url, name="good", transport=transport, priority=2))
        snapshot = build_snapshot(*providers)
        async with serving(snapshot) as server, aiohttp.ClientSession() as session:
            gc.collect()
            gc.disable()
            try:
                for _ in range(3):
                    async with session.post(
                        server.url + "/chat/completions",
                        json=build_chat(stream=True),
                        headers={} if kind == "no key" else AUTH,
                    ) as answer:
                        await answer.read()
                records = await server.observer.wait_for_records(3)
                await asyncio.sleep(0)
                assert [each for each in gc.get_objects() if isinstance(each, Exchange)] == []
            finally:
                gc.enable()
            is_good = fails_over and kind != "no key"
            assert {each.ending for each in records} == {"completed" if is_good else "failed"}
