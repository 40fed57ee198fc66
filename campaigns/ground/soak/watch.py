"""What is read of the service's processes while they are under load."""

import os
import re
from pathlib import Path

from msgspec import Struct

from campaigns.ground.client import Client, build_get_request
from campaigns.ground.kernel import count_descriptors, read_resident_bytes

WITHIN_S = 10.0
"""For a page of metrics: longer is a fault."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Process(Struct, frozen=True):
    """One process at one moment."""

    resident_bytes: int
    proportional_bytes: int
    """Its share of what it has in common with others is divided among them."""
    descriptors: int
    threads: int
    busy_s: float
    """Time on a processor since its start."""


class Sample(Struct, frozen=True):
    """Both processes at one moment, and what the worker says of itself."""

    at_s: float
    worker: Process
    supervisor: Process
    tasks: int
    under_way: int
    """Attempts at providers."""


def read_process(pid: int) -> Process:
    """Return what the kernel knows of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
    return Process(
        read_resident_bytes(pid),
        int(found.group(1)) * 1024 if found else 0,
        count_descriptors(pid),
        int(fields[17]),
        (int(fields[11]) + int(fields[12])) / _TICKS_PER_S,
    )


async def read_metrics(port: int) -> str:
    """Return the service's own numbers, as text."""
    client = Client(port)
    try:
        return (await client.ask(build_get_request("/metrics"), WITHIN_S)).body.decode()
    finally:
        client.close()


def find_metric(text: str, name: str, **labels: str) -> float:
    """Return the sum of a number over the labels that are not given."""
    total = 0.0
    for found, value in re.findall(rf"^{name}(?:{{([^}}]*)}})? (\S+)$", text, re.MULTILINE):
        if all(f'{label}="{wanted}"' in found for label, wanted in labels.items()):
            total += float(value)
    return total


async def take_sample(at_s: float, port: int, worker: int, supervisor: int) -> Sample:
    """Return how both processes are."""
    text = await read_metrics(port)
    return Sample(
        at_s,
        read_process(worker),
        read_process(supervisor),
        int(find_metric(text, "llm_proxy_tasks")),
        int(find_metric(text, "llm_proxy_active_connections")),
    )
