"""
Workers are killed and replaced, and the service is drained, under load: `make campaign NAME=kills`.

200 streams are open all the time and 100 short requests a second come in. A request may fail
only on a connection that a killed worker had accepted; which those were is the kernel's word.
KILLS, ROLLS and DRAINS say how many, for trying.
"""

import asyncio
import os
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct, field

from campaigns.base import PASSED, Result, write_result
from campaigns.ground.client import Answer, Broken, Client, build_chat_request
from campaigns.ground.kernel import (
    count_descriptors,
    find_client_ports,
    raise_file_limit,
    read_resident_bytes,
    stop_process,
)
from campaigns.ground.load import Fault, Kind, Load
from campaigns.ground.paced import LONG, LONG_EVENTS, SLOW_STREAMS, Ground
from campaigns.ground.service import Service
from campaigns.ground.upstream import running_upstream

KILLS = int(os.environ.get("KILLS", "50"))
ROLLS = int(os.environ.get("ROLLS", "20"))
DRAINS = int(os.environ.get("DRAINS", "5"))
STREAMS, PER_S = 200, 100.0
KILL_EACH_S = 3.0
"""Two workers in turn: none dies so young that its successor would have to wait."""
WARM_KILLS = 5
"""So many go by before the supervisor's memory is first looked at."""
REPLACED_WITHIN_S = 1.0
BREAKS_WITHIN_S = 5.0
"""A connection of a killed worker that breaks later was another one on the same port."""
DRAIN_TIMEOUT_S = 12.0
"""A stream that begins on a kept connection as the last one ends needs its whole time too."""
DRAIN_SLACK_S = 4.0
LONG_STREAMS = 5
MOST_GROWTH_BYTES = 4 * 2**20
MIB = 2**20
LOOKS = 5
LONG_REQUEST = build_chat_request(f"one/{LONG}")


class Kill(Struct, frozen=True):
    """One killed worker: when, and the clients' ends of the connections it had accepted."""

    at_monotonic_s: float
    ports: frozenset[int]

    def excuses(self, fault: Fault) -> bool:
        """Say whether a request failed because of it."""
        late_s = fault.at_monotonic_s - self.at_monotonic_s
        return fault.port in self.ports and 0 <= late_s <= BREAKS_WITHIN_S


class Record(Struct):
    """What the campaign has seen."""

    kills: list[Kill] = field(default_factory=list)
    replaced_s: list[float] = field(default_factory=list)
    rolled_s: list[float] = field(default_factory=list)
    drained_s: list[float] = field(default_factory=list)
    complaints: dict[str, list[str]] = field(
        default_factory=lambda: {"rolls": [], "drains": [], "long": []}
    )
    parts: list[tuple[str, float]] = field(default_factory=list)
    """When each part of the campaign began."""
    supervisor: list[tuple[int, int]] = field(default_factory=list)
    """Its resident bytes and its descriptors, early and late."""
    downtime_s: list[float] = field(default_factory=list)


class Campaign:
    """One service on one socket, which is held here all the time."""

    def __init__(self, ground: Ground, listener: socket.socket) -> None:
        self._ground = ground
        self._listener = listener
        self._port: int = listener.getsockname()[1]
        self.service = Service(ground.config, ground.folder, listener)
        self.record = Record()

    async def run(self) -> None:
        """Kill, roll and drain, in that order."""
        await self._whole()
        self._begin("kills")
        await self._kill_workers()
        self._begin("rolls")
        await self._roll_workers()
        self._begin("drains")
        for _ in range(DRAINS):
            await self._drain()

    def _begin(self, part: str) -> None:
        self.record.parts.append((part, time.monotonic()))

    async def _whole(self, without: Sequence[int] = ()) -> tuple[list[int], float]:
        return await asyncio.to_thread(self.service.wait_until_whole, without)

    async def _kill_workers(self) -> None:
        pids, _ = await self._whole()
        for number in range(KILLS):
            if number == min(WARM_KILLS, KILLS - 1):
                self.record.supervisor.append(await measure_supervisor(self.service.pid))
            oldest = pids[0]
            self.record.kills.append(kill_worker(oldest, self._port))
            found, took_s = await self._whole([oldest])
            self.record.replaced_s.append(took_s)
            pids = [*pids[1:], *(pid for pid in found if pid not in pids)]
            await asyncio.sleep(max(0.0, KILL_EACH_S - took_s))

    async def _roll_workers(self) -> None:
        for number in range(ROLLS):
            pids, _ = await self._whole()
            begun_s = time.monotonic()
            if number % 2:
                self.service.signal(signal.SIGUSR2)
            else:
                done = await asyncio.to_thread(self.service.run_command, "restart-workers")
                if done.returncode:
                    self.record.complaints["rolls"].append(done.stdout + done.stderr)
            await self._whole(pids)
            self.record.rolled_s.append(time.monotonic() - begun_s)
        self.record.supervisor.append(await measure_supervisor(self.service.pid))

    async def _drain(self) -> None:
        """End the service with streams that are longer than it waits, and start it again."""
        long = [asyncio.create_task(ask_long(self._port)) for _ in range(LONG_STREAMS)]
        await asyncio.sleep(1.0)
        begun_s = time.monotonic()
        self.service.signal(signal.SIGTERM)
        status = await asyncio.to_thread(self.service.wait)
        took_s = time.monotonic() - begun_s
        self.record.drained_s.append(took_s)
        if status:
            self.record.complaints["drains"].append(f"exit status {status}")
        if took_s > DRAIN_TIMEOUT_S + DRAIN_SLACK_S:
            self.record.complaints["drains"].append(f"it took {took_s:.1f} s")
        self.service = Service(self._ground.config, self._ground.folder, self._listener)
        _, up_s = await self._whole()
        self.record.downtime_s.append(up_s)
        self.record.complaints["long"] += filter(None, await asyncio.gather(*long))


async def measure_supervisor(pid: int) -> tuple[int, int]:
    """Return its resident bytes and its descriptors, when no command is being answered."""
    looks = []
    for _ in range(LOOKS):
        await asyncio.sleep(0.2)
        looks.append(count_descriptors(pid))
    return read_resident_bytes(pid), min(looks)


def kill_worker(pid: int, server_port: int) -> Kill:
    """Kill a worker, whose connections are those it has at this moment."""
    # Held first: what it accepts between the look and its end would be held against the others.
    stop_process(pid)
    ports = frozenset(find_client_ports(pid, server_port))
    os.kill(pid, signal.SIGKILL)
    return Kill(time.monotonic(), ports)


async def ask_long(server_port: int) -> str | None:
    """Ask for a stream that no drain waits for; return what is wrong with its end."""
    client = Client(server_port)
    try:
        answer = await client.ask(LONG_REQUEST)
    except Broken as broken:
        return broken.what
    finally:
        client.close()
    count = answer.body.count(b"data: ")
    if answer.status != 200 or b"server_shutdown" not in answer.body or count >= LONG_EVENTS:
        return f"status {answer.status}, {count} events, and ends so: {answer.body[-200:]!r}"
    return "[DONE] after an error" if b"[DONE]" in answer.body else None


def judge_short(answer: Answer) -> str | None:
    """Return what is wrong with a short answer."""
    if answer.status != 200:
        return f"status {answer.status}: {answer.body[:200]!r}"
    return None if b'"version-1"' in answer.body else f"another answer: {answer.body[:200]!r}"


def main() -> int:
    raise_file_limit(4096)
    with (
        tempfile.TemporaryDirectory() as name,
        running_upstream("paced_upstream") as upstream_port,
        socket.create_server(("127.0.0.1", 0), backlog=4096) as listener,
    ):
        port = listener.getsockname()[1]
        ground = Ground(port, upstream_port, Path(name), DRAIN_TIMEOUT_S)
        ground.config.write_text(ground.build(1))
        campaign = Campaign(ground, listener)
        try:
            return write_result(asyncio.run(measure(campaign, port)))
        finally:
            campaign.service.kill()


async def measure(campaign: Campaign, port: int) -> Result:
    """Run the campaign under its load, and return what it has found."""
    short = Kind(build_chat_request("live", is_stream=False), lambda: judge_short)
    async with Load(port, SLOW_STREAMS, STREAMS, short, PER_S) as load:
        await campaign.run()
    return build_result(campaign.record, load)


def build_result(record: Record, load: Load) -> Result:
    """Return the page: what may break, and what never does."""
    excused = [f for f in load.faults if any(kill.excuses(f) for kill in record.kills)]
    others = [f for f in load.faults if f not in excused]
    refused = [f for f in others if f.what.startswith("no connection")]
    slow_s = [s for s in record.replaced_s if s > REPLACED_WITHIN_S]
    (early_bytes, early), (late_bytes, late) = record.supervisor
    is_steady = late_bytes - early_bytes <= MOST_GROWTH_BYTES and late <= early
    growth = f"{(late_bytes - early_bytes) / MIB:+.1f} MiB, {late - early:+d} descriptors"
    rows = {
        "no connection is refused": [_say([fault.what for fault in refused])],
        "only connections that a killed worker had accepted break": [
            _say([_place(fault, record) for fault in others if fault not in refused])
        ],
        f"a killed worker is replaced within {REPLACED_WITHIN_S:g} s": [
            _say([f"{s:.2f} s" for s in slow_s])
        ],
        "each rolling restart replaces every worker": [_say(record.complaints["rolls"])],
        "each drain ends in time, with status 0": [_say(record.complaints["drains"])],
        "a stream that outlasts `drain_timeout` ends with `server_shutdown`": [
            _say(record.complaints["long"])
        ],
        "the supervisor does not grow": [PASSED if is_steady else growth],
    }
    held = sum(len(kill.ports) for kill in record.kills)
    notes = [
        f"{STREAMS} streams of four seconds are open all the time and {PER_S:g} short requests a "
        "second come in, on new connections and on kept ones; 2 workers, on a socket that is "
        f"handed over as systemd does. {load.good_streams:,} whole streams and "
        f"{load.good_requests:,} good answers, the slowest after {load.slowest_s:.1f} s, while "
        "the service was not there.",
        f"{len(record.kills)} workers were killed with SIGKILL, which had {held:,} connections; "
        f"{len(excused):,} requests broke on them. From the kill until both workers served "
        f"again: {_tell(record.replaced_s)}.",
        f"{len(record.rolled_s)} rolling restarts, by `llm-proxy restart-workers` and SIGUSR2 in "
        f"turn; until the last old worker had gone: {_tell(record.rolled_s)}.",
        f"{len(record.drained_s)} drains with `drain_timeout: {DRAIN_TIMEOUT_S:g}`, each with "
        f"{LONG_STREAMS} streams of {LONG_EVENTS / 5:g} s under way: {_tell(record.drained_s)}; "
        f"from the start to both workers: {_tell(record.downtime_s)}.",
        f"The supervisor from the fifth kill to the last rolling restart: {growth}, "
        f"{late_bytes / MIB:.1f} MiB at the end.",
    ]
    return Result("kills", "Workers that die, and a service that drains", ["serve"], rows, notes)


def _place(fault: Fault, record: Record) -> str:
    begun = [part for part, at_s in record.parts if at_s <= fault.at_monotonic_s]
    return f"{begun[-1] if begun else 'start'}: {fault.what}"


def _say(complaints: Sequence[str]) -> str:
    if not complaints:
        return PASSED
    return f"{len(complaints)}: {'; '.join(dict.fromkeys(complaints))}"


def _tell(times_s: Sequence[float]) -> str:
    if not times_s:
        return "none was measured"
    return f"median {statistics.median(times_s):.2f} s, longest {max(times_s):.2f} s"


if __name__ == "__main__":
    sys.exit(main())
