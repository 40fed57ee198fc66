"""`GET /admin/events`: what happens reaches who listens, and nobody is held up by it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from proxy.server import event_stream
from proxy.telemetry.event_hub import MAX_SUBSCRIBERS
from tests.fakes.proxy_server import ADMIN_KEY
from tests.leaks import leaving_nothing
from tests.server.administration import Administered, administrating

pytestmark = pytest.mark.both_loops

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


class Listener:
    """One client of the stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.last_id = ""

    async def read_block(self) -> list[str]:
        """Return the lines up to the next empty one; none at the end of the stream."""
        lines: list[str] = []
        async with asyncio.timeout(10):
            while (line := (await self.answer.content.readline()).decode()) not in ("", "\n"):
                lines.append(line.rstrip("\n"))
        return lines

    async def read(self) -> tuple[str, dict[str, Any]]:
        """Return name and data of the next event."""
        fields = dict(line.split(": ", 1) for line in await self.read_block())
        self.last_id = fields.get("id", self.last_id)
        return fields["event"], msgspec.json.decode(fields["data"])


@asynccontextmanager
async def clean_server() -> AsyncIterator[Administered]:
    """Serve, and see to it that nothing is left of it."""
    async with leaving_nothing(), administrating() as asked:
        yield asked


@asynccontextmanager
async def listening(asked: Administered, **headers: str) -> AsyncIterator[Listener]:
    """Listen, from the moment on that the stream has begun."""
    url = f"http://127.0.0.1:{asked.server.port}/admin/events"
    async with asked.session.get(url, headers={**ADMIN, **headers}) as answer:
        assert answer.status == 200
        listener = Listener(answer)
        assert await listener.read_block() == [": listening", "retry: 2000"]
        yield listener


async def test_a_change_of_a_breaker_is_told_while_it_happens() -> None:
    """Five failures are an event for everybody who listens, with the provider's behind it."""
    async with clean_server() as asked, listening(asked) as one, listening(asked) as other:
        asked.report("up/m", times=5)
        name, data = await one.read()
        assert (name, data["id"], data["before"], data["after"]) == (
            "breaker",
            "up/m",
            "closed",
            "open",
        )
        assert await one.read() == ("provider", {**(await read_two(other)), "name": "up"})
        assert one.last_id == other.last_id != ""


async def read_two(listener: Listener) -> dict[str, Any]:
    """Return the data of the second of two events."""
    await listener.read()
    return (await listener.read())[1]


async def test_the_head_is_that_of_a_stream_which_nobody_keeps() -> None:
    """Its type, that it is not to be stored or buffered, and the id that its record has."""
    async with clean_server() as asked:
        async with listening(asked) as listener:
            headers = listener.answer.headers
            assert headers["Content-Type"] == "text/event-stream"
            assert headers["Cache-Control"] == "no-store"
            assert headers["X-Accel-Buffering"] == "no"
            assert headers["Server"] == "llm-proxy-api"
            assert asked.server.runtime.in_flight == 0
        (record,) = await asked.server.observer.wait_for_records()
        assert record.request_id == headers["x-request-id"]


async def test_a_client_that_leaves_has_one_record_of_a_success() -> None:
    """Leaving is how such a stream ends; its place is free again."""
    async with clean_server() as asked:
        async with listening(asked) as listener:
            listener.answer.close()
        (record,) = await asked.server.observer.wait_for_records()
        assert (record.endpoint, record.status, record.ending) == (
            "/admin/events",
            200,
            "completed",
        )
        assert asked.state.events.subscribers == 0


async def test_who_comes_back_gets_what_was_missed() -> None:
    """With `Last-Event-ID` the stream goes on behind that event."""
    async with clean_server() as asked:
        async with listening(asked) as listener:
            asked.report("up/m", times=5)
            await listener.read()
            last_id = listener.last_id
        asked.state.events.publish("reload", {"result": "applied"})
        async with listening(asked, **{"Last-Event-ID": last_id}) as again:
            assert [(await again.read())[0] for _ in range(2)] == ["provider", "reload"]


async def test_at_a_drain_the_stream_ends() -> None:
    """The last event says why, then the body is complete and the connection closes."""
    async with clean_server() as asked, listening(asked) as listener:
        asked.server.runner.begin_drain()
        asked.state.events.end()
        name, data = await listener.read()
        assert (name, data["reason"]) == ("end", "draining")
        assert await listener.read_block() == []
        await asked.server.runner.stop_listening()
        async with asyncio.timeout(10):
            await asked.server.runner.finish(5.0, idle_grace_s=0.0)


async def test_pings_keep_the_connection_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing happens there is a comment from time to time."""
    monkeypatch.setattr(event_stream, "PING_EACH_S", 0.01)
    async with clean_server() as asked, listening(asked) as listener:
        assert await listener.read_block() == [": ping"]


async def test_too_many_listeners_are_refused() -> None:
    """The 33rd gets 503 and when to come back, and takes nobody's place."""
    async with clean_server() as asked:
        subscriptions = [asked.state.events.subscribe() for _ in range(MAX_SUBSCRIBERS)]
        assert None not in subscriptions
        status, body = await asked.ask("GET", "/admin/events")
        assert (status, body["error"]["code"]) == (503, "server_overloaded")


async def test_a_head_request_gets_the_head_alone() -> None:
    """HEAD is answered at once and listens to nothing."""
    async with clean_server() as asked:
        url = f"http://127.0.0.1:{asked.server.port}/admin/events"
        async with asked.session.head(url, headers=ADMIN) as answer:
            assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert asked.state.events.subscribers == 0


async def test_a_client_of_http_1_0_gets_the_stream_too() -> None:
    """It knows no chunks: the body goes on until the connection closes."""
    async with clean_server() as asked:
        reader, writer = await asyncio.open_connection("127.0.0.1", asked.server.port)
        head = f"GET /admin/events HTTP/1.0\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b"\r\n\r\n: listening\nretry: 2000\n\n")
        asked.state.events.end()
        async with asyncio.timeout(10):
            rest = await reader.read()
        assert rest.startswith(b"event: end\ndata: ")
        writer.close()
        await writer.wait_closed()
