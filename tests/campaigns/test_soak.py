"""The verdict of the campaign of soak, its configuration, its reading of numbers, its provider."""

import asyncio
from collections import deque
from pathlib import Path

import msgspec
import pytest

from campaigns.ground.soak.client import Ask, Connection
from campaigns.ground.soak.found import Found, Rest
from campaigns.ground.soak.load import Load
from campaigns.ground.soak.page import build_result
from campaigns.ground.soak.plan import PROVIDERS, Order, build_request, judge
from campaigns.ground.soak.verdict import find_trend
from campaigns.ground.soak.watch import Process, Sample, find_metric
from campaigns.ground.upstream import RunningProgram, running_program
from campaigns.programs.soak_upstream import Counts
from campaigns.soak import SLOTS, build_config
from proxy.config.load import load_config
from proxy.domain.identity import KeyHasher

LASTS_S = 3600.0
MIB = 2**20
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
    found.attempts = dict.fromkeys(PROVIDERS, 1000)
    found.before = Rest(30, 20, 4)
    found.counts = Counts([], [], [], failed=7, repeated=7)
    found.log_lines = 4000
    load = Load(1, ["first"], 1)
    load.asked, load.failing = 4000, 7
    return found, load


def test_an_hour_without_a_fault_passes() -> None:
    """A worker that fills up first and then stays is flat; every check holds."""
    result = build_result(*build_found(build_samples()), TRANSPORTS)
    assert result.failures == []


def test_memory_that_grows_is_found() -> None:
    """6 MiB an hour on 80 is more than 5 % from the first window to the last; 2 MiB is not."""
    leaking = build_result(*build_found(build_samples(6 * MIB / LASTS_S)), TRANSPORTS)
    assert leaking.failures == ["RSS of the worker stays within 5%"]
    assert build_result(*build_found(build_samples(2 * MIB / LASTS_S)), TRANSPORTS).failures == []


def test_a_trend_needs_both_of_its_ends() -> None:
    """Nothing is flat that was not looked at early and late."""
    points = [(each.at_s, 1.0) for each in build_samples()]
    assert find_trend(points[:100], LASTS_S) is None
    assert find_trend([], LASTS_S) is None
    trend = find_trend([(at_s, 100.0 + at_s) for at_s, _ in points], LASTS_S)
    assert trend is not None
    assert trend.slope_per_s == pytest.approx(1.0)
    assert not trend.is_flat


def test_whatever_is_left_or_went_wrong_fails() -> None:
    """Each thing that the campaign looks at can make it fail, alone."""
    lists = ("left", "slots", "numbers", "log", "ending")
    for name in lists:
        found, load = build_found(build_samples())
        getattr(found, name).append("1 too many")
        assert len(build_result(found, load, TRANSPORTS).failures) == 1, name
    changes = {
        "busy_share": 0.1,
        "took_s": 10.0,
        "wanted_per_s": 530.0,
        "samples": [],
        "log_lines": 3999,
        "attempts": {"first": 1000},
        "counts": Counts([], [], [], failed=7, repeated=6),
    }
    for name, value in changes.items():
        found, load = build_found(build_samples())
        setattr(found, name, value)
        assert build_result(found, load, TRANSPORTS).failures, name
    found, load = build_found(build_samples())
    load.errors = 1
    assert build_result(found, load, TRANSPORTS).failures
    assert build_result(*build_found(build_samples()), ("aiohttp", "aiohttp")).failures


def test_numbers_are_added_over_labels() -> None:
    """A number is found by some of its labels, and is 0 where there is none."""
    text = 'a{x="1",y="2"} 3.0\na{x="1",y="3"} 4.0\nab 5.0\n# a 9\n'
    assert find_metric(text, "a") == 7.0
    assert find_metric(text, "a", y="3") == 4.0
    assert find_metric(text, "ab") == 5.0
    assert find_metric(text, "c") == 0.0


def test_the_configuration_is_a_good_one(tmp_path: Path) -> None:
    """`serve` takes it as it is: each provider has its own route, with the other one behind it."""
    path = tmp_path / "config.yaml"
    path.write_text(build_config(8000, (1, 2, 3, 4), "redis://127.0.0.1:1", tmp_path / "log"))
    loaded = load_config(path, {}, KeyHasher(b"p" * 32), now_at=0.0)
    groups = loaded.snapshot.groups
    for name in PROVIDERS:
        targets = [each.provider.name for each in groups[name].deployments]
        assert targets[0] == name
        assert len(set(targets)) == 2
        assert [each.provider.name for each in groups[f"only-{name}"].deployments] == [name]
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
    """A reset, a cut and a refusal come once for each tag; the same connection serves on."""
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
            assert await ask(port, order, idle) is None
        counts = read_counts(program)
        assert (counts.failed, counts.repeated) == (3, 3)
        assert counts.requests[0] == 7
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
        while read_counts(program).held[0] < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert read_counts(program, "release").held[0] == 0
        assert await asyncio.gather(*asks) == [None] * 3
        while idle:
            idle.pop().close()
