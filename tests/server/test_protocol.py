"""Connections tell their reply when the client reads too slowly, and whether it has left."""

import asyncio

import pytest
from aiohttp import web

from proxy.server.protocol import ClientConnection, ServerRunner

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_a_slow_reader_pauses_its_reply_and_resumes_it() -> None:
    """The callbacks come in pairs: paused when buffers are full, resumed when they drain."""
    calls: list[str] = []
    paused, resumed, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()
    connections: list[ClientConnection] = []

    async def endpoint(request: web.Request) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, ClientConnection)
        connections.append(connection)

        def on_pause() -> None:
            calls.append("pause")
            paused.set()

        def on_resume() -> None:
            calls.append("resume")
            resumed.set()

        connection.on_pause, connection.on_resume = on_pause, on_resume
        response = web.StreamResponse()
        await response.prepare(request)
        assert request.transport is not None
        while not paused.is_set():
            request.transport.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        return response

    app = web.Application()
    app.router.add_get("/", endpoint)
    runner = ServerRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await paused.wait()
        assert calls == ["pause"]
        assert not connections[0].is_lost
        while not resumed.is_set():
            await reader.read(1 << 16)
        assert calls == ["pause", "resume"]
        writer.close()
        await gone.wait()
        assert connections[0].is_lost
    finally:
        await runner.cleanup()
