"""Rows I1 to I9: Redis is away, slow, empty or somebody else's, and no client notices."""

import asyncio
import json
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.domain.breaker import BreakerRules
from proxy.domain.settings import InstallSettings
from proxy.stores.factory import FastStores
from tests.end_to_end.live import LiveProxy, build_live_config, living
from tests.end_to_end.test_serve import asking, build_chat
from tests.fakes.proxy_server import (
    ANSWER,
    ProxyServer,
    build_board,
    build_provider,
    build_snapshot,
    serving,
)
from tests.fakes.proxy_server import (
    build_chat as build_json_chat,
)
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.redis_server import RedisServer
from tests.fakes.upstream_scripts import answering, post

JOIN_PROMISE_S = 2.0
ADDED_PROMISE_S = 0.005
LATE_S = 5 * ADDED_PROMISE_S
"""Half of what a round trip to Redis may take: who had waited for one would be later."""
MOST_LATE = 4
"""One less than the round trips that time out before Redis is left: more is no chance."""
SLACK = 10
REQUESTS = 60
LOGGER = "llm_proxy.redis"


class Shared:
    """A proxy whose breakers are shared through Redis, and the link that they go by."""

    def __init__(self, server: ProxyServer, stores: FastStores, told: asyncio.Queue[bool]) -> None:
        self.server = server
        self.stores = stores
        self._told = told

    async def wait_for(self, is_up: bool) -> None:
        """Return once Redis is told to have come, or gone."""
        async with asyncio.timeout(JOIN_PROMISE_S * SLACK):
            while await self._told.get() is not is_up:
                continue

    async def ask_many(self) -> list[float]:
        """Ask one after the other; return how long each took, once all were answered well."""
        times, loop = [], asyncio.get_running_loop()
        for _ in range(REQUESTS):
            began_s = loop.time()
            status, _, _ = await post(self.server.url, build_json_chat())
            assert status == 200
            times.append(loop.time() - began_s)
        return times


def find_delay(good: list[float], away: list[float]) -> str:
    """Say what shows that requests waited for a Redis that is away; "" if nothing does."""
    usual_s = statistics.median(good)
    added_s = statistics.median(away) - usual_s
    if added_s >= ADDED_PROMISE_S:
        return f"each took {added_s * 1000:.1f} ms more"
    late = [f"{time_s * 1000:.0f}" for time_s in away if time_s - usual_s >= LATE_S]
    if len(late) > MOST_LATE:
        return f"of usually {usual_s * 1000:.1f} ms some took {', '.join(late)}"
    return ""


@pytest.mark.parametrize(
    ("good", "away", "is_seen"),
    [
        ([0.003] * 60, [0.003] * 60, False),
        ([0.003] * 60, [0.003] * 59 + [0.2], False),
        ([0.003] * 59 + [9.0], [0.003] * 55 + [0.053] * 5, True),
        ([0.003] * 59 + [9.0], [0.009] * 60, True),
    ],
)
def test_requests_that_wait_are_seen(good: list[float], away: list[float], is_seen: bool) -> None:
    """Some that wait for a round trip, or all a little: an outlier hides neither, nor is it one."""
    assert (find_delay(good, away) != "") is is_seen


@asynccontextmanager
async def sharing(redis: RedisServer, url: str, **rules: Any) -> AsyncIterator[Shared]:
    """Serve the model `m` of an upstream, with breakers in Redis."""
    told: asyncio.Queue[bool] = asyncio.Queue()
    install = InstallSettings(redis_url=redis.url)
    snapshot = build_snapshot(build_provider(url), breaker=BreakerRules(**rules))
    rules_in_force = snapshot.settings.breaker
    stores = FastStores(install, rules_in_force, told.put_nowait, lambda: None)
    try:
        board = build_board(snapshot, stores.breakers)
        async with serving(snapshot, board=board) as server:
            yield Shared(server, stores, told)
    finally:
        await stores.close()


def lines_of_redis(live: LiveProxy) -> list[str]:
    """Return what was logged about Redis."""
    lines = map(json.loads, live.program.lines)
    return [line["message"] for line in lines if line["logger"] == LOGGER]


async def test_i1_redis_is_down_at_the_start(tmp_path: Path, own_redis_server: RedisServer) -> None:
    """Both workers serve, say that they are degraded, warn once each, and join when it comes."""
    own_redis_server.kill()
    config = build_live_config("sim-first", workers=2, redis_url=own_redis_server.url)
    with living(tmp_path, config) as live:
        status, body = await live.get("/health/readiness")
        assert (status, body["degraded"]) == (200, ["redis"])
        async with asking(live, build_chat("sim-first")) as answer:
            assert answer.status == 200
        mark = live.mark
        own_redis_server.start()
        wait_until_joined(live, 2, mark)
        _, body = await live.get("/health/readiness")
        assert "degraded" not in body or body["degraded"] == []
    told = lines_of_redis(live)
    assert sum("redis OPEN" in line for line in told) == 2, told
    assert sum("redis CLOSED" in line for line in told) == 2, told


async def test_i2_redis_is_killed_under_load(own_redis_server: RedisServer) -> None:
    """No request fails, before or after it is known, and none waits for what is not there."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        sharing(own_redis_server, upstream.url) as shared,
    ):
        await shared.wait_for(True)
        good = await shared.ask_many()
        own_redis_server.kill()
        away = await shared.ask_many()
        await shared.wait_for(False)
        own_redis_server.start()
        await shared.wait_for(True)
        await shared.ask_many()
    assert find_delay(good, away) == ""


@pytest.mark.parametrize("how", ["frozen", "paused"])
async def test_i3_redis_is_slow(own_redis_server: RedisServer, how: str) -> None:
    """A Redis that accepts and does not answer costs no request anything."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        sharing(own_redis_server, upstream.url) as shared,
    ):
        await shared.wait_for(True)
        good = await shared.ask_many()
        if how == "frozen":
            own_redis_server.freeze()
        else:
            own_redis_server.command("CLIENT", "PAUSE", 60_000)
        try:
            away = await shared.ask_many()
            await shared.wait_for(False)
            await shared.ask_many()
        finally:
            if how == "frozen":
                own_redis_server.thaw()
            else:
                own_redis_server.kill()
                own_redis_server.start()
        await shared.wait_for(True)
    assert find_delay(good, away) == ""


async def test_i4_everything_in_redis_is_gone(own_redis_server: RedisServer) -> None:
    """After FLUSHALL an open breaker is closed again, and what fails counts anew."""
    dead = answering({"error": {"message": "x"}}, 500)
    async with (
        open_raw_upstream(dead) as upstream,
        sharing(own_redis_server, upstream.url, consecutive=2) as shared,
    ):
        await shared.wait_for(True)
        breakers = shared.stores.breakers
        await fail_until_open(shared, "up/m")
        own_redis_server.command("FLUSHALL")
        async with asyncio.timeout(JOIN_PROMISE_S * SLACK):
            while breakers.look("up/m").state != "closed":
                (report,) = await breakers.read(["up/m"])
                await asyncio.sleep(0)
        assert report.state == "closed"
        await fail_until_open(shared, "up/m")


async def fail_until_open(shared: Shared, breaker_id: str) -> None:
    """Ask until a breaker is open."""
    async with asyncio.timeout(JOIN_PROMISE_S * SLACK):
        while shared.stores.breakers.look(breaker_id).state != "open":
            await post(shared.server.url, build_json_chat())


async def test_i5_redis_becomes_read_only(own_redis_server: RedisServer) -> None:
    """A replica that takes no writes is as good as none, until it is the first again."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        sharing(own_redis_server, upstream.url) as shared,
    ):
        await shared.wait_for(True)
        own_redis_server.command("REPLICAOF", "127.0.0.1", 1)
        away = asyncio.create_task(shared.wait_for(False))
        while not away.done():
            await shared.ask_many()
        await away
        own_redis_server.command("REPLICAOF", "NO", "ONE")
        await shared.wait_for(True)
        await shared.ask_many()


async def test_i6_redis_has_forgotten_the_scripts(redis_server: RedisServer) -> None:
    """After SCRIPT FLUSH the next report is told all the same."""
    dead = answering({"error": {"message": "x"}}, 500)
    async with (
        open_raw_upstream(dead) as upstream,
        sharing(redis_server, upstream.url, consecutive=3) as shared,
    ):
        await shared.wait_for(True)
        await post(shared.server.url, build_json_chat())
        redis_server.command("SCRIPT", "FLUSH")
        await fail_until_open(shared, "up/m")
        assert shared.stores.breakers.is_shared
        assert shared.stores.find_degraded() == ()


async def test_i7_a_burst_at_redis(redis_server: RedisServer) -> None:
    """Two hundred requests at once, each with something to tell, leave Redis joined."""
    dead = answering({"error": {"message": "x"}}, 500)
    async with (
        open_raw_upstream(dead) as upstream,
        sharing(redis_server, upstream.url, consecutive=100_000, min_calls=100_000) as shared,
    ):
        await shared.wait_for(True)
        asked = [post(shared.server.url, build_json_chat()) for _ in range(200)]
        assert {status for status, _, _ in await asyncio.gather(*asked)} == {502}
        (report,) = await shared.stores.breakers.read(["up/m"])
        assert (report.failure_count, shared.stores.find_degraded()) == (200, ())


async def test_i8_clients_leave_while_redis_is_asked(redis_server: RedisServer) -> None:
    """However many leave in the middle, no permit is lost and no reply goes astray."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        sharing(redis_server, upstream.url, open_ms=1, permits=2, consecutive=1) as shared,
    ):
        await shared.wait_for(True)
        breakers = shared.stores.breakers
        for turn in range(50):
            await breakers.command("up/m", "reset")
            epoch = breakers.look("up/m").epoch
            breakers.report("up/m", "fail", epoch=epoch)
            (report,) = await breakers.read(["up/m"])
            asked = [asyncio.create_task(breakers.acquire("up/m", 60.0)) for _ in range(4)]
            for _ in range(turn % 5):
                await asyncio.sleep(0)
            for task in asked:
                task.cancel()
            await asyncio.wait(asked)
        await shared.ask_many()
        async with asyncio.timeout(JOIN_PROMISE_S * SLACK):
            while report.permits_in_use or report.state == "open":
                (report,) = await breakers.read(["up/m"])
                await asyncio.sleep(0)


async def test_i9_some_workers_see_redis_and_some_do_not(own_redis_server: RedisServer) -> None:
    """Who is cut off opens by itself, and when it is back the others know."""
    dead = answering({"error": {"message": "x"}}, 500)
    async with (
        open_raw_upstream(dead) as upstream,
        sharing(own_redis_server, upstream.url) as seeing,
        sharing(own_redis_server, upstream.url) as cut_off,
    ):
        await seeing.wait_for(True)
        await cut_off.wait_for(True)
        own_redis_server.freeze()
        await fail_until_open(cut_off, "up/m")
        assert seeing.stores.breakers.look("up/m").state == "closed"
        own_redis_server.thaw()
        async with asyncio.timeout(JOIN_PROMISE_S * SLACK):
            while seeing.stores.breakers.look("up/m").state != "open":
                await seeing.stores.breakers.read(["up/m"])
                await asyncio.sleep(0)


async def test_i2_two_workers_open_together(tmp_path: Path, redis_server: RedisServer) -> None:
    """What one worker has found out the other one knows: not five failures of each."""
    dead = answering({"error": {"message": "x"}}, 500)
    good = answering(ANSWER)
    async with open_raw_upstream(dead) as one, open_raw_upstream(good) as two:
        config = build_live_config(workers=2, redis_url=redis_server.url)
        for number, upstream in enumerate((one, two), 1):
            provider = {"type": "openai_compatible", "base_url": upstream.url, "models": ["m"]}
            config["providers"].append({"name": f"p{number}", "priority": number, **provider})
        with living(tmp_path, config) as live:
            wait_until_joined(live, 2)
            for _ in range(40):
                async with asking(live, build_chat("m")) as answer:
                    assert answer.status == 200
                    assert answer.headers["x-llm-proxy-provider"] == "p2"
    # Five where nothing is late, as the stores' own tests show; by themselves they would be ten.
    assert 1 <= len(dead.requests) < 10
    assert len(good.requests) == 40


def wait_until_joined(live: LiveProxy, workers: int, since: int = 0) -> None:
    """Return once so many workers have said that Redis is there, at first or again."""

    def is_joined(line: str) -> bool:
        return "redis CLOSED" in line or "redis is joined" in line

    for _ in range(workers):
        live.program.wait_for_line(is_joined, since)
        lines = list(live.program.lines)
        since = next(n for n in range(since, len(lines)) if is_joined(lines[n])) + 1
