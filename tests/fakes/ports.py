"""Ports of loopback for programs that are told theirs, and for places where nobody listens."""

import itertools
import os
import random
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PROCESSES = 4
"""How many processes of one run share the ports without ever asking for the same one."""
_LOWEST = 10_000


def find_port() -> int:
    """
    Return a port of 127.0.0.1 on which nothing listens, another one each time.

    The kernel gives it to nobody who asks for any port, so that it stays free until it is used.
    """
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", next(_deal_out())))
            except OSError:
                continue  # somebody else's
            port: int = probe.getsockname()[1]
            return port


@cache
def _deal_out() -> Iterator[int]:
    given = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    own = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
    ports = list(range(_LOWEST + own, int(given[0]), PROCESSES))
    random.Random().shuffle(ports)
    return itertools.cycle(ports or [0])  # 0: any, where the kernel keeps none back
