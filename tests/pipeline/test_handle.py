"""However a request ends: its upstream is let go of at once, and there is one record of it."""

import asyncio
import gc

import aiohttp
import pytest

from proxy.pipeline.context import Exchange
from tests.fakes.proxy_server import AUTH, build_chat, build_chunk, proxying
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


@pytest.mark.parametrize("kind", ["no key", "refused", "500", "broken stream"])
async def test_nothing_of_a_failed_request_waits_for_the_collector(
    kind: str, loopback_port: int
) -> None:
    """A flood of errors keeps no request, body or connection: each goes with its answer."""

    async def script(connection: UpstreamConnection) -> None:
        while True:
            await connection.read_request()
            if kind == "500":
                await connection.answer(b"{}", status=500)
                continue
            await connection.start_chunked()
            await connection.chunk(build_chunk("he"))
            connection.reset()
            return

    async with open_raw_upstream(script) as upstream:
        url = f"http://127.0.0.1:{loopback_port}/v1" if kind == "refused" else upstream.url
        async with proxying(url) as server, aiohttp.ClientSession() as session:
            gc.collect()
            gc.disable()
            try:
                for _ in range(3):
                    async with session.post(
                        server.url + "/chat/completions",
                        json=build_chat(stream=kind == "broken stream"),
                        headers={} if kind == "no key" else AUTH,
                    ) as answer:
                        await answer.read()
                await server.observer.wait_for_records(3)
                await asyncio.sleep(0)
                assert [each for each in gc.get_objects() if isinstance(each, Exchange)] == []
            finally:
                gc.enable()
