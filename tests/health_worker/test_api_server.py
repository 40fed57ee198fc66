"""What the health worker's port does with connections."""

import asyncio
import socket

import pytest

from health_worker import api_server
from health_worker.api import HealthApi
from health_worker.api_breakers import ToldBreakers
from health_worker.api_metrics import ProbeMetrics
from health_worker.api_server import ApiServer
from tests.fakes.proxy_server import ADMIN_KEY, HASHER, KEY
from tests.health_worker.serving_api import PlayedWorker, serving_api

pytestmark = pytest.mark.usefixtures("no_leaks")


async def talk(port: int, sent: bytes) -> bytes:
    """Return all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    return received


async def test_nothing_is_told_of_the_software() -> None:
    """No answer names a server, whether it is a good one, a refusal, or to what is no HTTP."""
    async with serving_api(PlayedWorker()) as asked:
        for path, key in (("/health", None), ("/status", None), ("/status", KEY)):
            _, _, headers = await asked.ask("GET", path, key)
            assert "Server" not in headers
            assert headers["X-Content-Type-Options"] == "nosniff"
        broken = await talk(asked.port, b"\x16\x03\x01 nonsense\r\n\r\n")
    assert broken.partition(b"\r\n")[0].endswith(b" 400 Bad Request")
    assert b"Server:" not in broken
    assert b"nonsense" not in broken
    assert b"aiohttp" not in broken


async def test_a_large_body_is_not_waited_for() -> None:
    """The answer comes at once, and its connection ends with it."""
    head = (
        "POST /check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n"
        f"Authorization: Bearer {ADMIN_KEY}\r\n\r\n"
    )
    async with serving_api(PlayedWorker()) as asked:
        answer = await talk(asked.port, head.encode() + b"x" * 100)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()


async def test_a_connection_that_asks_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that sends half a head."""
    monkeypatch.setattr(api_server, "FIRST_HEAD_S", 0.05)
    async with serving_api(PlayedWorker()) as asked:
        assert await talk(asked.port, b"") == b""
        assert await talk(asked.port, b"GET /health HTTP/1.1\r\nHost: x\r\n") == b""


async def test_one_connection_too_many_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are there already go on."""
    monkeypatch.setattr(api_server, "MAX_CONNECTIONS", 1)
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving_api(PlayedWorker()) as asked:
        reader, writer = await asyncio.open_connection("127.0.0.1", asked.port)
        writer.write(request)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        with pytest.raises(ConnectionError):
            assert await talk(asked.port, request) == b""
            raise ConnectionResetError  # closed before anything could be sent
        writer.close()
        await writer.wait_closed()


async def test_an_address_that_is_taken_is_named() -> None:
    """The error says which setting to change."""
    metrics = ProbeMetrics()
    server = ApiServer(HealthApi(PlayedWorker(), HASHER, metrics, ToldBreakers()), metrics)
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match=r"health_worker\.listen"),
    ):
        await server.open(taken.getsockname())
    assert server.port is None
