"""Health workers that are services of their own: one probes for all that share a Redis."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.end_to_end.live import build_live_config, living
from tests.end_to_end.served import ADMIN_KEY, KEY, Program, check_silence, running
from tests.fakes.model_servers import ModelServers, serving_models
from tests.fakes.ports import find_port
from tests.fakes.redis_server import RedisServer

WITHIN_S = 60.0
END_PROMISE_S = 5.0
SLACK = 10
INTERVAL_S = 2.0
AUTH = {"Authorization": f"Bearer {ADMIN_KEY}"}


class Standalone:
    """`llm-health-worker` as a process of its own."""

    def __init__(self, program: Program, path: Path, port: int) -> None:
        self.program = program
        self.path = path
        self.port = port

    def write(self, config: dict[str, Any] | str) -> None:
        """Write its configuration."""
        self.path.write_text(config if isinstance(config, str) else json.dumps(config))

    def wait_for_line(self, words: str) -> str:
        """Return the first line of its log that holds these words."""
        return self.program.wait_for_line(lambda line: words in line)

    async def ask(self, method: str, path: str) -> tuple[int, Any]:
        """Return status and JSON of one request to its API."""
        async with (
            aiohttp.ClientSession(headers=AUTH) as session,
            session.request(method, f"http://127.0.0.1:{self.port}{path}") as answer,
        ):
            return answer.status, await answer.json()

    async def read_states(self) -> dict[str, str]:
        """Return how providers stand, by its API."""
        _, body = await self.ask("GET", "/status")
        return {each["name"]: each["status"] for each in body["providers"]}

    def stop(self) -> None:
        """Have it end, in the time that is promised, and with nothing on standard error."""
        began_s = time.monotonic()
        assert self.program.stop() == 0, self.program.output
        assert time.monotonic() - began_s < END_PROMISE_S * SLACK
        assert self.program.stderr == ""
        check_silence(self.program)


def build(servers: ModelServers, *names: str, **changes: Any) -> dict[str, Any]:
    """Return a configuration of these providers."""
    config = build_live_config(**changes)
    return {**config, "providers": [servers.build_entry(name) for name in names]}


@contextmanager
def standing_alone(folder: Path, config: dict[str, Any], **variables: str) -> Iterator[Standalone]:
    """Run a health worker over a configuration; its own API gets a port."""
    folder.mkdir(exist_ok=True)
    port, path = find_port(), folder / "config.yaml"
    config = {**config, "health_worker": {"listen": f"127.0.0.1:{port}"}}
    path.write_text(json.dumps(config))
    arguments = ("--config", str(path), "--state-dir", str(folder / "state"))
    with running(*arguments, cwd=folder, module="health_worker", variables=variables) as program:
        yield Standalone(program, path, port)


@pytest.fixture
def servers() -> Iterator[ModelServers]:
    """Providers that count what they are asked."""
    with serving_models() as servers:
        yield servers


async def test_one_alone_probes_and_says_that_nobody_hears_it(
    servers: ModelServers, tmp_path: Path
) -> None:
    """Without Redis its own API tells what it finds, and its log that no proxy hears of it."""
    with standing_alone(tmp_path, build(servers, "a", "b")) as alone:
        alone.wait_for_line("REACHES NO PROXY")
        await asyncio.to_thread(servers.wait_for_probes, 1, "a", "b")
        async with asyncio.timeout(WITHIN_S):
            while await alone.read_states() != {"a": "healthy", "b": "healthy"}:
                continue
        status, body = await alone.ask("POST", "/check/a")
        assert status == 200, body
        assert len(servers.times_s("a")) == 2
        assert len(servers.times_s("b")) == 1
        await asyncio.to_thread(alone.stop)


async def test_edits_are_taken_and_broken_ones_are_not(
    servers: ModelServers, tmp_path: Path
) -> None:
    """A new provider is probed at once, by itself or on SIGHUP; a broken file changes nothing."""
    config = build(servers, "a", health_check_interval=300)
    with standing_alone(tmp_path, config) as alone:
        await asyncio.to_thread(servers.wait_for_probes, 1, "a")
        alone.write("providers: 1\n")
        alone.wait_for_line("the configuration was refused")
        assert await alone.read_states() == {"a": "healthy"}
        alone.write({**build(servers, "a", "b", health_check_interval=300), "workers": 2})
        await asyncio.to_thread(servers.wait_for_probes, 1, "b")
        alone.wait_for_line("workers: 1 -> 2: waits for a restart")
        alone.program.signal(signal.SIGHUP)
        alone.program.signal(signal.SIGUSR1)
        assert len(servers.times_s("a")) == 1
        await asyncio.to_thread(alone.stop)


async def test_systemd_is_told(servers: ModelServers, tmp_path: Path) -> None:
    """READY once it has begun, signs of life, a status line, and STOPPING."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(20)
        variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
        with standing_alone(tmp_path, build(servers, "a"), **variables) as alone:

            def hear_until(wanted: str) -> None:
                while wanted not in notify.recv(4096).decode():
                    continue

            for wanted in ("READY=1", "WATCHDOG=1", "STATUS=probes; 1 of 1 healthy"):
                await asyncio.to_thread(hear_until, wanted)
            alone.program.signal(signal.SIGTERM)
            await asyncio.to_thread(hear_until, "STOPPING=1")
            await asyncio.to_thread(alone.stop)


@pytest.mark.timeout(180)
async def test_of_a_fleet_one_probes_for_all(servers: ModelServers, tmp_path: Path) -> None:
    """
    50 providers, 2 health workers and 4 proxies on one Redis: each is asked once per period.

    The one that leads is told to end in between: the other one goes on, and every proxy knows all
    the time how each provider stands.
    """
    names = [f"p{number}" for number in range(50)]
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        config = build(servers, *names, redis_url=redis.url, health_check_interval=INTERVAL_S)
        proxies = []
        for number in range(4):
            folder = tmp_path / f"proxy{number}"
            folder.mkdir()
            proxies.append(stack.enter_context(living(folder, config)))
        pair = [
            stack.enter_context(standing_alone(tmp_path / f"health{number}", config))
            for number in range(2)
        ]
        leader, other = await find_leader(*pair)
        await asyncio.to_thread(servers.wait_for_probes, 5, *names)
        await asyncio.to_thread(leader.stop)
        other.wait_for_line("this health worker probes from now on")
        begun_s = time.monotonic()
        await asyncio.to_thread(
            servers.wait_for,
            lambda: all(count_since(servers, name, begun_s) >= 4 for name in names),
        )
        ended_s = time.monotonic()
        for name in names:
            times_s = servers.times_s(name)
            led_s = [t for t in times_s if begun_s + INTERVAL_S < t < ended_s]
            gaps_s = [b - a for a, b in pairwise(led_s)]
            # Two that probe would be half of this apart, or less.
            assert min(gaps_s) > 0.6 * INTERVAL_S, (name, gaps_s)
        for proxy in proxies:
            async with asyncio.timeout(WITHIN_S):
                while True:
                    _, body = await proxy.get("/status", KEY)
                    if all(each["source"] == "probe" for each in body["providers"]):
                        break
            assert {each["status"] for each in body["providers"]} == {"healthy"}
        status, body = await proxies[0].post("/check")
        assert (status, len(body["providers"])) == (200, 50), body
        status, _ = await other.ask("POST", "/cache/clear")
        assert status == 200
        await asyncio.to_thread(other.stop)


def count_since(servers: ModelServers, name: str, since_s: float) -> int:
    """Return how often a provider was asked since then."""
    return sum(each > since_s for each in servers.times_s(name))


async def find_leader(*pair: Standalone) -> tuple[Standalone, Standalone]:
    """Return the one that leads, and the other one, which says that it stands by."""
    first, second = pair
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                leads = [(await each.ask("GET", "/health"))[1]["is_leading"] for each in pair]
            except aiohttp.ClientConnectionError:
                continue  # not there yet
            if sorted(leads) == [False, True]:
                return (first, second) if leads[0] else (second, first)
