"""Connections without aiohttp: what they answer, when they are handed over, and how they end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from proxy.domain.settings import ClientClocks
from proxy.server.connection import ClientConnection
from proxy.server.lean_connection import HELD_BYTES, LeanConnection
from tests.fakes.proxy_server import ANSWER, ProxyServer, build_chunk, proxying
from tests.fakes.raw_client import RawClient, build_head, build_request, connecting
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.upstream_scripts import answering

pytestmark = [pytest.mark.usefixtures("no_leaks"), pytest.mark.both_loops]

PLAIN = build_request()
MODELS = build_head(line="GET /v1/models HTTP/1.1", content_type=None)
NOWHERE = "http://127.0.0.1:1/v1"
HASTY_S = 0.1
SLACK_S = 10


class Gate:
    """An upstream that has each answer wait until it is let go."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def __call__(self, connection: UpstreamConnection) -> None:
        while True:
            await connection.read_request()
            self.asked.set()
            watching = asyncio.ensure_future(connection.watch())
            waiting = asyncio.ensure_future(self.may_answer.wait())
            await asyncio.wait((watching, waiting), return_when=asyncio.FIRST_COMPLETED)
            watching.cancel()
            waiting.cancel()
            if not self.may_answer.is_set():
                self.left.set()
                return
            await connection.answer(msgspec.json.encode(ANSWER))


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until something is so that nothing announces."""
    async with asyncio.timeout(SLACK_S):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0)


@asynccontextmanager
async def asking(data: bytes = b"") -> AsyncIterator[tuple[ProxyServer, RawClient]]:
    """Connect to a proxy whose upstream answers."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        proxying(upstream.url) as server,
        connecting(server.port, data) as client,
        asyncio.timeout(SLACK_S),
    ):
        yield server, client


def find_kind(server: ProxyServer) -> type:
    """Return what serves the one connection that is open."""
    (connection,) = server.runner.connections
    return type(connection)


async def test_plain_requests_stay_where_they_are() -> None:
    """One after the other on one connection, in one task, which is not aiohttp's."""
    async with asking() as (server, client):
        tasks = set()
        for _ in range(3):
            await client.send(PLAIN)
            assert (await client.read_answer()).status == 200
            (connection,) = server.runner.connections
            assert isinstance(connection, LeanConnection)
            tasks.add(connection.task)
        assert len(tasks) == 1
        assert server.observer.handovers == []


async def test_a_socket_sends_at_once_and_finds_out_who_is_dead() -> None:
    """What is written does not wait for more, and silent clients are asked by the kernel."""
    async with asking() as (server, _):
        await until(lambda: bool(server.runner.connections))
        (connection,) = server.runner.connections
        assert isinstance(connection, LeanConnection)
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


async def test_a_body_may_come_after_its_head() -> None:
    """In as many reads as it takes, and the connection goes on as it was."""
    async with asking() as (server, client):
        head_end = PLAIN.index(b"\r\n\r\n") + 4
        for begin, end in ((0, head_end), (head_end, head_end + 5), (head_end + 5, len(PLAIN))):
            await client.send(PLAIN[begin:end])
            await until(lambda: bool(server.runner.connections))
            for _ in range(20):
                await asyncio.sleep(0)
        assert (await client.read_answer()).status == 200
        assert find_kind(server) is LeanConnection


@pytest.mark.parametrize(
    "data",
    [
        MODELS,
        PLAIN.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nConnection: keep-alive\r\n"),
        build_head("Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n\r\n",
        build_request(b"{}", "X-Any: \xe4"),
        b"\r\n" + PLAIN,
    ],
)
async def test_what_is_not_plain_is_handed_over(data: bytes) -> None:
    """Another path or version, a body in chunks, an odd field: aiohttp's connection answers."""
    async with asking(data) as (server, client):
        assert (await client.read_answer()).status in (200, 400)
        assert find_kind(server) is ClientConnection
        assert len(server.observer.handovers) == 1


async def test_a_kept_connection_is_handed_over_in_its_middle() -> None:
    """What is not plain is answered behind what was, and then the connection stays aiohttp's."""
    async with asking() as (server, client):
        lean, other = LeanConnection, ClientConnection
        for data, kind in ((PLAIN, lean), (MODELS, other), (PLAIN, other)):
            await client.send(data)
            assert (await client.read_answer()).status == 200
            assert find_kind(server) is kind
        assert len(server.observer.records) == 3
        assert server.observer.handovers == ["route"]


async def test_requests_in_one_piece_are_handed_over() -> None:
    """More than one request in one read is answered by who counts them, in their order."""
    async with asking(PLAIN + MODELS + PLAIN) as (server, client):
        bodies = [(await client.read_answer()).json for _ in range(3)]
        assert [next(iter(body)) for body in bodies] == ["id", "object", "id"]
        assert find_kind(server) is ClientConnection
        assert server.observer.handovers == ["pipelined"]


@pytest.mark.parametrize("more", [MODELS, MODELS[:9], b"\r\n", b"nonsense\r\n\r\n", PLAIN * 200])
async def test_what_comes_during_a_request_waits_for_its_answer(more: bytes) -> None:
    """It is kept, up to a limit, and handed over when the answer is out."""
    gate = Gate()
    clocks = ClientClocks(head_s=1.0) if more == MODELS[:9] else ClientClocks()
    async with (
        open_raw_upstream(gate) as upstream,
        proxying(upstream.url, client_clocks=clocks) as server,
        connecting(server.port, PLAIN) as client,
        asyncio.timeout(SLACK_S * 3),
    ):
        await gate.asked.wait()
        client.writer.write(more)
        (connection,) = server.runner.connections
        assert isinstance(connection, LeanConnection)
        await until(lambda: len(connection._held) >= min(len(more), HELD_BYTES))
        assert len(connection._held) < HELD_BYTES + (1 << 18)
        gate.may_answer.set()
        assert (await client.read_answer()).status == 200
        await until(lambda: find_kind(server) is ClientConnection)
        assert server.observer.handovers == ["pipelined"]
        if more == b"\r\n":
            await client.send(MODELS)
        statuses = {MODELS: 200, MODELS[:9]: 408, b"\r\n": 200, b"nonsense\r\n\r\n": 400}
        assert (await client.read_answer()).status == statuses.get(more, 200)


@pytest.mark.parametrize("more", [b"", b"x", MODELS, PLAIN * 200])
@pytest.mark.parametrize("is_reset", [False, True])
async def test_a_client_that_leaves_is_noticed_at_once(more: bytes, is_reset: bool) -> None:
    """Its provider is let go of, also if more had come, or so much that it is not read from."""
    gate = Gate()
    async with (
        open_raw_upstream(gate) as upstream,
        proxying(upstream.url) as server,
        connecting(server.port, PLAIN) as client,
        asyncio.timeout(SLACK_S),
    ):
        await gate.asked.wait()
        await client.send(more)
        if is_reset:
            client.writer.transport.abort()
        else:
            client.writer.close()
        await gate.left.wait()
        (record,) = await server.observer.wait_for_records()
        assert record.ending == "client_closed"
        await until(lambda: not server.runner.connections)


async def test_a_client_that_leaves_before_its_body_is_whole_has_its_record() -> None:
    """The request ends as one whose client has left."""
    async with (
        proxying(NOWHERE) as server,
        connecting(server.port, PLAIN[:-1]) as client,
        asyncio.timeout(SLACK_S),
    ):
        await until(lambda: server.runtime.in_flight == 1)
        client.writer.write_eof()
        assert await client.read_end() == b""
        (record,) = await server.observer.wait_for_records()
        assert record.ending == "client_closed"


@pytest.mark.parametrize("sent", [b"", b"P", PLAIN[:40]])
async def test_the_first_head_has_its_clock(sent: bytes) -> None:
    """Counted from the connection's beginning, whether or not it is handed over meanwhile."""
    async with proxying(NOWHERE, client_clocks=ClientClocks(head_s=HASTY_S)) as server:
        started_s = asyncio.get_running_loop().time()
        async with connecting(server.port, sent) as client, asyncio.timeout(SLACK_S):
            answers = await client.read_answers()
        assert [(a.status, a.error["code"]) for a in answers] == [(408, "request_timeout")]
        assert asyncio.get_running_loop().time() - started_s >= HASTY_S * 0.9
        assert server.observer.connection_faults == ["head_timeout"]


async def test_a_clock_that_runs_is_handed_over_with_its_time() -> None:
    """A head that begins late is not given more time for it."""
    async with (
        proxying(NOWHERE, client_clocks=ClientClocks(head_s=3600.0)) as server,
        connecting(server.port) as client,
    ):
        await until(lambda: bool(server.runner.connections))
        (lean,) = server.runner.connections
        assert isinstance(lean, LeanConnection)
        assert lean._head_end_s is not None
        end_s = lean._head_end_s = lean._head_end_s - 1800.0  # as if it were that late
        await client.send(b"P")
        await until(lambda: find_kind(server) is ClientConnection)
        (connection,) = server.runner.connections
        assert isinstance(connection, ClientConnection)
        assert connection._head_timer is not None
        assert connection._head_timer.when() == pytest.approx(end_s, abs=60.0)


async def test_an_idle_connection_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock begins anew with each answer, and a request under way is not idle."""
    monkeypatch.setattr("proxy.server.lean_connection.IDLE_CONNECTION_S", HASTY_S)
    async with asking(PLAIN) as (_, client):
        assert (await client.read_answer()).status == 200
        started_s = asyncio.get_running_loop().time()
        assert await client.read_end() == b""
        assert asyncio.get_running_loop().time() - started_s >= HASTY_S / 2


async def test_connections_are_counted_once_whoever_serves_them() -> None:
    """A cap holds over both kinds, handing over takes no second place, and leaving frees it."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        proxying(upstream.url, max_client_connections=2) as server,
        asyncio.timeout(SLACK_S),
    ):
        async with connecting(server.port, PLAIN) as lean, connecting(server.port, MODELS) as other:
            assert (await lean.read_answer()).status == 200
            assert (await other.read_answer()).status == 200
            async with connecting(server.port) as third:
                with pytest.raises(ConnectionResetError):
                    await third.reader.read()
            assert server.observer.connection_faults == ["connection_rejected"]
        await until(lambda: not server.runner.connections)
        async with connecting(server.port, PLAIN) as again:
            assert (await again.read_answer()).status == 200


async def test_a_drain_has_an_open_request_say_that_it_is_the_last() -> None:
    """The request is answered, its answer says close, and idle connections are closed."""
    gate = Gate()
    async with (
        open_raw_upstream(gate) as upstream,
        proxying(upstream.url) as server,
        connecting(server.port, PLAIN) as client,
        connecting(server.port) as idle,
        asyncio.timeout(SLACK_S),
    ):
        await gate.asked.wait()
        await until(lambda: len(server.runner.connections) == 2)
        server.runner.begin_drain()
        await server.runner.stop_listening()
        draining = asyncio.ensure_future(server.runner.finish(3600.0, 0.0))
        assert await idle.read_end() == b""
        assert not draining.done()
        gate.may_answer.set()
        answer = await client.read_answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await client.read_end() == b""
        await draining


async def test_a_request_that_is_too_late_for_a_drain_is_cancelled() -> None:
    """Its provider is let go of, and its record written, before the drain is over."""
    gate = Gate()
    async with (
        open_raw_upstream(gate) as upstream,
        proxying(upstream.url) as server,
        connecting(server.port, PLAIN) as client,
        asyncio.timeout(SLACK_S),
    ):
        await gate.asked.wait()
        server.runner.begin_drain()
        await server.runner.finish(0.0, 0.0)
        assert [record.ending for record in server.observer.records] == ["interrupted"]
        assert await client.read_end() == b""
        assert server.runner.connections == []


async def test_a_client_that_takes_nothing_is_cut_off() -> None:
    """After `write_stall_s` without a byte taken, and its provider is let go of."""

    async def flood(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        while True:
            await connection.chunk(build_chunk("x" * 4000) * 64)

    body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'
    async with (
        open_raw_upstream(flood) as upstream,
        proxying(upstream.url, client_clocks=ClientClocks(write_stall_s=HASTY_S)) as server,
        connecting(server.port) as client,
        asyncio.timeout(SLACK_S),
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.writer.write(build_request(body))
        (record,) = await server.observer.wait_for_records()
        assert record.ending == "client_closed"
        assert server.observer.connection_faults == ["write_stall"]
        client.writer.transport.abort()
