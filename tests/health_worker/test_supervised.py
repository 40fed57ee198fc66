"""A real health worker's process, with the test in the supervisor's place."""

import asyncio
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.config.snapshot import encode_snapshot
from proxy.control.frames import Link, build_server_end
from proxy.control.handover import send_start
from proxy.control.messages import (
    Ack,
    Answer,
    Ask,
    ClientMessage,
    Drain,
    Ping,
    Pong,
    Publish,
    Ready,
    ReopenLog,
    Start,
    Verdicts,
    Watch,
)
from proxy.domain.catalog import Provider, Snapshot
from proxy.domain.health import WatchedEndpoint
from proxy.domain.settings import InstallSettings, Settings
from proxy.supervisor.health_child import NUMBER
from proxy.supervisor.spawn import SpawnedWorker, spawn_health_worker
from tests.fakes.model_servers import ModelServers, serving_models
from tests.promises.tree import ROOT

pytestmark = pytest.mark.usefixtures("no_leaks")
NOT_LOADED = {"cryptography", "pydantic", "redis", "typer", "watchfiles", "yaml"}


class Child:
    """A health worker, and what it has said."""

    def __init__(self, spawned: SpawnedWorker, link: Link[ClientMessage]) -> None:
        self.process = spawned.process
        self.link = link
        self._said = link.receive()

    async def hear(self, kind: type[ClientMessage]) -> Any:
        """Return its next message of a kind."""
        async with asyncio.timeout(20):
            async for message in self._said:
                if isinstance(message, kind):
                    return message
        raise AssertionError(f"it ended without a {kind.__name__}")

    async def hear_states(self, *names: str) -> dict[str, str]:
        """Return what it tells of these providers, once it has told of each."""
        states: dict[str, str] = {}
        while not states.keys() >= set(names):
            news = (await self.hear(Verdicts)).news
            states.update((verdict.provider, verdict.state) for verdict in news.verdicts)
        return states

    async def ask(self, what: str, body: bytes = b"{}") -> Answer:
        """Return its answer."""
        self.link.send(Ask(5, what, body, "a test"))
        answer: Answer = await self.hear(Answer)
        assert answer.id == 5
        return answer

    async def wait_for_end(self) -> int:
        """Return its exit status."""
        return await asyncio.to_thread(self.process.wait, 20)


@asynccontextmanager
async def supervising(folder: Path, servers: ModelServers) -> AsyncIterator[Child]:
    """Run a health worker over a provider `a`, and an endpoint `beside` that is only watched."""
    spawned = spawn_health_worker()
    try:
        install = InstallSettings(
            state_dir=str(folder), log_file=str(folder / "log"), health_listen=None
        )
        send_start(spawned.connection, Start(NUMBER, install, b"pepper"), [])
        spawned.connection.setblocking(False)
        link = build_server_end(*await asyncio.open_unix_connection(sock=spawned.connection))
        url = f"http://127.0.0.1:{servers.port}"
        provider = Provider("a", "openai_compatible", f"{url}/a/v1", models=("m",))
        snapshot = Snapshot(1, 0.0, Settings(), {"a": provider}, {}, {})
        link.send(Watch((WatchedEndpoint("beside", f"{url}/beside/v1"),)))
        link.send(Publish(1, encode_snapshot(snapshot)))
        yield Child(spawned, link)
        await link.close()
    finally:
        if spawned.process.poll() is None:
            spawned.process.kill()
        spawned.process.wait()


async def test_it_probes_what_is_published(tmp_path: Path) -> None:
    """It is ready once it has a configuration, and tells of providers and of what is watched."""
    with serving_models() as servers:
        servers.statuses["beside"] = 503
        async with supervising(tmp_path, servers) as child:
            await child.hear(Ready)
            assert (await child.hear(Ack)).generation == 1
            assert await child.hear_states("a", "beside") == {
                "a": "healthy",
                "beside": "unhealthy",
            }


async def test_verdicts_come_before_the_answer_to_a_check(tmp_path: Path) -> None:
    """Whoever gets the answer has heard what it is about."""
    with serving_models() as servers:
        async with supervising(tmp_path, servers) as child:
            await child.hear_states("a", "beside")
            servers.statuses["a"] = 401
            child.link.send(Ask(5, "check", b'{"names":["a"]}', "a test"))
            news = (await child.hear(Verdicts)).news
            assert [verdict.provider for verdict in news.verdicts] == ["a"]
            answer: Answer = await child.hear(Answer)
            assert not answer.is_error
            assert msgspec.json.decode(answer.body)["timestamp"] > 0
            assert (len(servers.times_s("a")), len(servers.times_s("beside"))) == (2, 1)


async def test_what_it_cannot_do_is_refused(tmp_path: Path) -> None:
    """An ask that is none of its own, or that cannot be read, is an answer that says so."""
    with serving_models() as servers:
        async with supervising(tmp_path, servers) as child:
            await child.hear(Ready)
            for answer in (
                await child.ask("make_coffee"),
                await child.ask("check", b"{"),
                await child.ask("check", b'{"names":7}'),
            ):
                assert answer.is_error
                assert msgspec.json.decode(answer.body)["message"]
            assert not (await child.ask("discover")).is_error
            assert not (await child.ask("clear")).is_error


async def test_it_answers_pings_and_opens_its_log_anew(tmp_path: Path) -> None:
    """A ping comes back, and after the log was moved away there is a new one of its name."""
    with serving_models() as servers:
        async with supervising(tmp_path, servers) as child:
            await child.hear_states("a", "beside")
            (tmp_path / "log").rename(tmp_path / "log.1")
            child.link.send(ReopenLog())
            child.link.send(Ping(4))
            assert (await child.hear(Pong)).number == 4
            assert (tmp_path / "log").exists()


@pytest.mark.parametrize("how", ["told", "signal", "orphan"])
async def test_it_ends(tmp_path: Path, how: str) -> None:
    """Told to, sent SIGTERM or left alone, it ends at once and with status 0."""
    with serving_models() as servers:
        async with supervising(tmp_path, servers) as child:
            await child.hear_states("a", "beside")
            if how == "told":
                child.link.send(Drain(1.0))
            elif how == "signal":
                child.process.send_signal(signal.SIGTERM)
            else:
                await child.link.close()
            assert await child.wait_for_end() == 0


async def test_it_takes_all_the_descriptors_it_may_have(tmp_path: Path) -> None:
    """Its soft limit of open files is its hard one: each of many targets may need one."""
    with serving_models() as servers:
        async with supervising(tmp_path, servers) as child:
            await child.hear(Ready)
            most = resource.prlimit(child.process.pid, resource.RLIMIT_NOFILE)
            assert most[0] == most[1]


def test_it_loads_no_library_for_colours() -> None:
    """structlog finds no `rich` in the supervisor's child, which nobody sees on a screen."""
    code = (
        "import runpy, sys; sys.argv = ['-', '0']\n"
        "try: runpy.run_module('health_worker', run_name='__main__')\n"
        "except OSError: print('pygments' in sys.modules)"  # 0 is no socket
    )
    output = subprocess.check_output(
        [sys.executable, "-c", code], cwd=ROOT, text=True, stdin=subprocess.DEVNULL
    )
    assert output.strip() == "False"


def test_it_is_lean() -> None:
    """Neither YAML nor pydantic nor what commands need is loaded by the supervisor's child."""
    listing = "import sys, health_worker.supervised; print(*sys.modules)"
    output = subprocess.check_output([sys.executable, "-c", listing], cwd=ROOT, text=True)
    assert NOT_LOADED & {name.partition(".")[0] for name in output.split()} == set()
