"""Requests that are refused for want of a place, at the least expense."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import msgspec
import pytest
from multidict import CIMultiDict

from proxy.pipeline.authenticate import authenticate
from proxy.pipeline.context import Runtime
from proxy.pipeline.limit import name_key
from proxy.policy.shedding import LEAST_IN_FLIGHT
from proxy.server import lean_shed
from proxy.server.chat_endpoints import list_plain_routes
from proxy.server.lean_head import read_head
from proxy.server.lean_shed import (
    FULL_FOR_S,
    LOGGED_PER_S,
    MOST_AT_ONCE,
    REFUSALS_PER_S,
    RESUME_EACH_S,
    LeanShed,
)
from tests.fakes.proxy_server import (
    ANSWER,
    AUTH,
    ProxyServer,
    build_runtime,
    build_snapshot,
    proxying,
)
from tests.fakes.raw_client import RawAnswer, RawClient, build_head, build_request, connecting
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering

pytestmark = [pytest.mark.usefixtures("no_leaks"), pytest.mark.both_loops]

PLAIN = build_request()
NOWHERE = "http://127.0.0.1:1/v1"
SLACK_S = 10
LARGE_BYTES = 20 * 2**20
VARYING = ("date", "x-request-id", "x-litellm-call-id", "retry-after")


@pytest.fixture
def none_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have none of them refused by the pipeline, as the first of each second are."""
    monkeypatch.setattr(lean_shed, "LOGGED_PER_S", 0)


def make_full(server: ProxyServer) -> None:
    """Have all places taken."""
    server.runtime.shedding.ceiling = None
    server.runtime.in_flight = server.runtime.snapshot.settings.max_in_flight


def make_late(server: ProxyServer) -> None:
    """Have a ceiling that what is under way has reached."""
    server.runtime.shedding.ceiling = LEAST_IN_FLIGHT
    server.runtime.in_flight = LEAST_IN_FLIGHT


def make_timely(server: ProxyServer) -> None:
    """Have no ceiling."""
    server.runtime.shedding.ceiling = None
    server.runtime.in_flight = 0


@asynccontextmanager
async def being_late(data: bytes = b"") -> AsyncIterator[tuple[ProxyServer, RawClient]]:
    """Connect to a proxy whose loop is late, and whose upstream answers."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        proxying(upstream.url) as server,
    ):
        make_late(server)
        async with connecting(server.port, data) as client, asyncio.timeout(SLACK_S):
            yield server, client


def read_same(answer: RawAnswer) -> tuple[int, list[tuple[str, str]], Any]:
    """Return what is the same in all answers of a kind."""
    fields = [(name, value) for name, value in answer.headers.items() if name not in VARYING]
    return answer.status, fields, answer.json


@pytest.mark.usefixtures("none_logged")
async def test_it_is_the_refusal_that_all_others_get() -> None:
    """Status, headers and body are those of a server that is full, under an id of its own."""
    async with being_late() as (server, client):
        ids, waits = set(), set()
        for _ in range(40):
            await client.send(PLAIN)
            answer = await client.read_answer()
            ids.add(answer.headers["x-request-id"])
            waits.add(answer.headers["retry-after"])
            assert answer.headers["x-litellm-call-id"] in ids
        assert len(ids) == 40
        assert 1 < len(waits) <= len({"1", "2", "3", "4", "5"} | waits) == 5
        assert answer.error["type"] == "overloaded_error"
        assert answer.error["code"] == "server_overloaded"
        assert server.observer.records == []
        make_full(server)
        await client.send(PLAIN)
        assert read_same(await client.read_answer()) == read_same(answer)
        assert server.runtime.shed == {"late": 40, "full": 1}
        await client.send(build_request(b"{}", "Connection: close"))
        usual = await client.read_answer()
        await server.observer.wait_for_records(1)
        named = [each for each in read_same(usual)[1] if each[0] != "connection"]
        assert (usual.status, named, usual.json) == read_same(answer)
        make_timely(server)


@pytest.mark.parametrize("make", [make_late, make_full])
async def test_the_first_of_each_second_are_recorded(make: Callable[[ProxyServer], None]) -> None:
    """So many a second are refused by the pipeline, which tells who they were; others are not."""
    async with being_late() as (server, client):
        make(server)
        begun_s, count = int(time.time()), 3 * LOGGED_PER_S
        for _ in range(count):
            await client.send(PLAIN)
            assert (await client.read_answer()).status == 503
        seconds = int(time.time()) - begun_s + 1
        logged = len(server.observer.records)
        assert min(LOGGED_PER_S, count) <= logged <= LOGGED_PER_S * seconds
        assert logged + server.runtime.unrecorded.total() == count
        assert server.runtime.shed.total() == count
        make_timely(server)


@pytest.mark.usefixtures("none_logged")
async def test_they_are_counted_and_the_connection_serves_on() -> None:
    """A refused request is counted by reason and endpoint; the next is answered when it can be."""
    async with being_late(PLAIN) as (server, client):
        assert (await client.read_answer()).status == 503
        await client.send(build_request(line="POST /v1/embeddings HTTP/1.1"))
        assert (await client.read_answer()).status == 503
        assert server.runtime.shed == {"late": 2}
        assert server.runtime.unrecorded == {"/chat/completions": 1, "/embeddings": 1}
        make_timely(server)
        await client.send(PLAIN)
        assert (await client.read_answer()).status == 200


@pytest.mark.usefixtures("none_logged")
async def test_strangers_are_refused_alike() -> None:
    """Nobody looks for a key while the loop is late."""
    async with being_late(PLAIN.replace(b"Bearer sk", b"Bearer no")) as (_, client):
        assert (await client.read_answer()).status == 503


@pytest.mark.usefixtures("none_logged")
@pytest.mark.parametrize(
    "odd",
    [
        build_request(b"{}", "Connection: close"),
        build_request(b"{}", "Origin: https://app.example"),
        build_head("Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n",
        build_request(b"{}", "X_Odd: a"),
        build_head("Content-Length: 9"),
    ],
    ids=["last", "from a browser", "chunked", "not plain", "not whole"],
)
async def test_what_is_not_simple_is_refused_the_usual_way(odd: bytes) -> None:
    """All else gets the same 503, with a record, from who knows how to deal with it."""
    async with being_late(odd) as (server, client):
        answer = await client.read_answer()
        assert (answer.status, answer.error["code"]) == (503, "server_overloaded")
        await server.observer.wait_for_records(1)
        assert server.runtime.shed == {"late": 1}
        assert server.runtime.unrecorded == {}
        make_timely(server)


@pytest.mark.usefixtures("none_logged")
async def test_while_draining_a_refusal_is_the_last_answer() -> None:
    """A server that ends has the pipeline refuse, which closes the connection."""
    async with being_late() as (server, client):
        server.runtime.is_draining = True
        await client.send(PLAIN)
        answer = await client.read_answer()
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        make_timely(server)


@pytest.mark.usefixtures("none_logged")
async def test_a_large_body_is_not_read() -> None:
    """Of a body of 20 MiB the server takes no more than has come with the head, and closes."""
    head = build_head(f"Content-Length: {LARGE_BYTES}")
    async with being_late(head) as (server, client):
        answer = await client.read_answer()
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert await client.read_end() == b""
        make_timely(server)


async def test_health_metrics_status_and_administration_are_answered() -> None:
    """What is not for a provider has a reserve: none of it takes a place or is refused."""
    async with being_late() as (server, _):
        for settings in ("late", "full"):
            if settings == "full":
                make_full(server)
            async with aiohttp.ClientSession(headers=AUTH) as session:
                for path in ("/health", "/health/readiness", "/metrics", "/status", "/v1/models"):
                    async with session.get(f"http://127.0.0.1:{server.port}{path}") as answered:
                        assert answered.status == 200, path
                async with session.get(f"http://127.0.0.1:{server.port}/admin/config") as answered:
                    assert answered.status == 403  # not this key's, and no matter of load
        make_timely(server)


class Clockwork:
    """A loop and a clock that stand still until they are told."""

    def __init__(self) -> None:
        self.now_s = 1.0
        self.later: list[Callable[[], None]] = []
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Keep what is to be called in the next turn of the loop."""
        self.soon.append(callback)

    def begin_turn(self) -> None:
        """Call what was kept for it."""
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Keep what is to be called."""
        assert delay_s in {RESUME_EACH_S, FULL_FOR_S}
        self.later.append(callback)

    def turn(self, passed_s: float) -> None:
        """Let time pass, and call what was kept."""
        self.now_s += passed_s
        later, self.later = self.later, []
        for callback in later:
            callback()


class SlowedTransport:
    """Notes whether it is read from."""

    def __init__(self, *, closes: bool = False) -> None:
        self.is_read = True
        self._closes = closes

    def is_closing(self) -> bool:
        """Tell whether its client has left."""
        return self._closes

    def pause_reading(self) -> None:
        """Be read from no longer."""
        self.is_read = False

    def resume_reading(self) -> None:
        """Be read from again."""
        assert not self._closes
        self.is_read = True


def build_shed(runtime: Runtime | None = None) -> tuple[LeanShed, Clockwork]:
    """Return one before a clock of the test's."""
    works = Clockwork()
    loop = cast(asyncio.AbstractEventLoop, works)
    return LeanShed(runtime or build_runtime(), loop, lambda: works.now_s), works


def refuse(shed: LeanShed, data: bytes = PLAIN) -> bool:
    """Return whether a request is refused before it gets to the pipeline."""
    head = read_head(data, list_plain_routes())
    assert head is not None
    return shed.refuse(head, len(data)) is not None


@pytest.mark.usefixtures("none_logged")
@pytest.mark.parametrize("room", [1, 3])
def test_of_one_turn_no_more_begin_than_there_is_room_for(room: int) -> None:
    """Those count that have not taken their place yet, and only until they can have taken it."""
    runtime = build_runtime()
    runtime.in_flight = runtime.snapshot.settings.max_in_flight - room
    shed, works = build_shed(runtime)
    for _ in range(2):
        assert [refuse(shed) for _ in range(room + 2)] == [False] * room + [True] * 2
        works.begin_turn()
    assert runtime.shed == {"full": 4}


@pytest.mark.usefixtures("none_logged")
def test_who_gets_no_place_keeps_nobody_from_one() -> None:
    """Strangers, and a key that has its share, do not count among those that are about to begin."""
    runtime = build_runtime(build_snapshot(max_in_flight=100, max_key_share=0.5))
    runtime.in_flight = 99
    shed, _ = build_shed(runtime)
    stranger = PLAIN.replace(b"Bearer sk", b"Bearer no")
    assert not any(refuse(shed, stranger) for _ in range(3))
    caller = authenticate(CIMultiDict(AUTH), runtime.snapshot, runtime.hasher)
    runtime.in_flight_by_key[name_key(caller)] = 50
    assert not any(refuse(shed) for _ in range(3))
    runtime.in_flight_by_key.clear()
    assert [refuse(shed), refuse(shed), refuse(shed, stranger)] == [False, True, True]


@pytest.mark.usefixtures("none_logged")
def test_a_late_loop_is_no_full_one() -> None:
    """What the ceiling refuses begins no watch for places."""
    runtime = build_runtime()
    runtime.shedding.ceiling = runtime.in_flight = LEAST_IN_FLIGHT
    shed, works = build_shed(runtime)
    assert refuse(shed)
    assert not shed.was_full
    assert works.later == []


@pytest.mark.usefixtures("none_logged")
def test_a_refusal_is_in_the_clients_dialect() -> None:
    """Clients of messages read Anthropic's shape, whole and with the request's id in its body."""
    runtime = build_runtime()
    runtime.in_flight = runtime.snapshot.settings.max_in_flight
    shed, _ = build_shed(runtime)
    data = PLAIN.replace(b"/v1/chat/completions", b"/v1/messages")
    plain = read_head(data, list_plain_routes())
    assert plain is not None
    answer = shed.refuse(plain, len(data))
    assert answer is not None
    head, _, body = answer.partition(b"\r\n\r\n")
    told = msgspec.json.decode(body)
    assert (told["type"], told["error"]["type"]) == ("error", "overloaded_error")
    fields = head.decode().split("\r\n")
    assert f"Content-Length: {len(body)}" in fields
    assert f"request-id: {told['request_id']}" in fields
    assert f"x-request-id: {told['request_id']}" in fields
    assert runtime.unrecorded == {"/messages": 1}


def test_a_few_refusals_slow_nobody_down() -> None:
    """Up to a rate that costs little, refused connections are read from as before."""
    shed, works = build_shed()
    transports = [SlowedTransport() for _ in range(int(MOST_AT_ONCE))]
    for _ in range(5):
        for each in transports:
            shed.slow_down(cast(asyncio.Transport, each))
        assert all(each.is_read for each in transports)
        works.turn(1.01 * MOST_AT_ONCE / REFUSALS_PER_S)


def test_those_who_ask_again_at_once_are_refused_at_a_set_rate() -> None:
    """However many connections ask again whenever they are read from, all have their turns."""
    shed, works = build_shed()
    transports = [SlowedTransport() for _ in range(1000)]
    refusals: Counter[SlowedTransport] = Counter()
    turns = round(1.0 / RESUME_EACH_S)
    for _ in range(turns):
        for each in transports:
            if each.is_read:
                refusals[each] += 1
                shed.slow_down(cast(asyncio.Transport, each))
        assert len(works.later) <= 1
        works.turn(RESUME_EACH_S)
    # At first all are read from.
    most = REFUSALS_PER_S + MOST_AT_ONCE + len(transports)
    assert REFUSALS_PER_S * 0.9 < refusals.total() <= most
    assert max(refusals.values()) - min(refusals[each] for each in transports) <= 1


def test_those_who_have_left_are_forgotten() -> None:
    """A slowed connection that has closed is not read from, and keeps nobody from a turn."""
    shed, works = build_shed()
    transports = [SlowedTransport(closes=number % 2 == 0) for number in range(600)]
    for each in transports:
        shed.slow_down(cast(asyncio.Transport, each))
    for _ in range(1000):
        works.turn(RESUME_EACH_S)
    assert all(each.is_read for each in transports if not each.is_closing())
    assert works.later == []


def test_it_watches_for_as_long_as_requests_find_all_places_taken() -> None:
    """A second in which nobody found all places taken ends it, no other does."""
    runtime = build_runtime()
    runtime.in_flight = runtime.snapshot.settings.max_in_flight
    shed, works = build_shed(runtime)
    assert not shed.was_full
    while not runtime.shed["full"]:  # the first of each second are the pipeline's to refuse
        refuse(shed)
    assert len(works.later) == 1
    assert shed.was_full
    works.turn(FULL_FOR_S)
    assert shed.was_full
    runtime.shed["full"] += 1
    works.turn(FULL_FOR_S)
    assert shed.was_full
    works.turn(FULL_FOR_S)
    assert not shed.was_full
    assert works.later == []
    refuse(shed)
    assert shed.was_full
