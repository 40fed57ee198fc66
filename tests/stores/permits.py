"""Several processes and one breaker: how many permits were out at once, for test and campaign."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from proxy.stores.breaker_messages import (
    BREAKER_SCRIPT,
    Stand,
    build_args,
    build_keys,
    encode_rules,
    read_breaker,
    read_stand,
)
from tests.fakes.redis_server import RedisServer
from tests.stores.permit_process import ID, RULES

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 20.0


class Fight(Struct, frozen=True):
    """What all processes together have seen."""

    permits: int
    most: int
    """So many permits were out at the same time, at most."""
    asked: int


def open_breaker(server: RedisServer) -> None:
    """Open the breaker; its wait is over at once."""
    _call(server, "adopt", 1, 1, "failures")
    while _call(server, "acquire", "first", 1).state != "half_open":
        pass
    # The first permit is nobody's: its lease is over in a millisecond.


def fight_for_permits(server: RedisServer, processes: int, for_s: float) -> Fight:
    """Have so many processes fight for the permits of one breaker."""
    running = [_start("fight", server.unix_url, for_s) for _ in range(processes)]
    told = []
    for process in running:
        out, _ = process.communicate(timeout=for_s + 60)
        assert process.returncode == 0
        told.append(json.loads(out))
    return Fight(
        permits=sum(each["permits"] for each in told),
        most=max(each["most"] for each in told),
        asked=sum(each["asked"] for each in told),
    )


def crash_holders(server: RedisServer, lease_s: Sequence[float]) -> None:
    """Have processes take permits for so many seconds each, and die with them."""
    running = [_start("hold", server.unix_url, each) for each in lease_s]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
    for process in running:
        process.kill()
        process.communicate()


def count_held(server: RedisServer) -> int:
    """Return how many permits are out."""
    keys = build_keys(ID)
    args = build_args("read", ID, encode_rules(RULES))
    now_ms, breaker = read_breaker(_eval(server, keys, args))
    return sum(lease.expires_ms > now_ms for lease in breaker.leases)


def wait_for_permit(server: RedisServer) -> float:
    """Ask until there is a permit; return for how many seconds."""
    began_s = time.monotonic()
    while not _call(server, "acquire", "waiting", 60_000).answer:
        assert time.monotonic() - began_s < WITHIN_S, "nobody ever gets a permit again"
    return time.monotonic() - began_s


def _start(what: str, url: str, number: float) -> "subprocess.Popen[str]":
    words = [sys.executable, "-m", "tests.stores.permit_process", what, url, str(number)]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=ROOT, stdout=pipe, stderr=subprocess.DEVNULL, text=True)


def _call(server: RedisServer, operation: str, *with_what: object) -> Stand:
    args = build_args(operation, ID, encode_rules(RULES), *with_what)
    return read_stand(_eval(server, build_keys(ID), args))


def _eval(server: RedisServer, keys: Sequence[str], args: Sequence[Any]) -> Any:
    return server.command("EVAL", BREAKER_SCRIPT.source, len(keys), *keys, *args)
