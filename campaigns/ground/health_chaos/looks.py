"""Looks at what runs in the campaign of the health worker: is it there, how does it stand."""

import asyncio
import re
import statistics
import time
from collections.abc import Sequence

from campaigns.ground.client import Client
from campaigns.ground.health_chaos.ground import Ground, read_body
from campaigns.ground.health_chaos.plan import FLEETS, SECRETS, WATCHED
from campaigns.ground.health_chaos.sightings import FROM_PROBES, read_page
from campaigns.ground.health_chaos.workers import read_lines
from campaigns.ground.kernel import count_descriptors

LOOK_S = 0.1
UP_WITHIN_S = 30.0
REST_WITHIN_S, REST_LOOK_S = 40.0, 1.0
"""Connections to providers are kept for 15 s."""
LOOKS = 25
LOUD = ("ERROR", "CRITICAL", "PRINTED")
REQUESTS = "llm_proxy.requests"
_UP = re.compile(rb"^llm_proxy_redis_up(?:{[^}]*})? 1(?:\.0)?$", re.MULTILINE)


async def wait_for_redis(ground: Ground) -> None:
    """Wait until every proxy uses its Redis."""
    deadline_s = time.monotonic() + UP_WITHIN_S
    for port in (port for fleet in FLEETS for port in ground.ports[fleet]):
        while not _UP.search(await read_body(port, "/metrics")):
            if time.monotonic() > deadline_s:
                raise SystemExit("a proxy does not use the Redis of its configuration")
            await asyncio.sleep(LOOK_S)


async def wait_until_all_healthy(ground: Ground, within_s: float) -> float:
    """
    Return the seconds until all proxies tell, by a health worker's word, that all is well.

    Raises:
        AssertionError: they do not.
    """
    begun_s = time.monotonic()
    clients = [Client(port) for port in ground.ports[WATCHED]]
    others = ["nobody was asked"]
    try:
        while time.monotonic() < begun_s + within_s:
            others = [
                f"{each.name} is {each.status} ({each.source}: {each.reason})"
                for client in clients
                for each in (await read_page(client)).providers
                if each.status != "healthy" or each.source != FROM_PROBES
            ]
            if not others:
                return time.monotonic() - begun_s
            await asyncio.sleep(LOOK_S)
    finally:
        for client in clients:
            client.close()
    raise AssertionError(f"after {within_s:g} s: {len(others)}, {'; '.join(others[:3])}")


async def measure_status(ground: Ground) -> float:
    """Return what the median answer of `/status` takes, in seconds."""
    times = []
    for port in ground.ports[WATCHED]:
        client = Client(port)
        await read_page(client)
        for _ in range(LOOKS):
            begun_s = time.perf_counter()
            await read_page(client)
            times.append(time.perf_counter() - begun_s)
        client.close()
    return statistics.median(times)


def count_workers_descriptors(ground: Ground) -> int:
    """Return the most that one of the health workers has open."""
    each = ground.workers.each
    return max(count_descriptors(worker.pid) for worker in each if worker.is_running)


async def wait_for_rest(ground: Ground, pids: Sequence[int], before: Sequence[int]) -> list[str]:
    """Return what is not as it was at the start, once it is as much so as it will be."""
    deadline_s = time.monotonic() + REST_WITHIN_S
    held = ["nothing was looked at"]
    while held and time.monotonic() < deadline_s:
        await asyncio.sleep(REST_LOOK_S)  # until our own last look has ended
        held = [
            f"{now} descriptors instead of {first}"
            for pid, first in zip(pids, before, strict=True)
            if (now := count_descriptors(pid)) > first
        ]
        if connections := (await ground.ask()).connections:
            held.append(f"{connections} connections to providers")
    return held


def read_logs(ground: Ground) -> tuple[list[str], list[str]]:
    """Return which logs hold a secret, and what was said of faults of our own."""
    secrets, loud = [], []
    logs = [service.output for fleet in FLEETS for service in ground.services[fleet]]
    for log in (*logs, *(worker.output for worker in ground.workers.each)):
        text = log.read_bytes()
        secrets += [f"in {log.parent.name}" for secret in SECRETS if secret.encode() in text]
        loud += [
            f"{log.parent.name}: {line['message']} {line.get('error_type', '')}"
            for line in read_lines(log)
            if line["level"] in LOUD and line["logger"] != REQUESTS
        ]
    return secrets, loud
