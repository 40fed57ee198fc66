"""Breakers of a running service with two workers: every worker does what an operator says."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from proxy.cli.main import app
from proxy.stores.redis_breakers import POLL_S
from tests.end_to_end.live import LiveProxy, build_live_config, living
from tests.end_to_end.served import ADMIN_KEY, KEY
from tests.fakes.redis_server import RedisServer

CONNECTIONS = 12
"""So many new connections reach both workers, all but surely."""


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveProxy]:
    """A service with two workers, each with breakers of its own."""
    with living(tmp_path, build_live_config("sim-chat", workers=2)) as live:
        yield live


def run_command(live: LiveProxy, *arguments: str) -> str:
    """Run `llm-proxy breakers` for a service, and return what it prints."""
    place = ("--config", str(live.path), "--state-dir", str(live.state_dir))
    result = CliRunner().invoke(app, ["breakers", *arguments, *place])
    assert result.exit_code == 0, result.output
    return result.output


async def ask_often(live: LiveProxy) -> set[int]:
    """Return the statuses of chats on new connections."""
    chat = {"model": "sim-chat", "messages": [{"role": "user", "content": "hello"}]}
    answers = [live.post("/v1/chat/completions", chat, KEY) for _ in range(CONNECTIONS)]
    return {status for status, _ in await asyncio.gather(*answers)}


async def wait_for_workers(live: LiveProxy, *gone: int) -> None:
    """Return once two workers serve that are none of these."""
    async with asyncio.timeout(30):
        while True:
            status = await asyncio.to_thread(live.ask, "status")
            if status["ready_workers"] == 2 and not {*gone} & {*status["pids"]}:
                return


async def test_an_order_holds_in_every_worker_and_in_its_successor(live: LiveProxy) -> None:
    """Forced open over HTTP, it stays so when a worker dies, until a command resets it."""
    assert await ask_often(live) == {200}
    status, body = await live.post("/admin/breakers/simulator/open")
    assert (status, body["message"]) == (200, "simulator: forced open in 2 workers")
    assert await ask_often(live) == {503}

    pid = live.ask("status")["pids"][0]
    os.kill(pid, signal.SIGKILL)
    await wait_for_workers(live, pid)
    assert await ask_often(live) == {503}

    out = await asyncio.to_thread(run_command, live, "reset", "simulator")
    assert out == "reset simulator: told to 2 workers\n"
    assert await ask_often(live) == {200}


@asynccontextmanager
async def listening(live: LiveProxy) -> AsyncIterator[list[aiohttp.ClientResponse]]:
    """Listen to the events on connections to both workers."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with AsyncExitStack() as stack:
        answers = []
        for _ in range(CONNECTIONS):
            session = await stack.enter_async_context(aiohttp.ClientSession(live.url))
            answer = await stack.enter_async_context(session.get("/admin/events", headers=headers))
            await answer.content.readuntil(b"\n\n")
            answers.append(answer)
        yield answers


async def read_events(answer: aiohttp.ClientResponse, count: int) -> list[tuple[str, Any]]:
    """Return the next events as (name, data)."""
    found = []
    for _ in range(count):
        async with asyncio.timeout(20):
            block = (await answer.content.readuntil(b"\n\n")).decode()
        fields = dict(line.split(": ", 1) for line in block.strip().splitlines())
        found.append((fields["event"], json.loads(fields["data"])))
    return found


async def test_who_listens_hears_of_all_workers(live: LiveProxy) -> None:
    """Whichever worker a client is connected to, it gets both workers' breakers, and reloads."""
    async with listening(live) as answers:
        await asyncio.to_thread(run_command, live, "open", "key:simulator")
        for answer in answers:
            events = await read_events(answer, 4)
            told = sorted((name, data["worker"]) for name, data in events)
            assert told == [("breaker", 0), ("breaker", 1), ("provider", 0), ("provider", 1)]

        live.write(build_live_config("sim-chat", "sim-more", workers=2))
        for answer in answers:
            ((name, data),) = await read_events(answer, 1)
            assert (name, data["result"], data["generation"]) == ("reload", "applied", 2)


@pytest.fixture
def sharing(tmp_path: Path, redis_server: RedisServer) -> Iterator[LiveProxy]:
    """A service with two workers, which share their breakers through Redis."""
    config = build_live_config("sim-chat", workers=2, redis_url=redis_server.url)
    with living(tmp_path, config) as live:
        yield live


async def wait_until_shared(live: LiveProxy) -> None:
    """Return once all workers that are asked have joined Redis."""
    async with asyncio.timeout(30):
        while True:
            asked = [live.get("/admin/breakers") for _ in range(CONNECTIONS)]
            if all(body["shared"] for _, body in await asyncio.gather(*asked)):
                return


async def test_with_redis_an_order_is_everybodys_by_itself(sharing: LiveProxy) -> None:
    """No worker has to be told; each listener hears of it once; a successor finds it so."""
    await wait_until_shared(sharing)
    async with listening(sharing) as answers:
        status, body = await sharing.post("/admin/breakers/key:simulator/open")
        assert (status, body["message"]) == (200, "key:simulator: forced open")
        for answer in answers:
            (name, data), (other, _) = await read_events(answer, 2)
            assert (name, data["after"], data["worker"]) == ("breaker", "forced_open", None)
            assert other == "provider"
    assert await ask_often(sharing) == {503}

    pids = sharing.ask("status")["pids"]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    await wait_for_workers(sharing, *pids)
    await wait_until_shared(sharing)
    assert await ask_often(sharing) == {503}
    assert await read_gauge(sharing) == "1.0"

    await asyncio.to_thread(run_command, sharing, "reset", "simulator")
    # Whoever was not asked hears of it from Redis: at once, or with its next look.
    async with asyncio.timeout(10 * POLL_S):
        while await ask_often(sharing) != {200}:
            pass
    assert await read_gauge(sharing) == "0.0"


async def read_gauge(live: LiveProxy) -> str:
    """Return what the metrics of all workers say of the simulator's worst breaker."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession(live.url, headers=headers) as session,
        session.get("/metrics") as answer,
    ):
        text = await answer.text()
    name = 'llm_proxy_circuit_breaker_state{provider="simulator"} '
    return text.partition(name)[2].partition("\n")[0]
