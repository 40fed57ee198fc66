"""The verdict of the campaign of soak, its configuration, its provider, and how it ends."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from argparse import Namespace
from collections import Counter, deque
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from campaigns.base import ROOT, build_page
from campaigns.ground.soak.accounts import Numbers
from campaigns.ground.soak.client import Ask, Connection
from campaigns.ground.soak.found import Found, Rest
from campaigns.ground.soak.load import Load
from campaigns.ground.soak.log import LogCounts
from campaigns.ground.soak.page import build_result
from campaigns.ground.soak.plan import PROVIDERS, Order, build_request, choose_alias, judge
from campaigns.ground.soak.verdict import find_trend
from campaigns.ground.soak.watch import Process, Sample
from campaigns.ground.upstream import RunningProgram, running_program
from campaigns.programs.soak_upstream import Counts, PortCounts
from campaigns.soak import MINUTES, SLOTS, build_config, build_trial
from proxy.config.load import load_config
from proxy.domain.identity import KeyHasher

LASTS_S = 3600.0
MIB = 2**20
AT = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
WORKER_ROW = "RSS of the worker stays within 5% all the time"
TRANSPORTS = ("httptools", "aiohttp")


def build_samples(grows_bytes_per_s: float = 0.0) -> list[Sample]:
    """Return what an hour shows of a worker that grows so fast, after it has filled up."""
    samples = []
    for at_s in range(0, int(LASTS_S), 10):
        filled = min(1.0, at_s / 300) * 20 * MIB
        worker = int(60 * MIB + filled + at_s * grows_bytes_per_s)
        process = Process(worker, worker, 120, 8, at_s / 2)
        supervisor = Process(50 * MIB, 20 * MIB, 20, 3, 1.0)
        samples.append(Sample(float(at_s), process, supervisor, 80, 60))
    return samples


def build_found(samples: list[Sample]) -> tuple[Found, Load]:
    """Return what the campaign sees if all is well."""
    found = Found(LASTS_S, is_half=True, per_s=500.0, took_s=LASTS_S, samples=samples)
    found.busy_share = 0.5
    found.before = Rest(30, 20, 4)
    # Each provider: 1000 requests of its own, of which 2 were refused or lost as the first, 2 that
    # its twin has refused or lost, 3 on stale connections; and 50 of clients that leave.
    one = PortCounts(requests=1005, leaving=48, refused=1, lost_new=1, lost_pooled=1, hasty=2)
    found.counts = Counts([msgspec.structs.replace(one) for _ in PROVIDERS], repeated=12)
    some = dict.fromkeys(PROVIDERS, 2)
    attempts = dict.fromkeys(PROVIDERS, 1052)
    found.numbers = Numbers(attempts, some, dict(some), 8, 0, 4200)
    load = Load(1, ["first"], 1)
    load.failing, load.left = 12, 200
    for name in PROVIDERS:
        load.asked_by_alias.update({name: 3, f"only-{name}": 997, f"leaving-{name}": 50})
    stayed = {name: 1002 for name in PROVIDERS}
    left = {name: 50 for name in PROVIDERS}
    found.log_counts = LogCounts(Counter(load.asked_by_alias), Counter(stayed), Counter(left))
    return found, load


def test_an_hour_without_a_fault_passes() -> None:
    """A worker that fills up first and then stays is flat; every check holds."""
    result = build_result(*build_found(build_samples()), TRANSPORTS)
    assert result.failures == []


def test_memory_that_grows_is_found() -> None:
    """6 MiB an hour on 80 is more than 5 % from the first part to the last; 2 MiB is not."""
    leaking = build_result(*build_found(build_samples(6 * MIB / LASTS_S)), TRANSPORTS)
    assert leaking.failures == [WORKER_ROW]
    assert build_result(*build_found(build_samples(2 * MIB / LASTS_S)), TRANSPORTS).failures == []


@pytest.mark.parametrize("change", [0.1, -0.1])
def test_a_hump_in_between_is_found(change: float) -> None:
    """Memory that is a tenth more, or less, for ten minutes in the middle is not flat."""
    points = [
        (each.at_s, 100.0 * (1 + change) if 1500 <= each.at_s < 2100 else 100.0)
        for each in build_samples()
    ]
    trend = find_trend(points, LASTS_S)
    assert trend is not None
    assert trend.change == 0.0
    assert trend.most_change == pytest.approx(change)
    assert not trend.is_flat


def test_a_trend_needs_each_of_its_parts() -> None:
    """Nothing is flat that was not looked at early, late and all the time between."""
    points = [(each.at_s, 1.0) for each in build_samples()]
    assert find_trend(points[:100], LASTS_S) is None
    assert find_trend([each for each in points if not 1500 < each[0] < 2100], LASTS_S) is None
    assert find_trend([], LASTS_S) is None
    trend = find_trend([(at_s, 100.0 + at_s) for at_s, _ in points], LASTS_S)
    assert trend is not None
    assert trend.slope_per_s == pytest.approx(1.0)
    assert not trend.is_flat


def test_whatever_is_left_or_went_wrong_fails() -> None:
    """Each thing that the campaign looks at can make it fail, alone."""
    lists = ("left", "slots", "faults", "log", "ending")
    for name in lists:
        found, load = build_found(build_samples())
        getattr(found, name).append("1 too many")
        assert len(build_result(found, load, TRANSPORTS).failures) == 1, name
    changes = {
        "busy_share": 0.1,
        "took_s": 10.0,
        "wanted_per_s": 530.0,
        "samples": [],
        "log_counts": LogCounts(),
        "numbers": Numbers(),
        "counts": Counts([PortCounts() for _ in PROVIDERS]),
    }
    for name, value in changes.items():
        found, load = build_found(build_samples())
        setattr(found, name, value)
        assert build_result(found, load, TRANSPORTS).failures, name
    found, load = build_found(build_samples())
    load.errors = 1
    assert build_result(found, load, TRANSPORTS).failures
    assert build_result(*build_found(build_samples()), ("aiohttp", "aiohttp")).failures


@pytest.mark.parametrize("words", [("--minutes", "2"), ("--rate", "150"), ("--leak", "1")])
def test_a_trial_is_no_result(words: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever differs from the whole campaign has its own command and title on the page."""
    monkeypatch.setattr(sys, "argv", ["soak.py", *words])
    values = {"minutes": MINUTES, "rate": None, "leak": 0.0, words[0][2:]: float(words[1])}
    trial = build_trial(Namespace(**values))
    assert trial == f"python -m campaigns.soak {' '.join(words)}"
    result = build_result(*build_found(build_samples()), TRANSPORTS, trial)
    page = build_page(result, AT)
    assert f"- Command: `{trial}`\n" in page
    assert "make campaign" not in page
    assert page.startswith("# A trial")


def test_the_whole_campaign_is_no_trial() -> None:
    """Without any argument its result counts."""
    assert build_trial(Namespace(minutes=MINUTES, rate=None, leak=0.0)) is None


def test_nothing_runs_on_after_sigterm() -> None:
    """The service, its worker, Redis and the providers end with the campaign."""
    command = [sys.executable, "-m", "campaigns.soak", "--minutes", "1", "--rate", "5"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    running: list[int] = []
    try:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("it serves")
        running = [os.pidfd_open(pid) for pid in list_descendants(process.pid)]
        assert len(running) >= 4
        process.send_signal(signal.SIGTERM)
        assert process.wait(30.0) == 128 + signal.SIGTERM
        for each in list(running):
            if select.select([each], [], [], 5.0)[0]:
                running.remove(each)
                os.close(each)
        assert running == []
    finally:
        for each in running:
            signal.pidfd_send_signal(each, signal.SIGKILL)
        process.kill()
        process.communicate()


def list_descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    children: list[int] = []
    for each in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (each / "children").read_text().split()):
            children += [child, *list_descendants(child)]
    return children


def test_the_configuration_is_a_good_one(tmp_path: Path) -> None:
    """`serve` takes it as it is: only what is to fail has another provider to go to."""
    path = tmp_path / "config.yaml"
    path.write_text(build_config(8000, (1, 2, 3, 4), "redis://127.0.0.1:1", tmp_path / "log"))
    loaded = load_config(path, {}, KeyHasher(b"p" * 32), now_at=0.0)
    groups = loaded.snapshot.groups
    for name in PROVIDERS:
        targets = [each.provider.name for each in groups[name].deployments]
        assert targets[0] == name
        assert len(set(targets)) == 2
        for trouble in ("none", "hasty", "leaving"):
            alias = choose_alias(name, trouble)
            assert [each.provider.name for each in groups[alias].deployments] == [name]
    assert {each.max_retries for each in loaded.snapshot.providers.values()} == {0}
    assert {each.pool.max_connections for each in loaded.snapshot.providers.values()} == {SLOTS}


async def ask(port: int, order: Order, idle: "deque[Connection]") -> str | None:
    """Ask the provider itself; return what is wrong."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str | None] = loop.create_future()

    def take(_: Ask, status: int, body: bytes, complaint: str | None) -> None:
        body = body.replace(b'"choices":[],', b"")
        if complaint is None and b'"usage"' in body and order.kind == "stream":
            events = body.split(b"\n\n")
            body = b"\n\n".join(each for each in events if b'"usage"' not in each)
        done.set_result(complaint or judge(order, status, body))

    asked = Ask(build_request(order, "first"), take, loop.time())
    if idle:
        idle.popleft().ask(asked)
    else:
        await loop.create_connection(lambda: Connection(idle, asked), "127.0.0.1", port)
    return await asyncio.wait_for(done, 20.0)


def read_counts(program: RunningProgram, command: str = "count") -> Counts:
    """Tell the provider something, and return its counts."""
    return msgspec.json.decode(program.ask(command), type=Counts)


async def test_the_provider_fails_once_and_counts() -> None:
    """
    A reset, a cut and a refusal come once for each tag, however often that is asked for: what a
    second attempt lost on a stale connection is sent a third time. The connection serves on.
    """
    idle: deque[Connection] = deque()
    with running_program("soak_upstream") as program:
        port = int(program.read_line().split()[0])
        assert await ask(port, Order("stream", "none", "tag-00000001"), idle) is None
        assert len(idle) == 1
        for number, trouble in enumerate(("busy", "reset", "cut"), start=2):
            order = Order("whole", trouble, f"tag-{number:08d}")
            complaint = await ask(port, order, idle)
            assert complaint is not None
            assert complaint.startswith("status 503" if trouble == "busy" else ("closed", "broken"))
            for _ in range(2):
                assert await ask(port, order, idle) is None
        counts = read_counts(program)
        assert (counts.failed, counts.repeated) == (3, 3)
        (seen, *_) = counts.ports
        assert (seen.requests, seen.refused, seen.lost_pooled, seen.lost_new) == (10, 1, 2, 0)
        assert await ask(port, Order("whole", "cut", "tag-00000005"), deque()) is not None
        assert read_counts(program).ports[0].lost_new == 1
        while idle:
            idle.pop().close()


async def test_what_is_held_is_counted_until_it_is_released() -> None:
    """The provider tells how many it holds at a time, and answers them when it is told to."""
    idle: deque[Connection] = deque()
    with running_program("soak_upstream") as program:
        port = int(program.read_line().split()[0])
        asks = [
            asyncio.create_task(ask(port, Order("held", "none", f"tag-{number:08d}"), idle))
            for number in range(3)
        ]
        # The provider tells only who asks it.
        while read_counts(program).ports[0].held < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert read_counts(program, "release").ports[0].held == 0
        assert await asyncio.gather(*asks) == [None] * 3
        while idle:
            idle.pop().close()
