"""The service as systemd runs it: on a socket that is not its own, telling how it stands."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.end_to_end.asking import ASK, knobs
from tests.end_to_end.served import KEY
from tests.fakes.ports import find_port
from tests.systemd.manager import WATCHDOG_S, WITHIN_S, Manager, managing

# About 5 s, in which a supervisor starts with time to spare.
LONG = {
    "model": "simulator/sim-story",
    "stream": True,
    "messages": ASK,
    **knobs(tokens_per_s=100, tokens=500),
}
SHORT = {"model": "simulator/sim-echo", "messages": ASK, **knobs()}


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """A service that is not started yet; its own port would be another one."""
    with managing(tmp_path, port=find_port()) as managed:
        yield managed


def open_session(manager: Manager) -> aiohttp.ClientSession:
    """Return a client of the service, which is nowhere kept waiting for ever."""
    timeout = aiohttp.ClientTimeout(total=WITHIN_S)
    headers = {"Authorization": f"Bearer {KEY}", "Connection": "close"}
    return aiohttp.ClientSession(manager.url, headers=headers, timeout=timeout)


async def ask(manager: Manager, body: dict[str, Any] = SHORT) -> int:
    """Return the status of one request on a connection of its own."""
    async with (
        open_session(manager) as session,
        session.post("/v1/chat/completions", json=body) as answer,
    ):
        await answer.read()
        return answer.status


async def hear(manager: Manager, wanted: str) -> dict[str, str]:
    """Wait for a message without holding the event loop up."""
    return await asyncio.to_thread(manager.hear, wanted)


async def test_it_serves_on_the_socket_it_was_given(manager: Manager) -> None:
    """Ready is said once requests are answered on systemd's socket, whatever `port` says."""
    manager.start()
    message = await hear(manager, "READY=1")
    assert "1 of 1 workers" in message["STATUS"]
    assert manager.url in message["STATUS"]
    assert await ask(manager) == 200


async def test_the_watchdog_is_fed(manager: Manager) -> None:
    """Signs of life come more often than systemd waits for them."""
    manager.start()
    await hear(manager, "READY=1")
    await hear(manager, "WATCHDOG=1")
    last_s = time.monotonic()
    for _ in range(3):
        await hear(manager, "WATCHDOG=1")
        now_s = time.monotonic()
        # Half of it is aimed at; what is left of the other half is for a busy machine.
        assert now_s - last_s < WATCHDOG_S * 5
        last_s = now_s


async def test_a_connection_waits_over_a_restart(manager: Manager) -> None:
    """A request that is sent while no process is there is answered by the next one."""
    first = manager.start()
    await hear(manager, "READY=1")
    first.send_signal(signal.SIGTERM)
    await hear(manager, "STOPPING=1")
    assert await asyncio.to_thread(first.wait, WITHIN_S) == 0
    waiting = asyncio.create_task(ask(manager))
    manager.start()
    await hear(manager, "READY=1")
    assert await waiting == 200


async def test_a_killed_supervisor_cuts_no_stream(manager: Manager) -> None:
    """Workers of a killed supervisor finish their streams beside those of the next one."""
    first = manager.start()
    await hear(manager, "READY=1")
    async with (
        open_session(manager) as session,
        session.post("/v1/chat/completions", json=LONG) as answer,
    ):
        begun = await answer.content.readany()
        first.send_signal(signal.SIGKILL)
        await asyncio.to_thread(first.wait, WITHIN_S)
        manager.start()
        await hear(manager, "READY=1")
        assert await ask(manager) == 200
        # The old worker has not recorded the end of its request yet.
        assert "llm_proxy.requests" not in manager.read_log(0)
        body = begun + await answer.read()
    assert body.endswith(b"data: [DONE]\n\n")
    assert "finishes its requests and ends" in manager.read_log(0)


async def test_a_reload_is_told(manager: Manager, tmp_path: Path) -> None:
    """A change of the configuration is framed by RELOADING=1 and READY=1."""
    manager.start()
    await hear(manager, "READY=1")
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({**json.loads(path.read_text()), "request_timeout": 299}))
    message = await hear(manager, "RELOADING=1")
    assert int(message["MONOTONIC_USEC"]) > 0
    assert "generation 2" in (await hear(manager, "READY=1"))["STATUS"]
