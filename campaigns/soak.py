"""
An hour at half load, over both transports: `make campaign NAME=soak`.

Nothing may grow, be lost or go wrong, whatever clients and providers do meanwhile: leave in the
middle, reset, refuse, close what is idle. `--minutes 2 --rate 200` is a trial, which writes no
result; `--leak 1` has one client a second never end, which the campaign must find.
"""

import asyncio
import json
import shlex
import signal
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import TimeoutExpired
from types import FrameType
from typing import Any, NoReturn, get_args

import msgspec
import uvloop

from campaigns.base import print_result, write_result
from campaigns.ground.client import Broken
from campaigns.ground.kernel import raise_file_limit
from campaigns.ground.service import Service
from campaigns.ground.soak.accounts import read_numbers
from campaigns.ground.soak.found import Found, Rest
from campaigns.ground.soak.load import Load
from campaigns.ground.soak.log import RotatedLog
from campaigns.ground.soak.page import build_result
from campaigns.ground.soak.plan import (
    FAILING,
    LEAVING,
    MODEL,
    OTHER_ONE,
    PROVIDERS,
    choose_alias,
)
from campaigns.ground.soak.watch import (
    Sample,
    find_metric,
    read_metrics,
    read_process,
    take_sample,
)
from campaigns.ground.upstream import RunningProgram, running_program
from campaigns.programs.soak_upstream import Counts
from proxy.config.provider_schema import ProviderEntry
from tests.end_to_end.served import KEY, PROVIDER_KEY
from tests.fakes.ports import find_port
from tests.fakes.redis_server import RedisServer
from tests.fakes.tls_relay import AUTHORITY

MINUTES = 60.0
SEED = 20_261_127
KNOWN_TRANSPORTS = get_args(ProviderEntry.model_fields["transport"].annotation)
TRANSPORTS = (KNOWN_TRANSPORTS[0], KNOWN_TRANSPORTS[-1])
TLS_PART = 5
"""One in so many requests goes to a provider over TLS."""
SLOTS = 400
"""Connections that may be in use to one provider; several times what the load needs."""
SLOT_STEP = 20
"""So many are taken at once: hundreds of TLS handshakes at one time hold everybody up."""
SLOTS_WITHIN_S = 5.0
EXTRA = 4
"""Requests beyond that, which have to wait for a slot."""
HALF = 0.5
"""Of one core: the load is as many requests as keep the worker busy for so much of the time."""
FIRST_PER_S = 150.0
CALIBRATIONS_S = (4.0, 6.0, 8.0)
"""Each goes by what a request has cost in the one before: a batch of many costs less."""
ROTATE_EACH_S = 60.0
REST_WITHIN_S = 60.0
STOPPED_WITHIN_S = 20.0
LOOK_S = 6.0
"""The worker counts its tasks every 5 s."""


def build_config(port: int, ports: Sequence[int], redis_url: str, log: Path) -> str:
    """
    Return the text of the configuration.

    Each provider has three routes: its twin is the next one in the first only. No provider is
    asked again by the pipeline, which would hide an attempt that failed by itself.
    """
    providers = [
        {
            "name": name,
            "type": "openai_compatible",
            "base_url": f"{'https' if name.endswith('tls') else 'http'}://127.0.0.1:{each}/v1",
            "api_key": PROVIDER_KEY,
            "models": [MODEL],
            "transport": TRANSPORTS[index % 2],
            "max_connections": SLOTS,
            "max_retries": 0,
        }
        for index, (name, each) in enumerate(zip(PROVIDERS, ports, strict=True))
    ]
    routes = []
    for name in PROVIDERS:
        targets = [{"provider": name, "model": MODEL, "priority": 1}]
        for trouble in ("none", LEAVING):
            routes.append({"alias": choose_alias(name, trouble), "targets": targets})
        other = {"provider": OTHER_ONE[name], "model": MODEL, "priority": 2}
        alias = choose_alias(name, min(FAILING))
        routes.append({"alias": alias, "targets": [*targets, other]})
    config: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "workers": 1,
        "log_file": str(log),
        "api_keys": [KEY],
        "rate_limit_rpm": 1_000_000,
        "redis_url": redis_url,
        "max_connections": SLOTS * len(PROVIDERS),
        "limits": {"max_in_flight": 2 * SLOTS * len(PROVIDERS)},
        "routes": routes,
        "providers": providers,
    }
    return json.dumps(config, indent=1)


class Campaign:
    """One service with one worker, one Redis, four providers."""

    def __init__(self, service: Service, port: int, program: RunningProgram, log: RotatedLog):
        self.service = service
        self.port = port
        plain = [name for name in PROVIDERS if not name.endswith("tls")]
        shares = [*plain * (TLS_PART - 1), *(name for name in PROVIDERS if name not in plain)]
        self.load = Load(port, shares, SEED)
        self._program = program
        self._log = log
        self._worker = 0

    async def run(self, found: Found, per_s: float | None, leak_per_s: float) -> None:
        """Find the rate, keep it up, and look at what is left when all has ended."""
        (self._worker,) = (await asyncio.to_thread(self.service.wait_until_whole))[0]
        print(f"it serves on port {self.port}", file=sys.stderr)
        await self._wait_for_redis()
        self.load.start(FIRST_PER_S)
        found.per_s = per_s or await self._find_half()
        if per_s:
            self.load.per_s = per_s
            await asyncio.sleep(sum(CALIBRATIONS_S))
        await self.load.stop()
        found.before = await self._wait_for_rest(None)
        await self._keep_up(found, leak_per_s)
        rest = await self._wait_for_rest(found.before)
        found.left = await self._find_left(found.before, rest)
        found.slots = await self._find_lost_slots()
        found.counts = await self._ask("count")
        found.numbers = read_numbers(await read_metrics(self.port))

    async def _wait_for_redis(self) -> None:
        until_s = time.monotonic() + REST_WITHIN_S
        while find_metric(await read_metrics(self.port), "llm_proxy_redis_up") != 1.0:
            if time.monotonic() > until_s:
                raise SystemExit("the service does not use the Redis of its configuration")
            await asyncio.sleep(0.1)

    async def _find_half(self) -> float:
        """Return how many requests a second keep the worker busy for half of the time."""
        for lasts_s in CALIBRATIONS_S:
            await asyncio.sleep(1.0)  # until requests of this rate are under way
            begun, asked = read_process(self._worker).busy_s, self.load.asked
            await asyncio.sleep(lasts_s)
            busy_s = read_process(self._worker).busy_s - begun
            self.load.per_s = HALF * (self.load.asked - asked) / max(busy_s, 0.01)
        return self.load.per_s

    async def _keep_up(self, found: Found, leak_per_s: float) -> None:
        """Ask at the rate for as long as is wanted, and look at the service all the time."""
        load = self.load
        load.behind_s = load.slowest_s = load.most_at_once = 0
        first, begun_s = load.asked, time.monotonic()
        busy_s = read_process(self._worker).busy_s
        found.wanted_per_s = found.per_s
        load.start(found.wanted_per_s)
        each_s = min(10.0, max(1.0, found.lasts_s / 60))
        rotate_s, leaked = ROTATE_EACH_S, 0
        try:
            while (at_s := time.monotonic() - begun_s) < found.lasts_s:
                try:
                    sample = await take_sample(at_s, self.port, self._worker, self.service.pid)
                except Broken as error:
                    found.faults.append(f"/metrics at {at_s:.0f} s: {error.what}")
                else:
                    found.samples.append(sample)
                    _tell(sample, load)
                if at_s > rotate_s:
                    rotate_s += ROTATE_EACH_S
                    await self._log.rotate(self.service)
                while leaked < at_s * leak_per_s:
                    leaked += 1
                    load.hold(PROVIDERS[leaked % 2])
                await asyncio.sleep(min(each_s, max(0.0, found.lasts_s - at_s)))
            found.took_s = time.monotonic() - begun_s
            found.busy_share = (read_process(self._worker).busy_s - busy_s) / found.took_s
            found.per_s = (load.asked - first) / found.took_s
        finally:
            await load.stop()
        text = await read_metrics(self.port)
        found.faults += _find_faults(text)
        found.redis_errors = int(find_metric(text, "llm_proxy_redis_errors_total"))

    async def _wait_for_rest(self, wanted: Rest | None) -> Rest:
        """
        Wait until nothing is under way, and return what is held then.

        Nothing announces rest: without `wanted` it has come when two looks see the same.
        """
        until_s = time.monotonic() + REST_WITHIN_S
        rest, last = None, None
        while time.monotonic() < until_s and (rest is None or rest != (wanted or last)):
            last = rest
            await asyncio.sleep(LOOK_S)
            if any(each.connections for each in (await self._ask("count")).ports):
                continue
            rest = await self._look()
        return rest or await self._look()

    async def _look(self) -> Rest:
        sample = await take_sample(0.0, self.port, self._worker, self.service.pid)
        return Rest(sample.worker.descriptors, sample.supervisor.descriptors, sample.tasks)

    async def _find_left(self, before: Rest, rest: Rest) -> list[str]:
        names = before.__struct_fields__
        pairs = [(name, getattr(before, name), getattr(rest, name)) for name in names]
        left = [f"{now} {name} instead of {then}" for name, then, now in pairs if now != then]
        ports = (await self._ask("count")).ports
        left += [
            f"{each.connections} connections to {name}"
            for name, each in zip(PROVIDERS, ports, strict=True)
            if each.connections
        ]
        text = await read_metrics(self.port)
        if active := find_metric(text, "llm_proxy_active_connections"):
            left.append(f"llm_proxy_active_connections is {active:g}")
        status = await asyncio.to_thread(self.service.read_status)
        if status.get("pids") != [self._worker]:
            left.append("the worker was replaced")
        return left

    async def _find_lost_slots(self) -> list[str]:
        """Take every slot of every cap at the same time, and see that there is none beyond."""
        errors = self.load.errors
        for wanted in range(SLOT_STEP, SLOTS + 1, SLOT_STEP):
            self._hold_more(SLOT_STEP)
            if not await self._wait_until_held(wanted):
                break
        self._hold_more(EXTRA)
        await asyncio.sleep(1.0)  # shorter than they wait for a slot
        ports = (await self._ask("count")).ports
        lost = [
            f"{each.held} of {SLOTS} connections to {name} could be had at once"
            for name, each in zip(PROVIDERS, ports, strict=True)
            if each.held != SLOTS
        ]
        for _ in range(20):
            await self._ask("release")
            await self.load.wait_for_answers(0.5)
        if unanswered := self.load.errors - errors:
            lost.append(f"{unanswered} not answered: {self.load.complaints[-1:]}")
        return lost

    def _hold_more(self, count: int) -> None:
        for name in PROVIDERS:
            for _ in range(count):
                self.load.hold(name)

    async def _wait_until_held(self, wanted: int) -> bool:
        """Wait until every provider holds so many requests, and say whether it does."""
        until_s = time.monotonic() + SLOTS_WITHIN_S
        while time.monotonic() < until_s:
            if min(each.held for each in (await self._ask("count")).ports) >= wanted:
                return True
            await asyncio.sleep(0.05)
        return False

    async def _ask(self, command: str) -> Counts:
        text = await asyncio.to_thread(self._program.ask, command)
        return msgspec.json.decode(text, type=Counts)


def _find_faults(text: str) -> list[str]:
    names = ("llm_proxy_loop_blocked_total", "llm_proxy_log_lines_dropped_total")
    values = {name: find_metric(text, name) for name in names}
    values["openings of breakers"] = find_metric(
        text, "llm_proxy_breaker_changes_total", state="open"
    )
    return [f"{name} is {value:g}" for name, value in values.items() if value]


def _tell(sample: Sample, load: Load) -> None:
    """Say how it goes, to whoever looks on."""
    print(
        f"{sample.at_s:6.0f} s: worker {sample.worker.resident_bytes / 2**20:.1f} MiB, "
        f"{sample.worker.descriptors} descriptors, {sample.tasks} tasks, {sample.under_way} under "
        f"way; {load.asked:,} asked, {load.errors} errors",
        file=sys.stderr,
    )


def read_arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m campaigns.soak")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--rate", type=float, help="requests a second, instead of half load")
    parser.add_argument("--leak", type=float, default=0.0, help="requests a second that never end")
    return parser.parse_args()


def build_trial(arguments: Namespace) -> str | None:
    """Return the command if it is not the campaign as it must be run, whose result counts."""
    if (arguments.minutes, arguments.rate, arguments.leak) == (MINUTES, None, 0.0):
        return None
    return shlex.join(("python", "-m", "campaigns.soak", *sys.argv[1:]))


def end(number: int, frame: FrameType | None) -> NoReturn:
    """Unwind, so that nothing is left running: a signal by itself would end this process only."""
    raise SystemExit(128 + number)


def stop(service: Service) -> None:
    """End the service with its worker, if they still run: killed it would leave that behind."""
    with suppress(TimeoutExpired):
        service.signal(signal.SIGTERM)
        service.wait(STOPPED_WITHIN_S)
    service.kill()


def main() -> int:
    arguments = read_arguments()
    signal.signal(signal.SIGTERM, end)
    raise_file_limit(8192)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        program = stack.enter_context(running_program("soak_upstream"))
        ports = [int(word) for word in program.read_line().split()]
        server = stack.enter_context(RedisServer())
        port, log = find_port(), RotatedLog(folder / "soak.log")
        config = folder / "etc" / "config.yaml"
        config.parent.mkdir()
        config.write_text(build_config(port, ports, server.url, log.path))
        config.chmod(0o600)
        service = Service(config, folder, variables={"SSL_CERT_FILE": str(AUTHORITY)})
        stack.callback(stop, service)
        campaign = Campaign(service, port, program, log)
        found = Found(arguments.minutes * 60, is_half=arguments.rate is None)
        uvloop.run(campaign.run(found, arguments.rate, arguments.leak))
        service.signal(signal.SIGTERM)
        if status := service.wait():
            found.ending.append(f"exit status {status}")
        if output := service.read_tail().strip():
            found.ending.append(f"it has printed: {output}")
        log.read_rest()
        found.log, found.log_counts = log.complaints, log.counts
        trial = build_trial(arguments)
        result = build_result(found, campaign.load, TRANSPORTS, trial)
        return write_result(result) if trial is None else print_result(result)


if __name__ == "__main__":
    sys.exit(main())
