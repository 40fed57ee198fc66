"""A worker does what its supervisor says, and finishes what it has when there is none any more."""

import asyncio
import json
import signal
import threading
from pathlib import Path

import aiohttp
import pytest
from msgspec.structs import replace

from proxy.control.messages import (
    Ack,
    Answer,
    Ask,
    BreakerOrder,
    Drain,
    Happened,
    Leaving,
    Ping,
    Pong,
    Ready,
    ReopenLog,
    Tell,
)
from proxy.domain.catalog import Deployment, Group
from proxy.domain.event import Event
from proxy.providers import registry
from proxy.worker import serve
from tests.end_to_end.asking import ASK, knobs
from tests.fakes.proxy_server import ADMIN_KEY, AUTH, build_provider, build_snapshot
from tests.fakes.third_party import KIND, install_package
from tests.supervisor.fleets import STATUS
from tests.worker.workers import WorkerUnderTest, build_models, publish, working

pytestmark = pytest.mark.usefixtures("no_leaks")

IMPORTING, GOES_ON = threading.Event(), threading.Event()
SLOW = f"""\
from {__name__} import GOES_ON, IMPORTING
IMPORTING.set()
assert GOES_ON.wait(2)
{KIND}"""
"""A package whose import takes until the test goes on, which it cannot if the loop stands."""


async def test_it_serves_what_is_published(tmp_path: Path) -> None:
    """It says Ready once it serves, and acknowledges a snapshot once requests go by it."""
    async with working(tmp_path) as worker:
        await worker.hear(Ready)
        assert (await worker.hear(Ack)).generation == 1
        worker.link.send(publish(build_models("sim-story", "sim-two", generation=2)))
        assert (await worker.hear(Ack)).generation == 2
        _, body = await worker.get("/v1/models")
        assert [model["id"] for model in body["data"]] == ["sim-story", "sim-two"]


async def test_a_type_that_no_package_brings_keeps_nothing_else_from_being_served(
    tmp_path: Path,
) -> None:
    """The snapshot is taken, its other models are served, and the log says what is missing."""
    snapshot = build_models("sim-echo", generation=2)
    gone = build_provider("https://a.example/v1", name="gone", type="of-nobody")
    providers = {**snapshot.providers, "gone": gone}
    groups = {**snapshot.groups, "m": Group("m", (Deployment(gone, "m"),))}
    async with working(tmp_path) as worker:
        await worker.hear(Ready)
        worker.link.send(publish(replace(snapshot, providers=providers, groups=groups)))
        assert [(await worker.hear(Ack)).generation for _ in range(2)] == [1, 2]
        statuses = []
        async with aiohttp.ClientSession(worker.url) as session:
            for model in ("m", "sim-echo"):
                body = {"model": model, "messages": ASK}
                path = "/v1/chat/completions"
                async with session.post(path, json=body, headers=AUTH) as answer:
                    statuses.append(answer.status)
                    code = (await answer.json()).get("error", {}).get("code")
                    assert code in ("unsupported_operation", None)
        assert statuses == [400, 200]
        worker.link.send(Drain(1.0))
        assert await worker.wait_for_end() == 0
    assert "'of-nobody'" in (tmp_path / "log").read_text()


async def test_a_package_that_takes_its_time_keeps_no_request_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop turns while a snapshot's types are imported."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_loaded_kinds", {})
    monkeypatch.setattr(registry, "_loaded_types", {})
    install_package(tmp_path, SLOW, name="slow-ai")
    snapshot = build_snapshot(build_provider("https://a.example/v1", type="acme"))
    message = publish(snapshot)
    decoding = asyncio.create_task(serve._decode(message.parts))
    assert await asyncio.to_thread(IMPORTING.wait, 20)
    GOES_ON.set()
    assert (await decoding).providers == snapshot.providers
    assert registry.find_kind("acme") is not None


async def test_it_answers_pings(tmp_path: Path) -> None:
    """A ping comes back with its number as soon as the loop turns."""
    async with working(tmp_path) as worker:
        await worker.hear(Ready)
        worker.link.send(Ping(41))
        assert (await worker.hear(Pong)).number == 41


async def test_it_tells_of_the_service_what_it_was_told(tmp_path: Path) -> None:
    """`/health` is the supervisor's word: generation, workers and what is wrong."""
    async with working(tmp_path) as worker:
        await worker.hear(Ready)
        config = replace(STATUS.config, generation=7, last_error="a: wrong", problem_count=1)
        worker.link.send(Tell(replace(STATUS, config=config, workers=4, ready_workers=3)))
        worker.link.send(Ping(1))
        await worker.hear(Pong)
        _, body = await worker.get("/health")
        assert body["config"]["generation"] == 7
        assert body["config"]["last_error"] == "a: wrong"
        assert body["workers"] == {"total": 4, "ready": 3}


async def test_it_asks_for_what_only_the_supervisor_knows(tmp_path: Path) -> None:
    """A request for `/admin/config` becomes an ask, and its answer the body."""
    async with working(tmp_path) as worker:
        await worker.hear(Ready)
        request = asyncio.create_task(worker.get("/admin/config", ADMIN_KEY))
        ask: Ask = await worker.hear(Ask)
        assert ask.what == "config"
        worker.link.send(Answer(ask.id, b'{"generation": 1, "values": []}'))
        assert await request == (200, {"generation": 1, "values": []})


@pytest.mark.parametrize("how", ["told", "signal", "orphan"])
async def test_its_streams_come_whole_before_it_ends(tmp_path: Path, how: str) -> None:
    """Told to drain, sent SIGTERM or left alone: it finishes its stream, and exits with 0."""
    async with working(tmp_path) as worker:
        await worker.hear(Ready)
        body = {"model": "sim-story", "stream": True, "messages": ASK}
        body |= knobs(tokens_per_s=50, tokens=40)
        async with (
            aiohttp.ClientSession(worker.url) as session,
            session.post("/v1/chat/completions", json=body, headers=AUTH) as answer,
        ):
            await answer.content.readline()
            await end(worker, how)
            assert (await answer.content.read()).endswith(b"data: [DONE]\n\n")
        assert await worker.wait_for_end() == 0


async def end(worker: WorkerUnderTest, how: str) -> None:
    """Have a worker end in one of three ways."""
    if how == "told":
        worker.link.send(Drain(10.0))
    elif how == "signal":
        worker.process.send_signal(signal.SIGTERM)
        await worker.hear(Leaving)
    else:
        await worker.link.close()


async def test_a_log_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    """After ReopenLog new lines are in a new file under the old name."""
    async with working(tmp_path) as worker:
        await worker.hear(Ready)
        log = tmp_path / "log"
        log.touch()
        log.rename(tmp_path / "log.1")
        worker.link.send(ReopenLog())
        worker.link.send(Ping(1))
        await worker.hear(Pong)
        await worker.get("/nowhere")
        worker.link.send(Drain(1.0))
        assert await worker.wait_for_end() == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["status_code"] for line in lines if "status_code" in line] == [404]


async def test_a_state_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """A worker that cannot begin says why in the log and exits with 1."""
    (tmp_path / "taken").touch()
    async with working(tmp_path, state_dir=str(tmp_path / "taken")) as worker:
        assert await worker.wait_for_end() == 1
    assert "this worker cannot go on" in (tmp_path / "log").read_text()


async def test_it_does_what_operators_say_to_breakers(tmp_path: Path) -> None:
    """An order is carried out by the worker's own breakers, and ends where one resets it."""
    async with working(tmp_path) as worker:
        await worker.hear(Ready)

        async def read_states(order: BreakerOrder) -> dict[str, str]:
            worker.link.send(order)
            worker.link.send(Ping(1))
            await worker.hear(Pong)
            _, body = await worker.get("/admin/breakers", ADMIN_KEY)
            return {each["id"]: each["state"] for each in body["breakers"]}

        states = await read_states(BreakerOrder("simulator/sim-story", "open"))
        assert states == {"simulator/sim-story": "forced_open"}
        assert await read_states(BreakerOrder("gone/m", "open")) == states
        assert await read_states(BreakerOrder("*", "reset")) == {}


async def test_events_go_from_worker_to_worker(tmp_path: Path) -> None:
    """Who listens hears of other workers' breakers and of reloads; own ones are told to others."""
    async with working(tmp_path) as worker:
        await worker.hear(Ready)
        async with (
            aiohttp.ClientSession(worker.url) as session,
            session.get(
                "/admin/events", headers={"Authorization": f"Bearer {ADMIN_KEY}"}
            ) as answer,
        ):
            await answer.content.readuntil(b"\n\n")
            worker.link.send(Happened((Event("breaker", 1.5, b'{"worker":1}'),)))
            assert b'data: {"worker":1}' in await answer.content.readuntil(b"\n\n")

            config = replace(STATUS.config, last_error="a: wrong", last_error_at=2.0)
            worker.link.send(Tell(replace(STATUS, config=config)))
            told = await answer.content.readuntil(b"\n\n")
            assert b"event: reload\n" in told
            assert b'"result":"refused"' in told

            worker.link.send(BreakerOrder("key:simulator", "open"))
            assert b'"id":"key:simulator"' in await answer.content.readuntil(b"\n\n")
            events = (await worker.hear(Happened)).events
            assert [event.name for event in events] == ["breaker", "provider"]

            worker.link.send(Drain(5.0))
            rest = await answer.content.read()
            assert b'"reason":"draining"' in rest
        assert await worker.wait_for_end() == 0
