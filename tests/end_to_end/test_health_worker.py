"""The health worker inside the service: one command, and providers are watched."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.end_to_end.live import LiveProxy, build_live_config, living, starting_live
from tests.end_to_end.served import ADMIN_KEY, KEY
from tests.fakes.model_servers import ModelServers, serving_models
from tests.fakes.ports import find_port

WITHIN_S = 30.0
SLACK = 10
CHECK_PROMISE_S = 2.0
STATUS_PROMISE_S = 0.005
AUTH = {"Authorization": f"Bearer {ADMIN_KEY}"}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def servers() -> Iterator[ModelServers]:
    """Providers that count what they are asked."""
    with serving_models() as servers:
        yield servers


def build(servers: ModelServers, *names: str, **changes: Any) -> dict[str, Any]:
    """Return a configuration of these providers, with a health worker that listens somewhere."""
    changes = {"health_worker": {"listen": f"127.0.0.1:{find_port()}"}, **changes}
    config = build_live_config(**changes)
    entries = [servers.build_entry(name, priority=n + 1) for n, name in enumerate(names)]
    return {**config, "providers": entries}


async def ask_health_worker(config: dict[str, Any], method: str, path: str) -> tuple[int, Any]:
    """Return status and JSON of one request to the health worker's own API."""
    url = f"http://{config['health_worker']['listen']}{path}"
    async with (
        aiohttp.ClientSession(headers=AUTH) as session,
        session.request(method, url) as answer,
    ):
        return answer.status, await answer.json()


async def wait_for_states(live: LiveProxy, is_so: Callable[[dict[str, str]], bool]) -> None:
    """Return once what the main port says of providers is so."""
    states: dict[str, str] = {}
    try:
        async with asyncio.timeout(WITHIN_S):
            while not is_so(states):
                _, body = await live.get("/status")
                states = {
                    each["name"]: each["status"] if each["source"] == "probe" else "not probed"
                    for each in body["providers"]
                }
    except TimeoutError:
        raise AssertionError(f"{states}\n{live.program.output}") from None


async def wait_for_health_worker(live: LiveProxy, other_than: int | None = None) -> int:
    """Return the process of the health worker, once there is one, or another one."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            pid = (await asyncio.to_thread(live.ask, "status"))["health_worker_pid"]
            if pid not in (None, other_than):
                return int(pid)


async def test_one_command_watches_providers(servers: ModelServers, tmp_path: Path) -> None:
    """Without Redis `serve` alone probes what is configured, and both ports tell the same of it."""
    config = build(servers, "good", "bad")
    servers.statuses["bad"] = 503
    with living(tmp_path, config) as live:
        await wait_for_states(live, lambda s: s == {"good": "healthy", "bad": "unhealthy"})
        _, health = await live.get("/health")
        assert health["components"]["health_worker"] == "healthy"
        status, own = await ask_health_worker(config, "GET", "/status")
        assert status == 200
        _, main = await live.get("/status")
        for ours, theirs in zip(own["providers"], main["providers"], strict=True):
            assert ours["name"] == theirs["name"]
            assert ours["status"] == theirs["status"]
        _, own = await ask_health_worker(config, "GET", "/health")
        assert own["is_leading"]


async def test_a_killed_health_worker_is_replaced_and_nobody_notices(
    servers: ModelServers, tmp_path: Path
) -> None:
    """Requests and verdicts go on while it is gone, and another one probes afterwards."""
    with living(tmp_path, build(servers, "a")) as live:
        await wait_for_states(live, lambda s: s == {"a": "healthy"})
        pid = await wait_for_health_worker(live)
        os.kill(pid, signal.SIGKILL)
        status, _ = await live.post("/v1/chat/completions", CHAT, KEY)
        assert status == 200
        await wait_for_states(live, lambda s: s == {"a": "healthy"})
        probes = len(servers.times_s("a"))
        assert await wait_for_health_worker(live, other_than=pid) != pid
        await asyncio.to_thread(servers.wait_for_probes, probes + 1, "a")


async def test_a_new_worker_is_told_what_is_believed(servers: ModelServers, tmp_path: Path) -> None:
    """A worker that replaces another one knows the verdicts before any new probe."""
    servers.statuses["a"] = 503
    with living(tmp_path, build(servers, "a", health_check_interval=300)) as live:
        await wait_for_states(live, lambda s: s == {"a": "unhealthy"})
        before = (await asyncio.to_thread(live.ask, "status"))["pids"]
        pid = await wait_for_health_worker(live)
        # So that nothing new can be told meanwhile.
        os.kill(pid, signal.SIGSTOP)
        await asyncio.to_thread(live.ask, "restart_workers")
        async with asyncio.timeout(WITHIN_S):
            while {*before} & {*(await asyncio.to_thread(live.ask, "status"))["pids"]}:
                continue
        _, body = await live.get("/status/a")
        assert (body["status"], body["source"]) == ("unhealthy", "probe")
        os.kill(pid, signal.SIGCONT)


async def test_it_ends_with_its_supervisor(servers: ModelServers, tmp_path: Path) -> None:
    """A supervisor that is killed leaves no health worker behind."""
    with starting_live(tmp_path, build(servers, "a")) as live:
        pid = await wait_for_health_worker(live)
        await wait_for_states(live, lambda s: s == {"a": "healthy"})
        descriptor = os.pidfd_open(pid)
        try:
            live.program.signal(signal.SIGKILL)
            ended = asyncio.Event()
            asyncio.get_running_loop().add_reader(descriptor, ended.set)
            await asyncio.wait_for(ended.wait(), WITHIN_S)
            asyncio.get_running_loop().remove_reader(descriptor)
        finally:
            os.close(descriptor)


async def test_an_edit_is_probed_at_once(servers: ModelServers, tmp_path: Path) -> None:
    """A provider that is added while serving has its verdict long before any interval is over."""
    changes = {"health_check_interval": 300, "health_worker": {"listen": None}}
    with living(tmp_path, build(servers, "a", **changes)) as live:
        await wait_for_states(live, lambda s: s == {"a": "healthy"})
        live.write(build(servers, "a", "b", **changes))
        await wait_for_states(live, lambda s: s == {"a": "healthy", "b": "healthy"})
        assert len(servers.times_s("a")) == len(servers.times_s("b")) == 1


async def test_a_check_is_fresh_on_both_ports(servers: ModelServers, tmp_path: Path) -> None:
    """20 providers are asked anew at the same time, and what came of it is in the answer."""
    names = [f"p{number}" for number in range(20)]
    config = build(servers, *names, health_check_interval=300)
    with living(tmp_path, config) as live:
        await wait_for_states(live, lambda s: s == dict.fromkeys(names, "healthy"))
        for port in ("main", "own"):
            before = {name: len(servers.times_s(name)) for name in names}
            asked_at, asked_s = time.time(), time.monotonic()
            if port == "main":
                status, body = await live.post("/check")
            else:
                status, body = await ask_health_worker(config, "POST", "/check")
            assert status == 200, body
            assert time.monotonic() - asked_s < CHECK_PROMISE_S * SLACK
            assert {name: len(servers.times_s(name)) for name in names} == {
                name: count + 1 for name, count in before.items()
            }
            assert len(body["providers"]) == 20
            assert all(each["last_check"] > asked_at - 1.0 for each in body["providers"])
        took_s = []
        for _ in range(25):
            asked_s = time.monotonic()
            await live.get("/status")
            took_s.append(time.monotonic() - asked_s)
        assert min(took_s) < STATUS_PROMISE_S * SLACK


async def test_clearing_and_searching_are_answered(servers: ModelServers, tmp_path: Path) -> None:
    """Verdicts are forgotten and made anew; a search says that nothing is configured to be."""
    with living(tmp_path, build(servers, "a")) as live:
        await wait_for_states(live, lambda s: s == {"a": "healthy"})
        status, _ = await live.post("/cache/clear")
        assert status == 200
        await asyncio.to_thread(servers.wait_for_probes, 2, "a")
        status, body = await live.post("/discover")
        assert status == 200, body


async def test_a_health_worker_that_is_switched_off_is_said_to_be(
    servers: ModelServers, tmp_path: Path
) -> None:
    """A check is 503 and says how to have one; nothing is probed."""
    with living(tmp_path, build(servers, "a", health_worker={"enabled": False})) as live:
        status, body = await live.post("/check")
        assert (status, body["error"]["code"]) == (503, "health_worker_unavailable")
        assert "health_worker.enabled" in body["error"]["message"]
        assert servers.times_s("a") == []


async def test_a_port_that_is_taken_costs_only_its_own_api(
    servers: ModelServers, tmp_path: Path
) -> None:
    """The health worker says so in the log, and its verdicts come as ever."""
    config = build(servers, "a", health_worker={"listen": f"127.0.0.1:{servers.port}"})
    with living(tmp_path, config) as live:
        await wait_for_states(live, lambda s: s == {"a": "healthy"})
        live.program.wait_for_line(lambda line: "own API is not served" in line)


async def test_requests_prefer_what_is_healthy(servers: ModelServers, tmp_path: Path) -> None:
    """Of two providers of one priority the one that is down comes last, and the reason says so."""
    config = build(servers, "down", "up")
    for entry in config["providers"]:
        entry["priority"] = 1
    servers.statuses["down"] = 503
    with living(tmp_path, config) as live:
        await wait_for_states(live, lambda s: s == {"down": "unhealthy", "up": "healthy"})
        async with (
            aiohttp.ClientSession(live.url, headers={"Authorization": f"Bearer {KEY}"}) as session,
            session.post("/v1/chat/completions", json=CHAT) as answer,
        ):
            assert answer.status == 200
            assert answer.headers["x-llm-proxy-provider"] == "up"
            assert answer.headers["x-llm-proxy-attempts"] == "1"
            assert "health" in answer.headers["x-llm-proxy-reason"]
