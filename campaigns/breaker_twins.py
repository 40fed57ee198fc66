"""
The circuit breaker at length: `make campaign NAME=breaker-twins`.

100,000 steps in which Redis's machine and Python's must hold the same, 16 processes that fight
for three permits and die with them, and a million requests of which one in a hundred fails.
"""

import os
import random
import secrets
import sys
from collections.abc import Callable, Mapping

import redis
from hypothesis import seed
from hypothesis.stateful import run_state_machine_as_test

from campaigns.base import PASSED, Result, write_result
from proxy.domain.breaker import BreakerRules
from proxy.policy.breaker import Breaker
from tests.fakes.redis_server import RedisServer, find_server_program
from tests.stores.permit_process import RULES
from tests.stores.permits import (
    count_held,
    crash_holders,
    fight_for_permits,
    open_breaker,
    wait_for_permit,
)
from tests.stores.twins import TwinsDiffer, build_settings, build_state_machine

STEPS = 100_000
EXAMPLES = 500
PROCESSES = 16
FIGHT_S = 20.0
CRASHES = 5
LEASE_S = 8.0
REQUESTS = 1_000_000
BAD_SHARE = 0.01


def main() -> int:
    number = int(os.environ.get("BREAKER_SEED", secrets.randbelow(10**9)))
    notes = [f"The server is `{os.path.basename(find_server_program())}`; BREAKER_SEED={number}."]
    checks: Mapping[str, Callable[[RedisServer, int], tuple[str, str]]] = {
        f"{STEPS:,} steps: the two machines hold the same": walk_twins,
        f"{PROCESSES} processes: never more permits than {RULES.permits}": fight,
        "holders killed with SIGKILL lock nobody out": crash,
        f"{REQUESTS:,} requests, 1 % of them bad: never opened": live,
    }
    rows = {}
    with RedisServer() as server:
        for name, check in checks.items():
            server.command("FLUSHALL")
            cell, note = check(server, number)
            rows[name] = [cell]
            notes.append(note)
    title = "The breaker's machines, in Python and in Redis"
    return write_result(Result("breaker-twins", title, ["found"], rows, notes))


def walk_twins(server: RedisServer, number: int) -> tuple[str, str]:
    """Have both go the same random ways until these are long enough together."""
    counted: list[int] = []
    walks = 0
    with redis.Redis(unix_socket_path=str(server.path), protocol=2) as client:
        while sum(counted) < STEPS:
            machine = seed(number + walks)(build_state_machine(client, counted))
            walks += 1
            try:
                run_state_machine_as_test(
                    machine, settings=build_settings(EXAMPLES, derandomize=False)
                )
            except TwinsDiffer as error:
                return str(error), f"Twins: {sum(counted):,} steps until they differed."
    ways = f"{len(counted):,} ways of at most 50 steps, each from a new breaker"
    return PASSED, f"Twins: {sum(counted):,} steps on {ways}; the whole state compared after each."


def fight(server: RedisServer, number: int) -> tuple[str, str]:
    """Have processes fight for permits."""
    open_breaker(server)
    found = fight_for_permits(server, PROCESSES, FIGHT_S)
    note = (
        f"Permits: {found.permits:,} were given for {found.asked:,} questions of {PROCESSES} "
        f"processes, at most {found.most} at a time; {count_held(server)} were out at the end."
    )
    is_right = found.permits > 0 and found.most <= RULES.permits and not count_held(server)
    return PASSED if is_right else f"{found.most} at a time", note


def crash(server: RedisServer, number: int) -> tuple[str, str]:
    """Have processes die with all permits, again and again."""
    waits_s = []
    for _ in range(CRASHES):
        server.command("FLUSHALL")
        open_breaker(server)
        crash_holders(server, [LEASE_S] * RULES.permits)
        if count_held(server) != RULES.permits:
            return f"{count_held(server)} of {RULES.permits} were held", "Crashes: not all held."
        waits_s.append(wait_for_permit(server))
    longest = f"{max(waits_s):.1f} s after the last one died, of a lease of {LEASE_S:.0f} s"
    cell = PASSED if max(waits_s) <= LEASE_S + 1 else "later than the lease's end"
    return cell, f"Crashes: {CRASHES} times all permits; the next was given {longest} at most."


def live(server: RedisServer, number: int) -> tuple[str, str]:
    """Have a machine live through requests that fail at random; no Redis."""
    chance, rules = random.Random(number), BreakerRules()
    now_ms = 1_790_000_000_000
    machine = Breaker.begin(now_ms)
    opened = bad = 0
    for _ in range(REQUESTS):
        now_ms += chance.randrange(200)
        is_bad = chance.random() < BAD_SHARE
        bad += is_bad
        machine.report(now_ms, rules, machine.epoch, "", "fail" if is_bad else "ok")
        if machine.state != "closed":
            opened += 1
            machine.command("reset")
    cell = PASSED if not opened else f"opened {opened} times"
    return cell, f"Requests: {bad:,} of {REQUESTS:,} were bad, 0 to 200 ms apart."


if __name__ == "__main__":
    sys.exit(main())
