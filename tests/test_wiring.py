"""What is opened for a worker, what belongs together, and that all of it is closed again."""

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
import msgspec
import pytest

from proxy.domain.catalog import Snapshot
from proxy.domain.identity import Caller
from proxy.domain.secret import Secret
from proxy.domain.settings import InstallSettings
from proxy.telemetry.log_writer import LogWriter, open_log_writer
from proxy.upstream import connection_cap
from proxy.upstream.httptools_transport import HttptoolsTransport
from proxy.wiring import ACCEPTED_PER_TURN, Service, open_service
from tests.fakes.proxy_server import (
    ADMIN_KEY,
    AUTH,
    DONE,
    HASHER,
    build_chat,
    build_chunk,
    build_provider,
    build_snapshot,
)
from tests.fakes.raw_client import build_head, build_request, connecting
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.redis_server import RedisServer
from tests.leaks import leaving_nothing
from tests.server.news import build_news, build_verdict

pytestmark = pytest.mark.both_loops


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogWriter]:
    """A log in a file."""
    writer = open_log_writer(str(tmp_path / "requests.log"))
    yield writer
    writer.close()


def build_sample() -> Snapshot:
    """Return a snapshot with a simulator, a provider over HTTP and one that is switched off."""
    return build_snapshot(
        build_provider("simulator:", name="simulator", type="simulator", models=("sim-echo",)),
        build_provider("http://127.0.0.1:1/v1"),
        build_provider("http://127.0.0.1:1/v1", name="off", enabled=False),
    )


@asynccontextmanager
async def opened(
    install: InstallSettings, log: LogWriter, snapshot: Snapshot | None = None
) -> AsyncIterator[Service]:
    """Open a service of a snapshot, else of the sample, and close it."""
    service = await open_service(install, snapshot or build_sample(), HASHER, log)
    try:
        yield service
    finally:
        await service.close()


@asynccontextmanager
async def listening(service: Service) -> AsyncIterator[str]:
    """Have a service accept connections; gives its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        await service.listen(sock.dup())
        yield f"http://127.0.0.1:{port}"


async def ask(service: Service, body: Any) -> tuple[int, str]:
    """Return (status of a chat request to the service, text of its metrics afterwards)."""
    async with (
        listening(service) as url,
        aiohttp.ClientSession(url, headers=AUTH) as session,
    ):
        async with session.post("/v1/chat/completions", json=body) as answer:
            await answer.read()
        async with session.get("/metrics") as metrics:
            return answer.status, await metrics.text()


async def test_a_request_reaches_log_and_metrics(state_dir: Path, log: LogWriter) -> None:
    """The application answers, and what it tells arrives in the log and under /metrics."""
    install = InstallSettings(state_dir=str(state_dir))
    async with opened(install, log) as service:
        status, metrics = await ask(service, build_chat(model="sim-echo"))
    assert status == 200
    assert log.flush()
    [line] = (state_dir.parent / "requests.log").read_text().splitlines()
    assert (json.loads(line)["provider"], json.loads(line)["outcome"]) == ("simulator", "completed")
    counted = [n for n in metrics.splitlines() if n.startswith("llm_proxy_requests_total{")]
    assert [line for line in counted if 'provider="simulator"' in line and line.endswith(" 1.0")]


async def test_the_log_level_holds_for_requests(state_dir: Path, log: LogWriter) -> None:
    """With level ERROR a good request is not written down."""
    install = InstallSettings(state_dir=str(state_dir), log_level="ERROR")
    async with opened(install, log) as service:
        status, _ = await ask(service, build_chat(model="sim-echo"))
    assert status == 200
    assert log.flush()
    assert (state_dir.parent / "requests.log").read_text() == ""


async def test_lost_log_lines_are_counted(state_dir: Path, log: LogWriter) -> None:
    """What the log had to drop shows in the metrics."""
    install = InstallSettings(state_dir=str(state_dir))
    async with opened(install, log) as service:
        assert log.on_dropped is not None
        log.on_dropped(7)
        _, metrics = await ask(service, build_chat(model="sim-echo"))
    assert "llm_proxy_log_lines_dropped_total 7.0" in metrics


async def test_what_the_health_worker_says_arrives(state_dir: Path, log: LogWriter) -> None:
    """Its verdicts are in `/status` and in the metrics; a provider that changes loses its own."""
    provider = build_provider("http://127.0.0.1:1/v1", models=("m",))
    verdict = build_verdict(provider, "rate_limited")
    install = InstallSettings(state_dir=str(state_dir))
    async with opened(install, log, build_snapshot(provider)) as service:
        service.take_verdicts(build_news(1, verdict))
        async with listening(service) as url, aiohttp.ClientSession(url, headers=AUTH) as session:
            async with session.get("/status/up") as answer:
                up = await answer.json()
            async with session.get("/metrics") as answer:
                metrics = await answer.text()
            moved = build_provider("http://127.0.0.1:2/v1", models=("m",))
            await service.apply(build_snapshot(moved))
            async with session.get("/status/up") as answer:
                after = await answer.json()
    assert (up["status"], up["source"]) == ("rate_limited", "probe")
    assert 'llm_proxy_provider_health{provider="up"} 3.0' in metrics
    assert "llm_proxy_health_check_cache_size 1.0" in metrics
    assert after["status"] == "unknown"


async def test_orders_go_through_redis_where_there_is_one(
    state_dir: Path, log: LogWriter, redis_server: RedisServer
) -> None:
    """No health worker hears them here, which is told; the supervisor is not asked."""
    admin = {HASHER.digest(ADMIN_KEY): Caller(HASHER.key_id(ADMIN_KEY), role="admin")}
    snapshot = msgspec.structs.replace(build_sample(), callers=admin)
    install = InstallSettings(state_dir=str(state_dir), redis_url=redis_server.url)
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with patch("proxy.wiring.HEARD_WITHIN_S", 0.3):
        async with (
            opened(install, log, snapshot) as service,
            listening(service) as url,
            aiohttp.ClientSession(url, headers=headers) as session,
            session.post("/check") as answer,
        ):
            status, body = answer.status, await answer.json()
    assert (status, body["error"]["code"]) == (503, "health_worker_unavailable")


async def test_counts_outlive_the_process(state_dir: Path, log: LogWriter) -> None:
    """A second service over the same state goes on counting where the first one stopped."""
    install = InstallSettings(state_dir=str(state_dir))
    for count in (1, 2):
        async with opened(install, log) as service:
            _, metrics = await ask(service, build_chat(model="sim-echo"))
        counted = [n for n in metrics.splitlines() if n.startswith("llm_proxy_requests_total{")]
        assert [line for line in counted if line.endswith(f" {count}.0")], counted


async def test_only_the_owner_enters_the_state_directory(tmp_path: Path, log: LogWriter) -> None:
    """It is made where it is missing, with the folders above it, for its owner alone."""
    path = tmp_path / "deep" / "state"
    async with opened(InstallSettings(state_dir=str(path)), log):
        assert path.stat().st_mode & 0o777 == 0o700


async def test_a_state_directory_that_is_a_file_is_refused(tmp_path: Path, log: LogWriter) -> None:
    """Metrics that could not be kept stop the start, before anything else is opened."""
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(OSError):
        await open_service(InstallSettings(state_dir=str(path)), build_sample(), HASHER, log)


async def test_max_connections_holds_for_all_providers_together(
    monkeypatch: pytest.MonkeyPatch, state_dir: Path, log: LogWriter
) -> None:
    """With `max_connections: 1` a request to one provider keeps another's from being sent."""
    monkeypatch.setattr(connection_cap, "POOL_WAIT_S", 0.05)
    async with open_raw_upstream(stream_forever) as upstream:
        snapshot = build_snapshot(
            build_provider(upstream.url, name="a", models=("first",)),
            build_provider(upstream.url, name="b", models=("second",)),
        )
        install = InstallSettings(state_dir=str(state_dir), max_connections=1)
        async with (
            opened(install, log, snapshot) as service,
            listening(service) as url,
            aiohttp.ClientSession(url, headers=AUTH) as session,
        ):
            first, second = (build_chat(model=name, stream=True) for name in ("first", "second"))
            async with session.post("/v1/chat/completions", json=first) as held:
                assert held.status == 200
                async with session.post("/v1/chat/completions", json=second) as refused:
                    assert (await refused.json())["error"]["code"] == "upstream_pool_full"


async def test_streams_outlive_a_hundred_changes_of_their_provider(
    state_dir: Path, log: LogWriter
) -> None:
    """
    Requests finish on the provider they began with, whatever is published meanwhile.

    Each of 100 snapshots has another address and another key, and every second one lacks the
    provider. Afterwards no connection of any of them is left (I31).
    """
    upstream_script = CountedStream()
    async with open_raw_upstream(upstream_script.run) as upstream:

        def build(number: int) -> Snapshot:
            address = f"http://127.0.0.1:{upstream.port}/v{number}"
            key = Secret(f"sk-of-generation-{number}")
            return build_snapshot(build_provider(address, api_key=key))

        install = InstallSettings(state_dir=str(state_dir))
        async with (
            opened(install, log, build(0)) as service,
            listening(service) as url,
            leaving_nothing(),
            aiohttp.ClientSession(url, headers=AUTH) as session,
        ):
            streams = []
            for number in range(100):
                await service.apply(build(number))
                body = build_chat(stream=True)
                streams.append(await session.post("/v1/chat/completions", json=body))
                await service.apply(build_snapshot())
            upstream_script.may_end.set()
            for stream in streams:
                assert stream.status == 200
                assert (await stream.read()).endswith(DONE)
            assert upstream_script.keys == [f"Bearer sk-of-generation-{n}" for n in range(100)]
            for connection in upstream.connections:
                await connection.wait_closed()
            # Each went with its last request: nothing waits for the end of the service.
            gc.collect()
            assert [x for x in gc.get_objects() if isinstance(x, HttptoolsTransport)] == []


async def test_a_drain_lets_streams_end_and_refuses_nobody(state_dir: Path, log: LogWriter) -> None:
    """An open stream ends whole, and who connects before the end of the delay is answered."""
    script = CountedStream()
    async with open_raw_upstream(script.run) as upstream:
        install = InstallSettings(state_dir=str(state_dir))
        async with (
            opened(install, log, build_snapshot(build_provider(upstream.url))) as service,
            listening(service) as url,
            aiohttp.ClientSession(url, headers=AUTH) as session,
        ):
            stream = await session.post("/v1/chat/completions", json=build_chat(stream=True))
            draining = asyncio.ensure_future(service.drain(3600.0, delay_s=3600.0))
            async with session.get("/v1/models") as late:
                assert (late.status, late.headers["Connection"]) == (200, "close")
            service.hurry(3600.0)
            script.may_end.set()
            assert (await stream.read()).endswith(DONE)
            await session.close()
            await draining


async def test_those_who_wait_for_a_late_loop_are_accepted_together(
    state_dir: Path, log: LogWriter
) -> None:
    """Of all that have connected meanwhile, one turn of the loop accepts many."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as shared:
        async with opened(InstallSettings(state_dir=str(state_dir)), log) as service:
            await service.listen(shared.dup())
            waiting = 8 * ACCEPTED_PER_TURN
            clients = [socket.create_connection(shared.getsockname()) for _ in range(waiting)]
            turns = 0
            async with asyncio.timeout(10.0):
                while len(service._runner.connections) < waiting:
                    await asyncio.sleep(0)
                    turns += 1
            assert turns < waiting / 2
            for client in clients:
                client.close()


async def test_what_waits_in_a_shared_queue_is_left_to_others(
    state_dir: Path, log: LogWriter
) -> None:
    """
    A process that stops listening answers what it has accepted, and takes the rest from nobody.

    Twenty clients are in the kernel's queue at that moment; the socket is this test's as well.
    """
    asked = build_head(line="GET /v1/models HTTP/1.1", content_type=None)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as shared:
        async with opened(InstallSettings(state_dir=str(state_dir)), log) as service:
            await service.listen(shared.dup())
            clients = [socket.create_connection(shared.getsockname()) for _ in range(20)]
            for client in clients:
                client.sendall(asked)
            await service.drain(3600.0)
        shared.setblocking(False)
        left = 0
        with suppress(BlockingIOError):
            while True:
                shared.accept()[0].close()
                left += 1
        answered = 0
        for client in clients:
            with suppress(ConnectionResetError):  # it was left, and had sent what nobody read
                answered += client.recv(12) == b"HTTP/1.1 200"
            client.close()
    assert answered + left == 20


async def test_a_drain_that_is_out_of_time_says_so_in_the_stream(
    state_dir: Path, log: LogWriter
) -> None:
    """What is cut off gets an error of the stream, and no `[DONE]`."""
    asked = build_request(msgspec.json.encode(build_chat(stream=True)))
    async with open_raw_upstream(stream_forever) as upstream:
        install = InstallSettings(state_dir=str(state_dir))
        async with (
            opened(install, log, build_snapshot(build_provider(upstream.url))) as service,
            listening(service) as url,
            connecting(int(url.rpartition(":")[2]), asked) as client,
        ):
            assert (await client.read_head())[0] == 200
            await service.drain(0.0)
            said = await client.read_end()
            assert b"hello" in said
            assert b"server_shutdown" in said.partition(b"hello")[2]
            assert DONE not in said


class CountedStream:
    """An upstream's script: each stream begins at once and ends when it may."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.keys: list[str] = []

    async def run(self, connection: UpstreamConnection) -> None:
        """Answer one request."""
        _, headers, _ = await connection.read_request()
        self.keys.append(headers["authorization"])
        await connection.start_chunked()
        await connection.chunk(build_chunk("hello"))
        await self.may_end.wait()
        await connection.chunk(build_chunk(finish="stop") + DONE)
        await connection.chunk(b"")
        await connection.watch()


async def stream_forever(connection: UpstreamConnection) -> None:
    """Begin a stream and never end it."""
    await connection.read_request()
    await connection.start_chunked()
    await connection.chunk(build_chunk("hello"))
    await connection.watch()
