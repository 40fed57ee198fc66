"""A real worker's process, with the test in the supervisor's place."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from proxy.config.snapshot import encode_snapshot
from proxy.control.frames import Link, build_server_end
from proxy.control.handover import send_start
from proxy.control.messages import ClientMessage, Publish, Start, Tell
from proxy.domain.catalog import Snapshot
from proxy.domain.identity import Caller, KeyHasher
from proxy.domain.settings import InstallSettings
from proxy.supervisor.spawn import SpawnedWorker, spawn_worker
from tests.fakes.proxy_server import ADMIN_KEY, KEY, build_provider, build_snapshot
from tests.supervisor.fleets import STATUS

PEPPER = b"pepper of these tests"


class WorkerUnderTest:
    """A worker, what it has said, and where it serves."""

    def __init__(self, spawned: SpawnedWorker, link: Link[ClientMessage], port: int) -> None:
        self.process = spawned.process
        self.link = link
        self.url = f"http://127.0.0.1:{port}"
        self._said = link.receive()

    async def hear(self, kind: type[ClientMessage]) -> Any:
        """Return its next message of a kind."""
        async with asyncio.timeout(20):
            async for message in self._said:
                if isinstance(message, kind):
                    return message
        raise AssertionError(f"it ended without a {kind.__name__}")

    async def get(self, path: str, key: str = KEY) -> tuple[int, Any]:
        """Return status and JSON of one GET on a connection of its own."""
        async with (
            aiohttp.ClientSession(self.url) as session,
            session.get(path, headers={"Authorization": f"Bearer {key}"}) as answer,
        ):
            return answer.status, await answer.json()

    async def wait_for_end(self) -> int:
        """Return its exit status."""
        return await asyncio.to_thread(self.process.wait, 20)


def build_models(*models: str, generation: int = 1) -> Snapshot:
    """Return a snapshot whose simulator has these models, with a user's and an admin's key."""
    hasher = KeyHasher(PEPPER)
    provider = build_provider("simulator:", name="simulator", type="simulator", models=models)
    snapshot = build_snapshot(provider)
    callers = {
        hasher.digest(KEY): Caller(hasher.key_id(KEY)),
        hasher.digest(ADMIN_KEY): Caller(hasher.key_id(ADMIN_KEY), role="admin"),
    }
    return Snapshot(
        generation=generation,
        created_at=snapshot.created_at,
        settings=snapshot.settings,
        providers=snapshot.providers,
        groups=snapshot.groups,
        callers=callers,
    )


def publish(snapshot: Snapshot) -> Publish:
    """Return the message that has a snapshot served."""
    return Publish(snapshot.generation, encode_snapshot(snapshot))


@asynccontextmanager
async def working(folder: Path, **install: Any) -> AsyncIterator[WorkerUnderTest]:
    """Run a worker that serves the model `sim-story`."""
    spawned = spawn_worker()
    try:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            given = {"state_dir": str(folder), "log_file": str(folder / "log"), **install}
            start = Start(0, InstallSettings(**given), PEPPER)
            send_start(spawned.connection, start, [listening])
            port = listening.getsockname()[1]
        spawned.connection.setblocking(False)
        link = build_server_end(*await asyncio.open_unix_connection(sock=spawned.connection))
        link.send(Tell(STATUS))
        link.send(publish(build_models("sim-story")))
        yield WorkerUnderTest(spawned, link, port)
        await link.close()
    finally:
        if spawned.process.poll() is None:
            spawned.process.kill()
        spawned.process.wait()
