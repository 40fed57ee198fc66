"""One client connection: its clocks, its caps, its end, and what it costs while nobody reads."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import web
from msgspec.structs import replace

from proxy.domain.settings import ClientClocks, Settings
from proxy.server.connection import ClientConnection
from proxy.server.runner import ServerRunner
from tests.fakes.proxy_server import (
    RecordingObserver,
    build_chunk,
    build_provider,
    build_runtime,
    build_snapshot,
    proxying,
    serving,
)
from tests.fakes.raw_client import build_head, build_request, connecting, exchange
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream

SLACK = 10
HASTY_S = 0.1
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
PARTIAL = b"GET /health HTTP/1.1\r\nHo"
KIB = 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def list_connections(runner: ServerRunner) -> list[ClientConnection]:
    """Return aiohttp's of the connections that are open."""
    return [c for c in runner.connections if isinstance(c, ClientConnection)]


class Served:
    """A runner over one handler, and what its observer saw."""

    def __init__(self, runner: ServerRunner, observer: RecordingObserver) -> None:
        self.runner = runner
        self.observer = observer

    @property
    def connections(self) -> list[ClientConnection]:
        """Those that are open."""
        return list_connections(self.runner)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self.runner.addresses[0][1]
        return port


@asynccontextmanager
async def running(handler: Handler, **settings: Any) -> AsyncIterator[Served]:
    """Serve one handler on bare connections."""
    observer = RecordingObserver()
    snapshot = build_snapshot(**settings)
    runner = ServerRunner(handler, build_runtime(snapshot, observer=observer))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Served(runner, observer)
    finally:
        await runner.cleanup()


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until something is so that nothing announces."""
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def answer_ok(request: web.Request) -> web.StreamResponse:
    """Answer at once."""
    return web.Response(text="ok")


@pytest.mark.usefixtures("no_leaks")
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

    async with running(endpoint) as served, connecting(served.port, HEALTH) as client:
        await paused.wait()
        assert calls == ["pause"]
        assert not connections[0].is_lost
        while not resumed.is_set():
            await client.reader.read(1 << 16)
        assert calls == ["pause", "resume"]
        client.writer.close()
        await gone.wait()
        assert connections[0].is_lost


@pytest.mark.usefixtures("no_leaks")
async def test_a_client_that_takes_nothing_is_cut_off() -> None:
    """After `write_stall_s` without a byte taken the connection ends and its task is cancelled."""
    gone = asyncio.Event()

    async def endpoint(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 0x10000)
        finally:
            gone.set()

    clocks = ClientClocks(write_stall_s=0.05)
    async with running(endpoint, client_clocks=clocks) as served:
        async with connecting(served.port) as client, asyncio.timeout(SLACK):
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(HEALTH)
            await gone.wait()
            client.writer.transport.abort()
        assert served.observer.connection_faults == ["write_stall"]


@pytest.mark.usefixtures("no_leaks")
async def test_what_is_left_of_a_last_answer_is_watched_too() -> None:
    """An answer that closes its connection does not keep it for a client that never reads."""
    size = 16 * 1024 * KIB

    async def endpoint(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * size, headers={"Connection": "close"})

    clocks = ClientClocks(write_stall_s=0.05)
    async with running(endpoint, client_clocks=clocks) as served, connecting(served.port) as client:
        async with asyncio.timeout(SLACK):
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(HEALTH)
            await until(lambda: served.observer.connection_faults == ["write_stall"])
            client.writer.transport.abort()


@pytest.mark.usefixtures("no_leaks")
async def test_a_client_that_takes_little_is_not_cut_off() -> None:
    """A slow reader that makes progress within each `write_stall_s` gets everything."""
    size = 24 * 1024 * KIB
    stall_s = 0.3

    async def endpoint(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        assert request.transport is not None
        request.transport.write(b"%x\r\n" % size + b"x" * size + b"\r\n")
        await response.write_eof()
        return response

    loop = asyncio.get_running_loop()
    started_s = loop.time()
    async with (
        running(endpoint, client_clocks=ClientClocks(write_stall_s=stall_s)) as served,
        connecting(served.port, HEALTH) as client,
    ):
        await client.reader.readuntil(b"\r\n\r\n")
        received = 0
        while received < size:
            piece = await client.reader.read(1 << 20)
            assert piece
            received += len(piece)
            pause = asyncio.Event()
            loop.call_later(0.01, pause.set)
            await pause.wait()
        assert loop.time() - started_s > stall_s
        assert served.observer.connection_faults == []


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("sent", [b"", b"\r\n", b"G", PARTIAL])
async def test_a_head_must_be_whole_in_time(sent: bytes) -> None:
    """A new connection without a whole head after `head_s` gets 408 in JSON, and its end."""
    async with running(answer_ok, client_clocks=ClientClocks(head_s=HASTY_S)) as served:
        async with asyncio.timeout(SLACK):
            (answer,) = await exchange(served.port, sent)
        assert (answer.status, answer.error["code"]) == (408, "request_timeout")
        assert answer.headers["connection"] == "close"
        assert answer.headers["server"] == "llm-proxy-api"
        assert served.observer.connection_faults == ["head_timeout"]


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize(
    "reads",
    [
        [HEALTH, PARTIAL],
        [HEALTH + PARTIAL],
        [HEALTH + HEALTH[:20], HEALTH[20:], PARTIAL],
        [build_request(b"{}") + PARTIAL],
        [build_head("Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n\r\n", PARTIAL],
    ],
)
async def test_the_next_head_has_a_clock_of_its_own(reads: list[bytes]) -> None:
    """On a kept connection the clock begins with a head's first byte, wherever that stands."""
    async with running(answer_ok, client_clocks=ClientClocks(head_s=HASTY_S)) as served:
        async with connecting(served.port) as client, asyncio.timeout(SLACK):
            for read in reads:
                await client.send(read)
                if read != PARTIAL and not read.endswith(HEALTH[:20]):
                    assert (await client.read_answer()).status == 200
            answers = await client.read_answers()
        assert [answer.status for answer in answers][-1] == 408
        assert served.observer.connection_faults == ["head_timeout"]


@pytest.mark.usefixtures("no_leaks")
async def test_a_head_that_begins_behind_a_running_request_has_its_clock_too() -> None:
    """What came of the next head while a request was answered is not waited for any longer."""
    may_answer, was_asked = asyncio.Event(), asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        was_asked.set()
        await may_answer.wait()
        return web.Response()

    async with running(answer, client_clocks=ClientClocks(head_s=HASTY_S)) as served:
        async with connecting(served.port, HEALTH) as client, asyncio.timeout(SLACK):
            await was_asked.wait()
            await client.send(PARTIAL)
            (connection,) = served.connections
            await until(lambda: connection._head_timer is not None)
            may_answer.set()
            answers = await client.read_answers()
        assert [answer.status for answer in answers] == [200, 408]
        assert served.observer.connection_faults == ["head_timeout"]


@pytest.mark.usefixtures("no_leaks")
async def test_a_head_may_begin_in_any_turn_of_the_loop() -> None:
    """Its clock runs also where the request before it is just about to be handled."""
    async with running(answer_ok) as served, connecting(served.port) as client:
        await until(lambda: any(c._is_waiting for c in served.connections))
        (connection,) = served.connections
        connection.data_received(HEALTH)
        await until(lambda: not connection._messages)
        connection.data_received(PARTIAL)
        assert connection._head_timer is not None
        assert (await client.read_answer()).status == 200


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize(
    "request_bytes",
    [
        HEALTH,
        HEALTH * 40,
        build_request(b"{}"),
        build_request(b"{}") + b"\r\n",
        build_head("Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n\r\n",
        build_head("Content-Length: 0"),
    ],
)
async def test_a_kept_connection_may_be_idle(request_bytes: bytes) -> None:
    """Between requests no clock of heads runs, however the last one came."""
    async with running(answer_ok, client_clocks=ClientClocks(head_s=HASTY_S)) as served:
        async with connecting(served.port, request_bytes) as client:
            for _ in range(40 if len(request_bytes) > 1000 else 1):
                assert (await client.read_answer()).status == 200
            # Nothing announces that nothing happens: three times the clock has to pass.
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.reader.read(1), HASTY_S * 3)
            await client.send(HEALTH)
            assert (await client.read_answer()).status == 200
        assert served.observer.connection_faults == []


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("last", range(1, 5))
@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_a_head_may_end_in_a_read_of_its_own(last: int, body: bytes) -> None:
    """However little of a head comes last, its connection may be idle after the answer."""
    head = build_head(f"Content-Length: {len(body)}")
    async with running(answer_ok) as served:
        async with connecting(served.port) as client:
            await until(lambda: any(c._is_waiting for c in served.connections))
            (connection,) = served.connections
            connection.data_received(head[:-last])
            connection.data_received(head[-last:] + body)
            assert (await client.read_answer()).status == 200
            assert connection._head_timer is None
        assert served.observer.connection_faults == []


@pytest.mark.usefixtures("no_leaks")
async def test_connections_above_the_cap_are_reset() -> None:
    """One too many ends at once; those that were there go on, and one that leaves makes room."""
    async with (
        running(answer_ok, max_client_connections=2) as served,
        connecting(served.port) as first,
        connecting(served.port, HEALTH) as second,
    ):
        assert (await second.read_answer()).status == 200
        async with connecting(served.port) as third:
            with pytest.raises(ConnectionResetError):
                await third.reader.read()
        assert served.observer.connection_faults == ["connection_rejected"]
        await first.send(HEALTH)
        assert (await first.read_answer()).status == 200
        first.writer.close()
        await until(lambda: len(served.connections) == 1)
        async with connecting(served.port, HEALTH) as fourth:
            assert (await fourth.read_answer()).status == 200


class Wire(asyncio.Transport):
    """A transport of a client at an address of a test's choice."""

    def __init__(self, peer: str) -> None:
        super().__init__({"peername": (peer, 1)})
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True


@pytest.mark.usefixtures("no_leaks")
async def test_an_address_has_its_share_of_connections() -> None:
    """What one address opens above `max_connections_per_address` is broken off, unlike others'."""
    async with running(answer_ok, max_connections_per_address=0) as served:
        server = served.runner.server
        assert server is not None
        strange = Wire("203.0.113.1")
        protocol = server()
        protocol.connection_made(strange)
        protocol.connection_lost(None)
        assert strange.is_aborted
        assert served.observer.connection_faults == ["connection_rejected"]
        async with connecting(served.port, HEALTH) as client:
            assert (await client.read_answer()).status == 200


@pytest.mark.usefixtures("no_leaks")
async def test_a_thousand_pipelined_requests_are_answered_in_order() -> None:
    """Each has its answer in its turn, whatever the queue of the server holds at once."""

    async def endpoint(request: web.Request) -> web.StreamResponse:
        return web.Response(text=request.path)

    requests = [b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(1000)]
    async with running(endpoint) as served, connecting(served.port, b"".join(requests)) as client:
        for number in range(1000):
            assert (await client.read_answer()).body == b"/%d" % number


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("count", [1, 150, 2000])
async def test_a_client_that_pipelines_and_leaves_is_seen(count: int) -> None:
    """The running request is cancelled although the connection is not read from any more."""
    begun, gone = asyncio.Event(), asyncio.Event()

    async def endpoint(request: web.Request) -> web.StreamResponse:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        return web.Response()

    async with running(endpoint) as served, connecting(served.port, HEALTH * count) as client:
        await begun.wait()
        client.writer.close()
        async with asyncio.timeout(SLACK):
            await gone.wait()


@pytest.mark.usefixtures("no_leaks")
async def test_half_a_close_is_a_whole_one() -> None:
    """A client that shuts down its sending side has left: its request is cancelled."""
    begun, gone = asyncio.Event(), asyncio.Event()

    async def endpoint(request: web.Request) -> web.StreamResponse:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        return web.Response()

    async with running(endpoint) as served, connecting(served.port, HEALTH) as client:
        await begun.wait()
        client.writer.write_eof()
        await gone.wait()
        assert await client.read_end() == b""


UPGRADES = ["Upgrade: h2c", "upgrade: h2c", "Upgrade: websocket", "Upgrade: TLS/1.0, HTTP/3"]


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 5000])
async def test_an_upgrade_is_ignored(upgrade: str, body: bytes) -> None:
    """The request is answered as HTTP/1.1, and so is each that came in one piece with it."""

    async def endpoint(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"%s %d" % (request.path.encode(), len(await request.read())))

    first = build_request(body, upgrade, "Connection: Upgrade", "HTTP2-Settings: AAMAAABk",
                          line="POST /first HTTP/1.1")  # fmt: skip
    async with running(endpoint) as served, connecting(served.port, first + HEALTH * 2) as client:
        expected = [b"/first %d" % len(body), b"/health 0", b"/health 0"]
        assert [(await client.read_answer()).body for _ in expected] == expected


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize(
    "reads",
    [
        [b"GET / HTTP/1.1\r\nHost: x\r\nuPGRADE: h2c\r\nConnection: upgrade\r\n\r\n" + HEALTH],
        [HEALTH + build_request(b"", "Upgrade: h2c", "Connection: Upgrade") + HEALTH],
        [build_head("Upgrade: h2c", "Connection: Upgrade", "Content-Length: 4") + b"ab",
         b"cd" + HEALTH],
        [build_head("Upgrade: h2c", "Connection: Upgrade", "Transfer-Encoding: chunked")
         + b"1\r\nx\r\n0\r\n\r\n" + HEALTH],
    ],
)  # fmt: skip
async def test_what_may_be_lost_behind_an_upgrade_is_not_waited_for(reads: list[bytes]) -> None:
    """Where the parser could drop what follows, the answer is announced as the last one."""
    async with running(answer_ok) as served, connecting(served.port) as client:
        for read in reads:
            await client.send(read)
            await until(lambda: any(c._request_count for c in served.connections))
        answers = await client.read_answers()
        assert answers[-1].headers["connection"] == "close"
        assert {answer.status for answer in answers} == {200}


@pytest.mark.usefixtures("no_leaks")
async def test_an_upgrade_among_many_lines_costs_little() -> None:
    """Lines without end before a head are not looked at one by one."""
    lines = (
        b"\r\n" * 100_000
        + b"GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: upgrade\r\nHost: x\r\n\r\n"
    )
    async with running(answer_ok) as served, connecting(served.port, lines) as client:
        assert (await client.read_answer()).status == 200


@pytest.mark.usefixtures("no_leaks")
async def test_a_failing_handler_gets_no_second_answer(caplog: pytest.LogCaptureFixture) -> None:
    """What fails outside of an endpoint may have been answered in part: the connection ends."""

    async def endpoint(request: web.Request) -> web.StreamResponse:
        raise RuntimeError("a fault of ours")

    async with running(endpoint) as served:
        assert await exchange(served.port, HEALTH) == []
    assert [record.name for record in caplog.records] == ["llm_proxy.server"]


@pytest.mark.usefixtures("no_leaks")
async def test_a_body_that_breaks_off_has_one_answer() -> None:
    """A second answer, to the same request, would be taken for that to the next."""
    async with serving(build_snapshot(build_provider("http://127.0.0.1:1/v1"))) as server:
        async with connecting(server.port, build_head("Transfer-Encoding: chunked")) as client:
            await client.send(b"1\r\n \r\n")
            await until(lambda: server.runtime.in_flight == 1)
            await client.send(b"zz\r\n" + build_request())
            (answer,) = await client.read_answers()
        assert (answer.status, answer.error["code"]) == (400, "invalid_http")
        assert server.observer.connection_faults == ["invalid_http"]
        assert len(server.observer.records) == 1


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("turns", range(4))
async def test_a_body_may_break_off_in_any_turn_of_the_loop(turns: int) -> None:
    """Also before the turn that takes a request from the queue, and in it."""
    snapshot = build_snapshot(build_provider("http://127.0.0.1:1/v1"))
    async with serving(snapshot, connection="aiohttp") as server:
        async with connecting(server.port) as client, asyncio.timeout(SLACK):
            await until(lambda: any(c._is_waiting for c in list_connections(server.runner)))
            (connection,) = list_connections(server.runner)
            connection.data_received(build_head("Transfer-Encoding: chunked"))
            for _ in range(turns):
                await asyncio.sleep(0)
            connection.data_received(b"zz\r\n")
            (answer,) = await client.read_answers()
        assert (answer.status, answer.error["code"]) == (400, "invalid_http")
        assert server.observer.connection_faults == ["invalid_http"]
        assert len(server.observer.records) == 1


@pytest.mark.usefixtures("no_leaks")
async def test_a_queued_request_whose_body_breaks_off_is_not_run() -> None:
    """It waits behind another one, is found broken, and is refused in its turn."""
    seen: list[str] = []
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def endpoint(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        begun.set()
        await may_end.wait()
        return web.Response(text="ok")

    async with running(endpoint) as served, connecting(served.port, HEALTH) as client:
        await begun.wait()
        await client.send(
            build_head("Transfer-Encoding: chunked", line="POST /broken HTTP/1.1") + b"1\r\nx\r\n"
        )
        (connection,) = served.connections
        await until(lambda: connection._request_count == 2)
        await client.send(b"zz\r\n")
        await until(lambda: connection._request_count == 3)
        may_end.set()
        first, second = await client.read_answers()
        assert (first.status, second.status, seen) == (200, 400, ["/health"])
        assert served.observer.connection_faults == ["invalid_http"]


def test_a_stalled_reader_costs_less_than_256_kib() -> None:
    """On the loop that serves: a flooding provider is paused before more than that waits."""

    async def flood(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        event = build_chunk("x" * 4000)
        while True:
            await connection.chunk(event * 64)

    async def measure() -> int:
        async with open_raw_upstream(flood) as upstream, proxying(upstream.url) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(build_request(b'{"model":"m","stream":true,"messages":'
                                       b'[{"role":"user","content":"hi"}]}'))  # fmt: skip
            largest = 0
            loop = asyncio.get_running_loop()
            quiet_since_s = loop.time()
            while loop.time() - quiet_since_s < 0.5:
                await asyncio.sleep(0)
                for connection in server.runner.connections:
                    assert connection.transport is not None
                    waiting = connection.transport.get_write_buffer_size()
                    if waiting > largest:
                        largest, quiet_since_s = waiting, loop.time()
            (stalled,) = server.runner.connections
            assert stalled.writing_paused
            writer.transport.abort()
            return largest

    largest = uvloop.run(measure())
    assert 0 < largest < 256 * KIB


def test_settings_hold_for_new_connections() -> None:
    """Clocks and caps are those of `Settings`, ten seconds for a head unless set."""
    assert Settings().client_clocks.head_s == 10.0
    assert replace(Settings(), max_client_connections=1).max_client_connections == 1


async def test_aiohttps_own_client_is_served() -> None:
    """A client that keeps its connection gets answer after answer over it."""
    async with running(answer_ok) as served, aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.get(f"http://127.0.0.1:{served.port}/") as answer:
                assert await answer.text() == "ok"
        assert len(served.connections) == 1
