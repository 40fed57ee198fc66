"""Connections tell their reply when the client reads too slowly, and whether it has left."""

import asyncio

import pytest
from aiohttp import web

from proxy.server import protocol
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


async def test_a_client_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """After WRITE_STALL_S without a byte taken the connection is closed and its task cancelled."""
    monkeypatch.setattr(protocol, "WRITE_STALL_S", 0.05)
    gone = asyncio.Event()

    async def endpoint(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 0x10000)
        finally:
            gone.set()

    app = web.Application()
    app.router.add_get("/", endpoint)
    runner = ServerRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        _, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1], limit=1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await gone.wait()
        writer.transport.abort()
    finally:
        await runner.cleanup()


async def test_a_client_that_takes_little_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow reader that makes progress within each WRITE_STALL_S gets everything."""
    monkeypatch.setattr(protocol, "WRITE_STALL_S", 0.3)
    size = 24 * 1024 * 1024

    async def endpoint(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        assert request.transport is not None
        request.transport.write(b"%x\r\n" % size + b"x" * size + b"\r\n")
        await response.write_eof()
        return response

    app = web.Application()
    app.router.add_get("/", endpoint)
    runner = ServerRunner(app, handler_cancellation=True)
    await runner.setup()
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        received = 0
        while received < size:
            piece = await reader.read(1 << 20)
            assert piece
            received += len(piece)
            pause = asyncio.Event()
            loop.call_later(0.02, pause.set)
            await pause.wait()
        assert loop.time() - started_s > 0.3
        writer.close()
    finally:
        await runner.cleanup()
