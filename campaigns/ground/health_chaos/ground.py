"""What runs in the campaign of the health worker: providers, two fleets, health workers."""

import asyncio
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from campaigns.ground.client import Client, build_get_request
from campaigns.ground.health_chaos.plan import (
    ALONE,
    FLEETS,
    PROVIDERS,
    WATCHED,
    Counts,
    Manner,
    build_config,
)
from campaigns.ground.health_chaos.workers import HealthProcess, Workers
from campaigns.ground.service import Service
from campaigns.ground.upstream import RunningProgram, running_program
from tests.canaries import ADMIN_KEY
from tests.fakes.ports import find_port
from tests.fakes.redis_server import RedisServer

PROXIES, WORKERS = 4, 3
"""In each fleet; the health workers are those of one of them."""


class Ground(Struct, frozen=True):
    """Everything that runs; the health workers are to be started."""

    program: RunningProgram
    servers: Mapping[str, RedisServer]
    ports: Mapping[str, Sequence[int]]
    services: Mapping[str, Sequence[Service]]
    workers: Workers

    async def ask(self, command: str = "count") -> Counts:
        """Tell the providers something, and return what they have counted."""
        answer = await asyncio.to_thread(self.program.ask, command)
        return msgspec.json.decode(answer, type=Counts)

    async def be(self, manner: Manner, *providers: str) -> None:
        """Have providers be in a manner."""
        await self.ask(f"be {manner} {' '.join(providers)}")

    def trouble_redis(self, do: Callable[[RedisServer], object]) -> None:
        """Do something to both servers. Not in a thread: a server dies with who has started it."""
        for server in self.servers.values():
            do(server)

    def list_pids(self) -> list[int]:
        """Return the processes of all proxies, the supervisors' and the workers'."""
        each = [service for fleet in FLEETS for service in self.services[fleet]]
        return [pid for service in each for pid in (service.pid, *service.read_status()["pids"])]


@contextmanager
def open_ground() -> Iterator[Ground]:
    """Start everything; at the end it is killed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = find_own_address()
        program = stack.enter_context(running_program("health_upstream", address))
        provider_ports = [int(word) for word in program.read_line().split()]
        servers = {fleet: stack.enter_context(RedisServer()) for fleet in FLEETS}
        ports = {fleet: [find_port() for _ in range(PROXIES)] for fleet in FLEETS}
        configs = {fleet: folder / "etc" / fleet / "config.yaml" for fleet in FLEETS}
        services: dict[str, list[Service]] = {fleet: [] for fleet in FLEETS}
        for fleet, config in configs.items():
            config.parent.mkdir(parents=True)
            config.write_text(build_config(fleet, address, provider_ports, servers[fleet].url))
            config.chmod(0o600)
            for number, port in enumerate(ports[fleet]):
                own = folder / f"{fleet}-proxy-{number}"
                own.mkdir()
                service = Service(config, own, variables={"PROXY_API_PORT": str(port)})
                stack.callback(service.kill)
                services[fleet].append(service)
        workers = [
            HealthProcess(n, configs[WATCHED], folder / f"health-worker-{n}", find_port())
            for n in range(WORKERS)
        ]
        for worker in workers:
            stack.callback(worker.kill)
        yield Ground(program, servers, ports, services, Workers(workers))


def find_own_address() -> str:
    """
    Return an address of this machine that is not loopback's.

    What is on loopback tells a health worker nothing of whether it is cut off. Nothing is sent.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            raise SystemExit("this campaign needs an address besides that of loopback") from None
        return str(probe.getsockname()[0])


async def read_body(port: int, path: str) -> bytes:
    """Return the body that a path is answered with."""
    client = Client(port)
    try:
        return (await client.ask(build_get_request(path))).body
    finally:
        client.close()


async def read_json(port: int, path: str) -> Any:
    """Return the JSON that a path is answered with."""
    return msgspec.json.decode(await read_body(port, path))


def build_post(path: str) -> bytes:
    """Return an operator's request without a body, as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: campaign\r\nAuthorization: Bearer {ADMIN_KEY}\r\n"
    return f"{head}Content-Length: 0\r\n\r\n".encode()


def count_between(before: Counts, after: Counts, fleet: str) -> dict[str, int]:
    """Return how many requests of a fleet each provider got between two counts."""
    return {name: after.chats[fleet][name] - before.chats[fleet][name] for name in PROVIDERS}


def count_both(before: Counts, after: Counts) -> tuple[dict[str, int], dict[str, int]]:
    """Return the same of both fleets: of the watched one first."""
    return count_between(before, after, WATCHED), count_between(before, after, ALONE)
