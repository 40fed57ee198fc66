"""What goes wrong in the campaign of chaos: Redis again and again, a provider now and then."""

import asyncio
import time
from collections.abc import Callable, Mapping
from random import Random

import msgspec

from campaigns.ground.chaos.calendar import REDIS, Calendar
from campaigns.ground.chaos.plan import PROVIDERS, Counts
from campaigns.ground.upstream import RunningProgram
from tests.fakes.redis_server import RedisServer

REDIS_TROUBLES = ("killed", "frozen", "flushed", "read-only")
REDIS_LASTS_S = (1.0, 4.0)
REDIS_RESTS_S = (2.0, 6.0)
NOBODY = ("127.0.0.1", 1)
"""A master that is never there: its replica goes on as it was, and takes no writes."""
MANNERS = ("refusing", "resetting", "busy", "silent")
DEAD_LASTS_S = (3.0, 8.0)
DEAD_RESTS_S = (6.0, 14.0)


class Providers:
    """The three providers, as one tells them how to be."""

    def __init__(self, program: RunningProgram, calendar: Calendar, breaker_s: float) -> None:
        self.ports = [int(word) for word in program.read_line().split()]
        self._program = program
        self.calendar = calendar
        self._breaker_s = breaker_s

    async def ask(self, command: str = "count") -> Counts:
        """Tell them something, and return what they have counted."""
        answer = await asyncio.to_thread(self._program.ask, command)
        return msgspec.json.decode(answer, type=Counts)

    async def trouble(self, manners: Mapping[str, str], lasts_s: float) -> None:
        """Have some providers be in a bad manner for a while."""
        begun_s = time.monotonic()
        troubles = [self.calendar.begin(name, kind, begun_s) for name, kind in manners.items()]
        for name, manner in manners.items():
            await self.ask(f"be {name} {manner}")
        await asyncio.sleep(lasts_s)
        for name in manners:
            await self.ask(f"be {name} well")
        now_s = time.monotonic()
        for trouble in troubles:
            trouble.ended_s = now_s
            # A breaker has doubled its wait each time: the last one is no longer than all of
            # them, and begins anew with the first.
            trouble.over_s = now_s + (now_s - begun_s) + 2 * self._breaker_s


async def trouble_redis(server: RedisServer, calendar: Calendar, seed: int) -> None:
    """Let one trouble of Redis follow the other, each kind as often; cancelled, mend the last."""
    chance = Random(seed)
    while True:
        for kind in chance.sample(REDIS_TROUBLES, len(REDIS_TROUBLES)):
            await asyncio.sleep(chance.uniform(*REDIS_RESTS_S))
            trouble = calendar.begin(REDIS, kind, time.monotonic())
            begin, mend = _find_ways(server, kind)
            # Not in a thread of its own: the server dies with the thread that has started it.
            begin()
            try:
                if kind != "flushed":
                    await asyncio.sleep(chance.uniform(*REDIS_LASTS_S))
            finally:
                mend()
                trouble.ended_s = trouble.over_s = time.monotonic()


def _find_ways(server: RedisServer, kind: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return how a trouble of Redis begins and how it is mended."""
    ways: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "killed": (server.kill, server.start),
        "frozen": (server.freeze, server.thaw),
        "flushed": (lambda: server.command("FLUSHALL"), lambda: None),
        "read-only": (
            lambda: server.command("REPLICAOF", *NOBODY),
            lambda: server.command("REPLICAOF", "NO", "ONE"),
        ),
    }
    return ways[kind]


async def trouble_providers(providers: Providers, seed: int, until_s: float) -> None:
    """Let one provider after the other be wholly dead for some seconds, the last well in time."""
    chance = Random(seed)
    while True:
        rests_s, lasts_s = chance.uniform(*DEAD_RESTS_S), chance.uniform(*DEAD_LASTS_S)
        if time.monotonic() + rests_s + lasts_s > until_s:
            return
        await asyncio.sleep(rests_s)
        name, manner = chance.choice(PROVIDERS), chance.choice(MANNERS)
        await providers.trouble({name: manner}, lasts_s)
