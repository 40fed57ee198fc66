"""
Health workers are killed, doubled, frozen, cut off and lied to: `make campaign NAME=health-chaos`.

Two fleets of four proxies get the same requests at the same moments. They have the same fifty
providers and a Redis each, to which the same happens at the same time; one has three health
workers, the other none. What the first makes of the requests must never be worse.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from campaigns.base import print_result, write_result
from campaigns.ground.client import Broken, Client
from campaigns.ground.health_chaos.ground import (
    Ground,
    build_post,
    count_between,
    count_both,
    open_ground,
    read_json,
)
from campaigns.ground.health_chaos.judge import (
    LEADS_WITHIN_S,
    check_dead,
    check_expiry,
    check_periods,
    check_shares,
    check_takeover,
    check_told,
    find_bad_words,
    find_mean_period_s,
)
from campaigns.ground.health_chaos.load import TwinLoad
from campaigns.ground.health_chaos.looks import (
    count_workers_descriptors,
    measure_status,
    read_logs,
    wait_for_redis,
    wait_for_rest,
    wait_until_all_healthy,
)
from campaigns.ground.health_chaos.page import Found, build_result
from campaigns.ground.health_chaos.plan import (
    ALWAYS_WELL,
    DYING,
    DYING_BUSY,
    DYING_QUIET,
    FLAPPING,
    FLEETS,
    LEASE_S,
    LIVES_S,
    MISJUDGED_MANNERS,
    PROVIDERS,
    SLOW,
    WATCHED,
    Counts,
)
from campaigns.ground.health_chaos.sightings import Watch, read_page
from campaigns.ground.kernel import count_descriptors, raise_file_limit
from health_worker.publish import LIVES_S as ALIVE_S
from tests.fakes.redis_server import RedisServer

PHASES = (
    "slow_down",
    "kill_leader",
    "double",
    "freeze_leader",
    "cut_off",
    "misjudge",
    "trouble_redis",
    "die",
    "flap",
    "recover",
)
"""Between a calm one and the end of all health workers."""
ONLY = os.environ.get("ONLY", "").split()
"""For trying: only these of them, and no result is written."""
SEED = int(os.environ.get("SEED", "20261127"))
LOOK_S = 0.05
UP_WITHIN_S = 30.0
TURNS, TURN_S, ASLEEP_S = 4, 5.0, 3.5
"""Another one asks for the lease each 3 s."""
FROZEN_S = LEASE_S + 4.0
REDIS_AWAY_S = 7.0
FLAP_S = 6.0
"""Long enough for a verdict each time, if it were not for the cooldown."""
KNOWN_DEAD_S = 15.0
"""So long after its death the health worker has to know that a provider is dead."""
HEALTHY_WITHIN_S = 75.0
"""A cooldown, the longest wait for what stays down, and two good probes."""
EXPIRED_WITHIN_S = LIVES_S + 2.0
STALE_WITHIN_S = ALIVE_S + 2.0
ENDS_WITHIN_S = 5.0
MARGIN = 5
"""Descriptors that a health worker may have open more than before: probes that are under way."""
SPARE = PROVIDERS[48]
"""Dies while the leader is frozen."""


class Campaign:
    """The phases, and what was found in each."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.load = TwinLoad(ground.ports, SEED)
        self.watch = Watch(ground.ports[WATCHED])
        self.found = Found()

    async def run(self) -> None:
        """Go through everything."""
        ground, found = self.ground, self.found
        for services in ground.services.values():
            for service in services:
                await asyncio.to_thread(service.wait_until_whole)
        await wait_for_redis(ground)
        begun_at = time.time()
        for worker in ground.workers.each:
            worker.start()
        await ground.workers.wait_for_leader(begun_at, UP_WITHIN_S)
        await wait_until_all_healthy(ground, UP_WITHIN_S)
        found.status_s = await measure_status(ground)
        pids = ground.list_pids()
        before = [count_descriptors(pid) for pid in pids]
        self.watch.start()
        self.load.begin("calm")
        self.load.start()
        await self._calm()
        held, begun_s = count_workers_descriptors(self.ground), time.monotonic()
        for name in ONLY or PHASES:
            await getattr(self, f"_{name}")()
        if (after := count_workers_descriptors(self.ground)) > held + MARGIN:
            found.leaks.append(f"{after} descriptors of a health worker instead of {held}")
        probes = (await ground.ask()).probes
        found.period_s = find_mean_period_s(probes, begun_s, time.monotonic(), names=ALWAYS_WELL)
        await self._end_workers()
        await self.load.stop()
        await self.watch.stop()
        await self._rest(pids, before)

    async def _calm(self) -> None:
        begun_s = time.monotonic()
        await asyncio.sleep(20.0)
        ended_s = time.monotonic()
        counts = await self.ground.ask()
        self.found.periods = check_periods(counts.probes, begun_s, ended_s, names=PROVIDERS)
        self.found.probes = [
            sum(begun_s <= at_s <= ended_s for at_s in counts.probes[name]) for name in PROVIDERS
        ]
        await self._order_checks()

    async def _order_checks(self) -> None:
        """Have all providers checked, whoever is asked; see that it was done."""
        leader, workers = self.ground.workers.find_leader(), self.ground.workers.each
        doors = {
            "a proxy": self.ground.ports[WATCHED][0],
            "the leader": leader.port,
            "a health worker that stands by": next(w.port for w in workers if w is not leader),
        }
        for name, port in doors.items():
            client = Client(port)
            asked_at = time.time()
            try:
                page = await read_page(client, build_post("/check"))
            except (AssertionError, Broken) as error:
                self.found.stale_checks.append(f"{name}: {error}")
                continue
            finally:
                client.close()
            took_s = time.time() - asked_at
            self.found.checks_s[name] = took_s
            old = [each.name for each in page.providers if (each.last_check or 0.0) < asked_at]
            if old or len(page.providers) != len(PROVIDERS):
                words = f"{len(page.providers)} providers, {len(old)} of them not checked anew"
                self.found.stale_checks.append(f"{name}: {words}")

    async def _kill_leader(self) -> None:
        self.load.begin("leader killed")
        begun_s, at = time.monotonic(), time.time()
        leader = self.ground.workers.find_leader()
        leader.kill()
        await self._take_over(at)
        await asyncio.sleep(max(0.0, begun_s + 18.0 - time.monotonic()))
        leader.start()

    async def _take_over(self, since_at: float) -> None:
        """Wait for another leader; what is probed in its first lease is counted later."""
        try:
            _, took_s = await self.ground.workers.wait_for_leader(since_at, 2 * LEADS_WITHIN_S)
        except AssertionError as error:
            self.found.takeovers.append(str(error))
            return
        self.found.takeovers_s.append(took_s)
        ago_s = time.time() - (since_at + took_s)
        self.found.taken_over_at_s.append(time.monotonic() - ago_s)

    async def _double(self) -> None:
        """Have two lead at once: one sleeps while Redis forgets, and wakes within its lease."""
        self.load.begin("lease contested")
        begun_s, at = time.monotonic(), time.time()
        for turn in range(1, TURNS + 1):
            leader = self.ground.workers.find_leader()
            leader.signal(signal.SIGSTOP)
            self.ground.trouble_redis(lambda server: server.command("FLUSHALL"))
            await asyncio.sleep(ASLEEP_S)
            leader.signal(signal.SIGCONT)
            await asyncio.sleep(max(0.0, begun_s + turn * TURN_S - time.monotonic()))
        counts = await self.ground.ask()
        terms = [t for t in self.ground.workers.read_terms() if t.leads and t.at >= at]
        if len(terms) < TURNS:
            self.found.untold.append(f"the lease has changed hands {len(terms)} times only")
        self.found.doubled = check_takeover(counts.probes, begun_s, names=PROVIDERS)

    async def _freeze_leader(self) -> None:
        """Have a provider die while the leader sleeps, who then wakes and believes it well."""
        self.load.begin("leader frozen")
        begun_s, at = time.monotonic(), time.time()
        leader = self.ground.workers.find_leader()
        leader.signal(signal.SIGSTOP)
        await self.ground.be("down", SPARE)
        await self._take_over(at)
        await asyncio.sleep(max(0.0, begun_s + FROZEN_S - time.monotonic()))
        await self._wait_until("unhealthy", SPARE, 10.0)
        seen = len(self.watch.sightings)
        leader.signal(signal.SIGCONT)
        self.found.taken_over_at_s.append(time.monotonic())
        await asyncio.sleep(6.0)
        self.found.woken += [
            f"proxy {each.proxy}: {each.item.status}"
            for each in self.watch.sightings[seen:]
            if each.item.name == SPARE and each.item.status == "healthy"
        ]
        await self.ground.be("well", SPARE)

    async def _cut_off(self) -> None:
        """Have all probes fail, and no request."""
        self.load.begin("cut off")
        seen = len(self.watch.sightings)
        before = await self.ground.ask("be deaf " + " ".join(PROVIDERS))
        await asyncio.sleep(20.0)
        after = await self.ground.ask()
        self.found.shares += check_shares(*count_both(before, after))
        for port in self.ground.ports[WATCHED]:
            told = (await read_json(port, "/health"))["components"]["health_worker"]
            if told != "degraded":
                self.found.suspicion.append(f"/health tells that the health worker is {told}")
        self.found.suspicion += find_bad_words(self.watch.sightings[seen:], besides=SPARE)
        await self.ground.be("well", *PROVIDERS)
        self.found.begun_anew_at.append(time.time())

    async def _slow_down(self) -> None:
        """Have the first provider of each route be slow to answer probes, and only those."""
        self.load.begin("slow probes")
        seen = len(self.watch.sightings)
        await self.ground.be("slow", *SLOW)
        await asyncio.sleep(20.0)
        await self.ground.be("well", *SLOW)
        self._check_told(seen, SLOW, "degraded")

    def _check_told(self, seen: int, names: Sequence[str], *states: str) -> None:
        self.found.untold += check_told(self.watch.sightings[seen:], names, states)

    async def _misjudge(self) -> None:
        self.load.begin("probes refused, requests answered")
        seen = len(self.watch.sightings)
        before = await self.ground.ask()
        for name, manner in MISJUDGED_MANNERS.items():
            await self.ground.be(manner, name)
        await asyncio.sleep(22.0)
        self.found.shares += check_shares(*count_both(before, await self.ground.ask()))
        await self.ground.be("well", *MISJUDGED_MANNERS)
        self._check_told(seen, tuple(MISJUDGED_MANNERS), "unhealthy", "rate_limited")

    async def _trouble_redis(self) -> None:
        self.load.begin("Redis flushed")
        for _ in range(3):
            self.ground.trouble_redis(lambda server: server.command("FLUSHALL"))
            await asyncio.sleep(3.0)
        ways: Sequence[tuple[str, Any, Any]] = (
            ("Redis killed", RedisServer.kill, RedisServer.start),
            ("Redis frozen", RedisServer.freeze, RedisServer.thaw),
        )
        for name, begin, mend in ways:
            self.load.begin(name)
            self.ground.trouble_redis(begin)
            await asyncio.sleep(REDIS_AWAY_S)
            self.ground.trouble_redis(mend)
            await asyncio.sleep(REDIS_AWAY_S)

    async def _die(self) -> None:
        """Have some providers really die, most of which are asked now and then only."""
        self.load.begin("providers dead")
        seen = len(self.watch.sightings)
        before = await self.ground.ask()
        await self.ground.be("down", *DYING)
        await asyncio.sleep(KNOWN_DEAD_S)
        known = await self.ground.ask()
        await asyncio.sleep(20.0)
        after = await self.ground.ask()
        asked, late, busy = (
            {fleet: _count(one, after, fleet, names) for fleet in FLEETS}
            for one, names in ((before, DYING), (known, DYING_QUIET), (before, (DYING_BUSY,)))
        )
        self.found.dead = check_dead(asked, late)
        self.found.asked_dead = {"in all": asked, "late, on quiet routes": late, "busy": busy}
        await self.ground.be("well", *DYING)
        self._check_told(seen, DYING, "unhealthy")

    async def _flap(self) -> None:
        self.load.begin("providers flapping")
        seen = len(self.watch.sightings)
        for turn in range(6):
            await self.ground.be("well" if turn % 2 else "down", *FLAPPING)
            await asyncio.sleep(FLAP_S)
        self._check_told(seen, FLAPPING, "unhealthy")

    async def _recover(self) -> None:
        self.load.begin("recovery")
        begun_s = time.monotonic()
        try:
            self.found.recovered_s = await wait_until_all_healthy(self.ground, HEALTHY_WITHIN_S)
        except AssertionError as error:
            self.found.recovery.append(str(error))
        await asyncio.sleep(max(0.0, begun_s + 8.0 - time.monotonic()))

    async def _end_workers(self) -> None:
        """End one in good order, which lets the next one lead at once; then kill the others."""
        self.load.begin("one ended, then all dead")
        leader = self.ground.workers.find_leader()
        at = time.time()
        if complaint := await leader.end(ENDS_WITHIN_S):
            self.found.ending.append(complaint)
        try:
            _, self.found.released_s = await self.ground.workers.wait_for_leader(at, LEADS_WITHIN_S)
        except AssertionError as error:
            self.found.takeovers.append(f"after a clean end: {error}")
        await asyncio.sleep(6.0)
        for worker in self.ground.workers.each:
            worker.kill()
        killed_s = time.monotonic()
        await asyncio.sleep(EXPIRED_WITHIN_S)
        self.found.expiry = check_expiry(self.watch.find_all())
        await asyncio.sleep(max(0.0, killed_s + STALE_WITHIN_S - time.monotonic()))
        for port in self.ground.ports[WATCHED]:
            health = await read_json(port, "/health/readiness")
            if "health_stale" not in health.get("degraded", []):
                self.found.expiry.append(f"health_stale is not told: {health}")

    async def _wait_until(self, status: str, provider: str, within_s: float) -> None:
        deadline_s = time.monotonic() + within_s
        while any(item.status != status for item in self.watch.find(provider)):
            if time.monotonic() > deadline_s:
                told = [item.status for item in self.watch.find(provider)]
                self.found.woken.append(f"{provider} is to be {status}, and is told to be {told}")
                return
            await asyncio.sleep(LOOK_S)

    async def _rest(self, pids: Sequence[int], before: Sequence[int]) -> None:
        counts, found = await self.ground.ask(), self.found
        for at_s in found.taken_over_at_s:
            found.taken_over += check_takeover(counts.probes, at_s, names=PROVIDERS)
        if counts.by_strangers:
            found.leaks.append(f"{counts.by_strangers} requests under a key that is none")
        found.leaks += await wait_for_rest(self.ground, pids, before)

    def end(self) -> None:
        """End the proxies, and read what everybody has printed."""
        for services in self.ground.services.values():
            for service in services:
                service.signal(signal.SIGTERM)
        for services in self.ground.services.values():
            for service in services:
                if status := service.wait():
                    self.found.ending.append(f"a proxy: exit status {status}")
        self.found.secrets, self.found.loud = read_logs(self.ground)


def _count(before: Counts, after: Counts, fleet: str, names: Sequence[str]) -> int:
    counts = count_between(before, after, fleet)
    return sum(counts[name] for name in names)


def main() -> int:
    raise_file_limit(4096)
    with open_ground() as ground:
        campaign = Campaign(ground)
        asyncio.run(campaign.run())
        campaign.end()
        campaign.found.terms = ground.workers.read_terms()
        result = build_result(campaign.load, campaign.watch, campaign.found)
        return print_result(result) if ONLY else write_result(result)


if __name__ == "__main__":
    sys.exit(main())
