"""
Many times more requests than one worker has places for: `make campaign NAME=overload`.

The real server with one worker on one core; on the other one the benchmark's mock provider and its
load generator, which offers requests at a steady rate whatever becomes of them. Each kind of load
is first offered as much as is answered best, then several times that, in turns. `--seconds 3
--rounds 1 --load small` is a trial, which writes no result.
"""

import json
import os
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.cores import choose_cores, pinned_to
from bench.readiness import find_free_port
from bench.toolchain import Tools, build_tools
from campaigns.base import PASSED, Result, print_result, write_result
from campaigns.ground.caller import find_percentile
from campaigns.ground.kernel import raise_file_limit
from campaigns.ground.overload_loads import LOADS, Load
from campaigns.ground.service import Service
from campaigns.ground.soak.watch import read_process
from tests.end_to_end.served import KEY, PROVIDER_KEY

ROUNDS = 3
MEASURE_S, SETTLE_S = 6.0, 3.0
CONNECTIONS = 2500
"""Of the load generator when it offers a rate: more than are ever waiting for an answer."""
LEAST_GOODPUT = 0.9
MOST_REFUSAL_MS, MOST_HEALTH_MS = 20.0, 50.0
HEALTH_EACH_S = 0.02
CORES = choose_cores(os.sched_getaffinity(0))
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


class Measured(Struct, frozen=True):
    """What the load generator has seen; times are microseconds."""

    ok: int
    err: int
    started: int
    unsent: int
    refused: int
    elapsed: float
    rps: float
    p50: float
    p99: float
    refused50: float
    refused99: float
    lg_cpu: float


class Turn(Struct, frozen=True):
    """One time that a load was offered."""

    measured: Measured
    health_ms: Sequence[float]
    busy_share: float
    """Of the worker's core."""

    @property
    def health_p99_ms(self) -> float:
        """Of the answers of /health."""
        return find_percentile(self.health_ms, 99)

    @property
    def others(self) -> int:
        """Requests that were neither answered nor refused."""
        return self.measured.err - self.measured.refused


class HealthCaller:
    """Asks for /health all the time, as a load balancer does, and measures each answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.times_ms: list[float] = []

    def __enter__(self) -> "HealthCaller":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=30.0) as client:
            while not self._over.wait(HEALTH_EACH_S):
                started_s = time.perf_counter()
                client.sendall(HEALTH)
                answer = client.recv(65_536)
                self.times_ms.append((time.perf_counter() - started_s) * 1000)
                if not answer.startswith(b"HTTP/1.1 200 "):
                    raise AssertionError(f"/health was not answered: {answer[:200]!r}")


class Campaign:
    """One service with one worker, which is asked for one load."""

    def __init__(self, tools: Tools, load: Load, port: int, pid: int, seconds: float) -> None:
        self._tools = tools
        self._load = load
        self._port = port
        self._pid = pid
        self._seconds = seconds

    def find_best(self) -> int:
        """Return how many at once are answered best while /health is in time."""
        turns = {at_once: self.measure_peak(at_once) for at_once in self._load.at_once}
        in_time = [each for each in turns if turns[each].health_p99_ms <= MOST_HEALTH_MS]
        return max(in_time or turns, key=lambda each: turns[each].measured.rps)

    def measure_peak(self, at_once: int) -> Turn:
        """Have as many asked at once as are answered best."""
        return self._measure(*_ask_at_once(at_once))

    def offer(self, per_s: float) -> Turn:
        """Offer so many requests a second, whatever becomes of them."""
        return self._measure("-c", str(CONNECTIONS), "-q", f"{per_s:.0f}")

    def _measure(self, *options: str) -> Turn:
        busy_s, started_s = read_process(self._pid).busy_s, time.monotonic()
        with HealthCaller(self._port) as health:
            measured = self._run(*options, "-w", f"{SETTLE_S:g}", "-t", f"{self._seconds:g}")
        share = (read_process(self._pid).busy_s - busy_s) / (time.monotonic() - started_s)
        # The first seconds are left out as they are of the requests.
        skipped = int(len(health.times_ms) * SETTLE_S / (SETTLE_S + self._seconds))
        time.sleep(1.0)  # what is still under way ends, and the ceiling with it
        return Turn(measured, health.times_ms[skipped:], share)

    def _run(self, *options: str) -> Measured:
        url = f"http://127.0.0.1:{self._port}/v1/chat/completions"
        command = [str(self._tools.lg), "-u", url, "-H", f"Authorization: Bearer {KEY}"]
        done = subprocess.run(
            [*command, *self._load.options, *options],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return msgspec.json.decode(done.stdout, type=Measured)


def _ask_at_once(count: int) -> tuple[str, ...]:
    """Offer more than can be asked on so many connections: each asks again when it is answered."""
    return ("-c", str(count), "-q", "1000000")


@contextmanager
def serving(tools: Tools, limits: Mapping[str, object]) -> Iterator[tuple[int, int]]:
    """Serve on one core before the mock on the other; yield the port and the worker's number."""
    upstream, port = find_free_port(), find_free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "etc" / "config.yaml"
        config.parent.mkdir()
        provider = {
            "name": "mock",
            "type": "openai_compatible",
            "base_url": f"http://127.0.0.1:{upstream}/v1",
            "api_key": PROVIDER_KEY,
            "models": ["gpt-4o-mini"],
        }
        whole = {
            "host": "127.0.0.1",
            "port": port,
            "workers": 1,
            "health_worker": {"enabled": False},
            "api_keys": [KEY],
            "log_file": str(folder / "requests.log"),
            "limits": limits,
            "providers": [provider],
        }
        config.write_text(json.dumps(whole))
        config.chmod(0o600)
        with pinned_to(CORES.tools):
            mock = subprocess.Popen([str(tools.mock), str(upstream)], stderr=subprocess.DEVNULL)
        try:
            with pinned_to(CORES.system):
                service = Service(config, folder)
            try:
                (pid,) = service.wait_until_whole()[0]
                with pinned_to(CORES.tools):
                    yield port, pid
            finally:
                service.signal(signal.SIGTERM)
                service.wait()
        finally:
            mock.kill()
            mock.wait()


class Offer(Struct, frozen=True):
    """One load at so many times its peak: each round's peak, and what came of the overload."""

    load: Load
    times: int
    peaks: list[Turn]
    turns: list[Turn]

    @property
    def column(self) -> str:
        """Its heading in the table."""
        return f"{self.load.name}, {self.times}x"

    @property
    def shares(self) -> list[float]:
        """What was answered of what is answered at best, round by round."""
        pairs = zip(self.peaks, self.turns, strict=True)
        return [turn.measured.rps / peak.measured.rps for peak, turn in pairs]

    def find_middle(self, measure: Callable[[Turn], float]) -> float:
        """Return the median of the rounds."""
        return statistics.median(measure(turn) for turn in self.turns)


def measure(load: Load, rounds: int, seconds: float) -> list[Offer]:
    """Offer one load at each of its multiples."""
    tools = build_tools()
    with serving(tools, {}) as unbound, serving(tools, load.limits) as bound:
        free = Campaign(tools, load, *unbound, seconds)
        campaign = Campaign(tools, load, *bound, seconds)
        best = free.find_best()
        offers = [Offer(load, times, [], []) for times in load.times]
        for _ in range(rounds):
            for offer in offers:
                peak = free.measure_peak(best)
                turn = campaign.offer(offer.times * peak.measured.rps)
                print(build_line(offer, peak, turn), file=sys.stderr)
                offer.peaks.append(peak)
                offer.turns.append(turn)
    return offers


def build_line(offer: Offer, peak: Turn, turn: Turn) -> str:
    """Return what one round has measured, in words."""
    most, one = peak.measured, turn.measured
    offered = one.started + one.unsent
    return (
        f"{offer.column}: {one.rps:.0f}/s answered, of {most.rps:.0f}/s at best "
        f"({one.rps / most.rps:.0%}), p99 {one.p99 / 1000:.0f} ms; "
        f"{one.refused / one.elapsed:.0f}/s refused, p50 {one.refused50 / 1000:.1f} ms, p99 "
        f"{one.refused99 / 1000:.1f} ms; {one.unsent} of {offered} could not be sent; /health p99 "
        f"{turn.health_p99_ms:.1f} ms, at best {peak.health_p99_ms:.1f} ms; the worker had "
        f"{turn.busy_share:.0%} of its core, at best {peak.busy_share:.0%}."
    )


def build_result(offers: Sequence[Offer], command: str | None = None) -> Result:
    """Return the page."""
    rows: dict[str, list[str]] = {
        "at least 90 % of the best goodput": [],
        "refusals: p99 of at most 20 ms": [],
        "/health: p99 of at most 50 ms": [],
        "all that is offered can be sent, and is answered or refused": [],
    }
    judged = [offer for offer in offers if offer.load.is_judged]
    for offer in judged:
        share = statistics.median(offer.shares)
        refused_ms = offer.find_middle(lambda turn: turn.measured.refused99) / 1000
        health_ms = offer.find_middle(lambda turn: turn.health_p99_ms)
        unsent = max(turn.measured.unsent for turn in offer.turns)
        others = sum(turn.others for turn in offer.turns)
        cells = (
            PASSED if share >= LEAST_GOODPUT else f"{share:.0%}",
            PASSED if refused_ms <= MOST_REFUSAL_MS else f"{refused_ms:.0f} ms",
            PASSED if health_ms <= MOST_HEALTH_MS else f"{health_ms:.0f} ms",
            PASSED if not unsent and not others else f"{unsent} not sent, {others} neither",
        )
        for row, cell in zip(rows.values(), cells, strict=True):
            row.append(cell)
    notes = [
        "One worker on one core; on the other one the mock provider, a caller of /health each "
        "20 ms, and the load generator. Right before each overload the best goodput is measured: "
        "the most that is answered while /health is in time, on a service of its own without "
        "these limits. "
        "Median of the rounds; times begin when a request is sent. "
        + "; ".join(f"`{each.name}`: {each.what}" for each in _list_loads(offers))
        + ".",
        *_list_lines(judged),
    ]
    for load in _list_loads(offers):
        if not load.is_judged:
            lines = _list_lines([offer for offer in offers if offer.load is load])
            notes += ["Not judged, but told: " + " ".join(load.notes), *lines]
    columns = [offer.column for offer in judged]
    title = "Many times more requests than one worker has places for"
    return Result("overload", title, columns, rows, notes, command)


def _list_lines(offers: Sequence[Offer]) -> list[str]:
    """Return one note with a line for each round; nothing where there is no round."""
    lines = [
        f"- {build_line(offer, peak, turn)}"
        for offer in offers
        for peak, turn in zip(offer.peaks, offer.turns, strict=True)
    ]
    return ["\n".join(lines)] if lines else []


def _list_loads(offers: Sequence[Offer]) -> list[Load]:
    return list({offer.load.name: offer.load for offer in offers}.values())


def main() -> int:
    parser = ArgumentParser(prog="python -m campaigns.overload")
    parser.add_argument("--seconds", type=float, default=MEASURE_S)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--load", action="append", choices=[load.name for load in LOADS])
    given = parser.parse_args()
    # What was started is stopped also where somebody ends this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raise_file_limit(3 * CONNECTIONS)
    offers = []
    for load in LOADS:
        if not given.load or load.name in given.load:
            offers += measure(load, given.rounds, given.seconds)
    if len(sys.argv) == 1:
        niceness = f"nice -n {os.nice(0)} " if os.nice(0) else ""
        return write_result(build_result(offers, f"{niceness}make campaign NAME=overload"))
    trial = shlex.join(("python", "-m", "campaigns.overload", *sys.argv[1:]))
    return print_result(build_result(offers, trial))


if __name__ == "__main__":
    sys.exit(main())
