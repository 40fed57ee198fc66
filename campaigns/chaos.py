"""
Everything goes wrong at random, at 100 requests a second: `make campaign NAME=chaos`.

Three providers with every fault there is, one of them or all of them dead for a while, and a
Redis that is killed, frozen, flushed and made read-only. DURATION_S=60 is for trying.
"""

import asyncio
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from campaigns.base import PASSED, Result, write_result
from campaigns.ground.caller import find_percentile
from campaigns.ground.chaos.calendar import REDIS, Calendar
from campaigns.ground.chaos.judge import COMMIT_DELAY_S
from campaigns.ground.chaos.load import Load, Phase
from campaigns.ground.chaos.logs import check_redis, check_requests, find_loud, read_log
from campaigns.ground.chaos.plan import CALM, PROVIDERS, STEADY
from campaigns.ground.chaos.troubles import Providers, trouble_providers, trouble_redis
from campaigns.ground.client import Client, build_get_request
from campaigns.ground.kernel import count_descriptors, raise_file_limit
from campaigns.ground.service import Service
from campaigns.ground.upstream import running_program
from tests.canaries import KEY_MARK, PROMPT, PROMPT_MARK
from tests.end_to_end.served import KEY, PROVIDER_KEY
from tests.fakes.ports import find_port
from tests.fakes.redis_server import RedisServer
from tests.faults.oracle import UPSTREAM_WORDS

DURATION_S = float(os.environ.get("DURATION_S", "600"))
SEED = int(os.environ.get("SEED", "20261127"))
PER_S = 100.0
WORKERS = 2
BREAKER_S = 5.0
"""`circuit_breaker_timeout`."""
RECOVERS_WITHIN_S = BREAKER_S + 1.0
MOST_AMPLIFICATION = 1.10
ADDED_WITHOUT_REDIS_S = 0.1
"""To the slowest hundredth of the calm requests."""
LOOK_S = 1.0
REST_WITHIN_S = 30.0
"""Connections to providers are kept for 15 s."""
USER, PASSWORD = "campaign", "c4nary-redis-62b0d1"
SECRETS = (KEY, PROVIDER_KEY, KEY_MARK, PROMPT, PROMPT_MARK, UPSTREAM_WORDS, PASSWORD)
FULL_FAILURE = "all three dead"
RECOVERY = "recovery"
MS = 1000


class Found(Struct):
    """What the campaign has seen, but for the requests themselves."""

    at_rest: list[str] = field(default_factory=list)
    """What was not as at the start, when all had ended."""
    log: list[str] = field(default_factory=list)
    redis_log: list[str] = field(default_factory=list)
    loud: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    ending: list[str] = field(default_factory=list)
    faults: int = 0
    """That the providers have done to single requests."""
    recovery_s: float | None = None
    """From the end of the full failure to the first good answer to a request behind it."""
    restored_s: float = 0.0
    """From there to the last refusal."""


def build_config(port: int, upstream_ports: Sequence[int], redis_url: str, log: Path) -> str:
    """Return the text of the configuration; the steady provider of a model is asked last."""
    ways = ("priority", "weighted", "least_latency", "priority")
    routes = []
    for model, strategy in zip((*STEADY, CALM), ways, strict=True):
        last = STEADY.get(model, PROVIDERS[-1])
        order = sorted(PROVIDERS, key=lambda name: name == last)
        is_ranked = strategy == "priority"
        targets = [
            {"provider": name, "model": model, "priority": 1 + rank * is_ranked}
            for rank, name in enumerate(order)
        ]
        routes.append({"alias": model, "strategy": strategy, "targets": targets})
    providers = [
        {
            "name": name,
            "type": "openai_compatible",
            "base_url": f"http://127.0.0.1:{upstream_port}/v1",
            "api_key": PROVIDER_KEY,
            "models": [*STEADY, CALM],
            "retry_delay": 0.2,
        }
        for name, upstream_port in zip(PROVIDERS, upstream_ports, strict=True)
    ]
    names = ("connect_s", "headers_s", "first_token_s", "idle_s", "answer_s")
    clocks = {**dict.fromkeys(names, 2), "commit_delay_s": COMMIT_DELAY_S}
    config: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "workers": WORKERS,
        "log_file": str(log),
        "api_keys": [KEY],
        "redis_url": redis_url,
        "circuit_breaker_timeout": BREAKER_S,
        "request_timeout": 25,
        "drain_timeout": 10,
        "clocks": clocks,
        "routes": routes,
        "providers": providers,
    }
    return json.dumps(config, indent=1)


class Campaign:
    """One service, one Redis, three providers."""

    def __init__(self, service: Service, port: int, server: RedisServer) -> None:
        self.service = service
        self.port = port
        self.calendar = Calendar()
        self.load = Load(port, PER_S, self.calendar, SEED)
        self.found = Found()
        self._server = server

    async def run(self, providers: Providers) -> None:
        """Go through all phases, and wait for rest."""
        pids, _ = await asyncio.to_thread(self.service.wait_until_whole)
        await self._wait_for_redis()
        await asyncio.sleep(LOOK_S)  # until our own looks at it have ended
        before = [count_descriptors(pid) for pid in (self.service.pid, *pids)]
        self.load.start()
        storm = asyncio.create_task(trouble_redis(self._server, self.calendar, SEED))
        try:
            await self._go_through(providers)
        finally:
            storm.cancel()
            await asyncio.wait([storm])
            await self.load.stop()
        if not storm.cancelled():
            storm.result()  # it has ended by itself: Redis was left alone from then on
        await self._wait_for_rest(providers, pids, before)

    async def _go_through(self, providers: Providers) -> None:
        await self._begin("all faults", providers)
        ends_s = time.monotonic() + 0.45 * DURATION_S
        await trouble_providers(providers, SEED, ends_s)
        await asyncio.sleep(max(0.0, ends_s - time.monotonic()))

        await self._begin("one dead", providers)
        await providers.trouble({PROVIDERS[0]: "refusing"}, 0.1 * DURATION_S)

        await self._begin(FULL_FAILURE, providers)
        manners = dict(zip(PROVIDERS, ("resetting", "busy", "silent"), strict=True))
        await providers.trouble(manners, max(10.0, 0.1 * DURATION_S))

        await self._begin(RECOVERY, providers)
        await asyncio.sleep(0.15 * DURATION_S)
        recovery = self.load.phase

        await self._begin("faults of requests alone", providers)
        await asyncio.sleep(0.2 * DURATION_S)
        if recovery.first_answer_s is not None:
            self.found.recovery_s = recovery.first_answer_s - recovery.begun_s
        refused = [phase.last_refused_s for phase in self.load.phases[-2:]]
        self.found.restored_s = max((s - recovery.begun_s for s in refused if s), default=0.0)

    async def _begin(self, name: str, providers: Providers) -> None:
        self.load.begin_phase(name, (await providers.ask()).requests)

    async def _wait_for_redis(self) -> None:
        deadline_s = time.monotonic() + REST_WITHIN_S
        while await self._read_metric("llm_proxy_redis_up") != 1.0:
            if time.monotonic() > deadline_s:
                raise SystemExit("the service does not use the Redis of its configuration")
            await asyncio.sleep(0.1)

    async def _wait_for_rest(
        self, providers: Providers, pids: Sequence[int], before: Sequence[int]
    ) -> None:
        deadline_s = time.monotonic() + REST_WITHIN_S
        while True:
            self.found.at_rest = await self._find_held(providers, pids, before)
            if not self.found.at_rest or time.monotonic() > deadline_s:
                break
        counts = await providers.ask()
        self.load.end_phase(counts.requests)
        self.found.faults = counts.faults

    async def _find_held(
        self, providers: Providers, pids: Sequence[int], before: Sequence[int]
    ) -> list[str]:
        """Return what is not as it was at the start."""
        await asyncio.sleep(LOOK_S)
        now = [count_descriptors(pid) for pid in (self.service.pid, *pids)]
        status = await asyncio.to_thread(self.service.read_status)
        if sorted(status.get("pids", [])) != sorted(pids):
            return ["a worker was replaced"]
        held = [
            f"{after} descriptors instead of {first}"
            for first, after in zip(before, now, strict=True)
            if after > first
        ]
        if connections := (await providers.ask()).connections:
            held.append(f"{connections} connections to providers")
        if active := await self._read_metric("llm_proxy_active_connections"):
            held.append(f"llm_proxy_active_connections is {active:g}")
        if await self._read_metric("llm_proxy_redis_up") != 1.0:
            held.append("llm_proxy_redis_up is not 1")
        return held

    async def _read_metric(self, name: str) -> float | None:
        """Return the sum of a gauge over its labels, None if there is none."""
        client = Client(self.port)
        try:
            text = (await client.ask(build_get_request("/metrics"))).body.decode()
        finally:
            client.close()
        values = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, values)) if values else None


def main() -> int:
    raise_file_limit(4096)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        program = stack.enter_context(running_program("chaos_upstream"))
        login = ("--user", USER, "on", f">{PASSWORD}", "~*", "&*", "+@all")
        server = stack.enter_context(RedisServer(*login))
        providers = Providers(program, Calendar(), BREAKER_S)
        port, log = find_port(), folder / "chaos.log"
        config = folder / "etc" / "config.yaml"
        config.parent.mkdir()
        redis_url = server.url_for(USER, PASSWORD)
        config.write_text(build_config(port, providers.ports, redis_url, log))
        config.chmod(0o600)
        service = Service(config, folder)
        stack.callback(service.kill)
        campaign = Campaign(service, port, server)
        providers.calendar = campaign.calendar
        asyncio.run(campaign.run(providers))
        read_ending(campaign, log)
        return write_result(build_result(campaign.load, campaign.calendar, campaign.found))


def read_ending(campaign: Campaign, log: Path) -> None:
    """End the service, and judge its log."""
    service, found, load = campaign.service, campaign.found, campaign.load
    service.signal(signal.SIGTERM)
    if status := service.wait():
        found.ending.append(f"exit status {status}")
    if output := service.read_tail().strip():
        found.ending.append(f"it has printed: {output}")
    lines, found.secrets = read_log(log, SECRETS)
    found.log = check_requests(lines, load.seen, load.left)
    found.redis_log = check_redis(lines, WORKERS, count_away(campaign.calendar))
    found.loud = find_loud(lines)


def count_away(calendar: Calendar) -> int:
    """Return how often Redis was really away: emptying it is none."""
    return calendar.count(REDIS, "killed", "frozen", "read-only")


def build_result(load: Load, calendar: Calendar, found: Found) -> Result:
    """Return the page."""
    full = next(phase for phase in load.phases if phase.name == FULL_FAILURE)
    amplification = full.attempts / max(1, full.asked)
    has_recovered = found.recovery_s is not None and found.recovery_s <= RECOVERS_WITHIN_S
    well_s, away_s = (find_percentile(load.calm_s[key] or [0.0], 99) for key in (True, False))
    is_quick = 0.0 < away_s <= well_s + ADDED_WITHOUT_REDIS_S
    checks = {
        "each request ends in exactly one way": _say(load.complaints["outcome"]),
        "each answer is one provider's, and a provider that is well is enough": _say(
            load.complaints["oracle"]
        ),
        "each request has one log line, which says what its client saw": _say(found.log),
        "Redis is told of once for each change and worker": _say(found.redis_log),
        "no fault of our own is logged": _say(found.loud),
        "no secret is logged": _say(found.secrets),
        f"attempts per request at full failure, at most {MOST_AMPLIFICATION:.2f}": (
            PASSED if amplification <= MOST_AMPLIFICATION else f"{amplification:.2f}"
        ),
        f"good answers again within {RECOVERS_WITHIN_S:g} s of it": (
            PASSED if has_recovered else f"{found.recovery_s}"
        ),
        f"without Redis the p99 is at most {ADDED_WITHOUT_REDIS_S * MS:g} ms longer": (
            PASSED if is_quick else f"{away_s * MS:.0f} ms instead of {well_s * MS:.0f}"
        ),
        "everything is as at the start": _say(found.at_rest),
        "the service ends in good order": _say(found.ending),
    }
    notes = [
        *_describe(load, calendar, found.faults),
        f"At full failure {full.attempts:,} attempts for {full.asked:,} requests by the providers' "
        f"own count: {amplification:.3f} each. The first good answer to a request behind it came "
        f"after {_tell_s(found.recovery_s)}, the last refusal after {found.restored_s:.1f} s, with "
        f"`circuit_breaker_timeout: {BREAKER_S:g}`, which doubles while a deployment goes on "
        "failing; meanwhile one request at a time of each worker is let through all the same.",
        f"Calm requests, which nothing but Redis disturbs: p50 "
        f"{find_percentile(load.calm_s[True] or [0.0], 50) * MS:.1f} ms and p99 "
        f"{well_s * MS:.1f} ms with Redis ({len(load.calm_s[True]):,}), p50 "
        f"{find_percentile(load.calm_s[False] or [0.0], 50) * MS:.1f} ms and p99 "
        f"{away_s * MS:.1f} ms without ({len(load.calm_s[False]):,}).",
    ]
    title = "Everything goes wrong at random"
    rows = {name: [cell] for name, cell in checks.items()}
    return Result("chaos", title, ["serve"], rows, notes)


def _describe(load: Load, calendar: Calendar, faults: int) -> list[str]:
    times = {
        kind: calendar.count(REDIS, kind) for kind in ("killed", "frozen", "flushed", "read-only")
    }
    dead = sum(calendar.count(name) for name in PROVIDERS)
    return [
        f"{DURATION_S:g} s at {PER_S:g} requests a second, 2 workers behind one Redis, which was "
        + ", ".join(f"{kind} {count} times" for kind, count in times.items())
        + f"; a provider was wholly dead {dead} times. Half of the requests stream, a sixth are "
        "held back until they are whole, the others do not stream; two of three providers fail "
        f"one in five of them, in 15 ways: {faults:,} times. SEED={SEED}.",
        f"{load.asked:,} requests, of which {load.left:,} clients left early and {load.sure:,} had "
        "a provider that was well all the time: "
        + "; ".join(_tell_phase(phase) for phase in load.phases)
        + ".",
    ]


def _tell_phase(phase: Phase) -> str:
    return (
        f"{phase.name}: {phase.asked:,} asked, {phase.answered:,} answered, {phase.broken:,} "
        f"broken in the stream, {phase.refused:,} refused, {phase.attempts:,} attempts"
    )


def _tell_s(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.2f} s"


def _say(complaints: Sequence[str]) -> str:
    if not complaints:
        return PASSED
    return f"{len(complaints)}: {'; '.join(list(dict.fromkeys(complaints))[:5])}"


if __name__ == "__main__":
    sys.exit(main())
