"""
One of several processes that fight for the permits of one breaker: its own program.

    python -m tests.stores.permit_process fight URL SECONDS   prints {"permits", "most", "asked"}
    python -m tests.stores.permit_process hold URL LEASE_S    prints "held", and holds for ever

The breaker is half-open, and whoever gets a permit counts itself in Redis for as long as it has
it: `most` is the highest such count that this process has seen.
"""

import asyncio
import json
import random
import sys
import time

import structlog

from proxy.domain.breaker import BreakerRules, Permit
from proxy.stores.redis_breakers import RedisBreakers
from proxy.stores.redis_link import KEY_PREFIX, RedisLink
from proxy.stores.redis_script import build_script

ID = "acme/fought-for"
COUNT_KEY = KEY_PREFIX + "in-flight"
ENTER = build_script("enter", "return redis.call('INCR', KEYS[1])")
LEAVE = build_script("leave", "return redis.call('DECR', KEYS[1])")
RULES = BreakerRules(open_ms=1, open_max_ms=1)
LEASE_S = 60.0


async def open_store(url: str) -> tuple[RedisLink, RedisBreakers]:
    """Open a store that has joined Redis."""
    link = RedisLink(url, operation_s=5.0)
    store = RedisBreakers(link, RULES)
    link.start()
    assert await link.wait_joined(10)
    while not store.is_shared:  # noqa: ASYNC110 - the first poll is under way
        await asyncio.sleep(0)
    return link, store


async def fight(url: str, for_s: float) -> dict[str, int]:
    """Take permits, give them back and take them again, several at a time."""
    link, store = await open_store(url)
    chance = random.Random()
    told = {"permits": 0, "most": 0, "asked": 0}
    end_s = time.monotonic() + for_s

    async def one() -> None:
        while time.monotonic() < end_s:
            told["asked"] += 1
            answer = await store.acquire(ID, LEASE_S)
            if not isinstance(answer, Permit):
                continue
            count = await link.run(ENTER, [COUNT_KEY])
            assert isinstance(count, int)
            told["permits"] += 1
            told["most"] = max(told["most"], count)
            for _ in range(chance.randrange(3)):
                await link.command("PING")
            await link.run(LEAVE, [COUNT_KEY])
            # It never closes, so that the fight goes on.
            store.report(ID, "neutral", epoch=answer.epoch, token=answer.token)
            while store.unsent:  # noqa: ASYNC110 - it is the next to be told
                await asyncio.sleep(0)

    await asyncio.gather(*(one() for _ in range(4)))
    await store.close()
    await link.close()
    return told


async def hold(url: str, lease_s: float) -> None:
    """Take a permit and keep it until the end, which comes without a warning."""
    _, store = await open_store(url)
    while not isinstance(await store.acquire(ID, lease_s), Permit):
        pass
    _tell("held")
    await asyncio.Event().wait()


def main() -> None:
    what, url, number = sys.argv[1:]
    # Standard output is for what is told to whoever has started this.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if what == "fight":
        _tell(json.dumps(asyncio.run(fight(url, float(number)))))
    else:
        asyncio.run(hold(url, float(number)))


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
