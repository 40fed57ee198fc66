"""The loop over one connection's requests: their order, their task, and what ends it."""

import asyncio

import pytest
from aiohttp import web

from proxy.server.reply import AiohttpReply
from tests.fakes.raw_client import build_head, build_request, connecting
from tests.server.test_connection import HEALTH, running, until

SLACK_S = 10


def name_path(path: str) -> bytes:
    """Return a request for a path."""
    return HEALTH.replace(b"/health", path.encode())


async def echo(request: web.Request) -> web.StreamResponse:
    """Answer with the path: by aiohttp's own response where it begins with /own."""
    if request.path.startswith("/own"):
        return web.Response(text=request.path)
    reply = AiohttpReply(request, {})
    await reply.send(200, {}, request.path.encode())
    assert reply.response is not None
    return reply.response


@pytest.mark.usefixtures("no_leaks")
async def test_answers_of_both_kinds_share_a_connection() -> None:
    """What was written straight and what aiohttp writes go out in the order of the requests."""
    paths = ["/written", "/own", "/own/again", "/written/again"]
    async with running(echo) as served, connecting(served.port) as client:
        await client.send(b"".join(map(name_path, paths)))
        assert [(await client.read_answer()).body.decode() for _ in paths] == paths


@pytest.mark.usefixtures("no_leaks")
async def test_requests_are_answered_in_the_task_of_their_connection() -> None:
    """No request has a task of its own: cancelling the connection's cancels what it works on."""
    tasks: list[asyncio.Task[None] | None] = []

    async def endpoint(request: web.Request) -> web.StreamResponse:
        tasks.append(asyncio.current_task())
        return await echo(request)

    async with running(endpoint) as served, connecting(served.port, HEALTH * 2) as client:
        for _ in range(2):
            await client.read_answer()
        (connection,) = served.connections
        assert tasks == [connection.task, connection.task]


@pytest.mark.usefixtures("no_leaks")
async def test_an_answer_in_spite_of_a_cancellation_is_the_last() -> None:
    """An endpoint that swallows it still answers; the requests behind it are not begun."""
    begun: list[str] = []

    async def endpoint(request: web.Request) -> web.StreamResponse:
        begun.append(request.path)
        try:
            served.runner.cut()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return await echo(request)
        raise AssertionError("the cancellation did not arrive")

    async with running(endpoint) as served:
        sent = name_path("/first") + name_path("/second")
        async with connecting(served.port, sent) as client, asyncio.timeout(SLACK_S):
            (answer,) = await client.read_answers()
    assert (answer.body, begun) == (b"/first", ["/first"])


@pytest.mark.usefixtures("no_leaks")
async def test_a_body_that_nobody_reads_is_dropped_before_the_next_request() -> None:
    """An answer that keeps the connection waits for the rest of its request, and no longer."""
    body = b"x" * 1000
    async with running(echo) as served, connecting(served.port) as client:
        whole = build_request(body, line="POST /own HTTP/1.1")
        await client.send(whole[:-500])
        assert (await client.read_answer()).body == b"/own"
        await client.send(whole[-500:] + HEALTH)
        assert (await client.read_answer()).body == b"/health"


@pytest.mark.usefixtures("no_leaks")
async def test_a_body_that_breaks_off_behind_its_answer_ends_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is a client's fault: the answer stays the only one, and nothing is logged as ours."""

    async def endpoint(request: web.Request) -> web.StreamResponse:
        request.protocol._lingering_time = 0.05
        return await echo(request)

    async with running(endpoint) as served:
        head = build_head("Transfer-Encoding: chunked", line="POST /own HTTP/1.1")
        async with connecting(served.port, head) as client, asyncio.timeout(SLACK_S):
            assert (await client.read_answer()).status == 200
            await client.send(b"zz\r\n")
            assert await client.read_end() == b""
    assert caplog.records == []


@pytest.mark.usefixtures("no_leaks")
async def test_a_client_that_leaves_cancels_its_request() -> None:
    """Its endpoint is told at once, and what it had sent besides is not begun."""
    begun, ended = asyncio.Event(), asyncio.Event()
    paths: list[str] = []

    async def endpoint(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with running(endpoint) as served, asyncio.timeout(SLACK_S):
        async with connecting(served.port, HEALTH * 2) as client:
            await begun.wait()
            client.writer.close()
            await ended.wait()
        await until(lambda: not served.connections)
    assert paths == ["/health"]
