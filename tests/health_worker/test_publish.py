"""What a health worker tells reaches the proxies, once it leads and as long as it does."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

import pytest

from health_worker.publish import LIVES_S, LinkPublisher, NoPublisher, Publisher, RedisPublisher
from proxy.control.messages import Verdicts
from proxy.domain.health import HealthNews, HealthOrder
from proxy.stores.redis_link import RedisLink
from proxy.stores.verdict_messages import LEASE_KEY, ORDERS_CHANNEL
from tests.fakes.redis_server import RedisServer
from tests.health_worker.publisher_process import LEASE_S
from tests.promises.tree import ROOT
from tests.stores.links import PATIENT_S
from tests.stores.redis_stores import until
from tests.stores.redis_verdicts import RedisVerdictGround, opened_verdicts
from tests.stores.verdict_contract import Clock, build_verdict

pytestmark = pytest.mark.usefixtures("no_leaks")

Order = tuple[HealthOrder, tuple[str, ...], str]


class Voice:
    """A publisher with the link that is its alone, a clock, and the orders that it was given."""

    def __init__(self, publisher: RedisPublisher, link: RedisLink, clock: Clock) -> None:
        self.publisher = publisher
        self.link = link
        self.clock = clock
        self.orders: list[Order] = []
        publisher.on_order = lambda *order: self.orders.append(order)

    async def lead(self) -> int:
        """Have it lead, and return its fence."""
        assert await self.publisher.lead()
        return self.publisher._fence


class Ground:
    """A store that hears, and what opens publishers for it."""

    def __init__(self, server: RedisServer, hearer: RedisVerdictGround, stack: AsyncExitStack):
        self.server = server
        self.hearer = hearer
        self._stack = stack

    async def open_voice(self, renew_s: float = 3600.0) -> Voice:
        """Open a publisher that has joined Redis; its clock stands still."""
        clock = Clock()
        link = RedisLink(self.server.unix_url, operation_s=PATIENT_S)
        publisher = RedisPublisher(link, renew_s=renew_s, read_clock_s=clock.read_s)
        voice = Voice(publisher, link, clock)
        before = self._count_listeners()
        link.start()
        self._stack.push_async_callback(link.close)
        self._stack.push_async_callback(publisher.close)
        assert await link.wait_joined(PATIENT_S)
        await until(lambda: self._count_listeners() > before)
        return voice

    async def until_state(self, state: str | None, name: str = "acme") -> None:
        """Wait until the store believes a provider to be in a state."""
        await until(lambda: self.hearer.find_state(name) == state)

    def end_lease(self) -> None:
        """Have the time of whoever leads be over in Redis."""
        assert self.server.command("DEL", LEASE_KEY) == 1

    def _count_listeners(self) -> int:
        return int(self.server.command("PUBSUB", "NUMSUB", ORDERS_CHANNEL)[1])


@asynccontextmanager
async def opened_ground(server: RedisServer) -> AsyncIterator[Ground]:
    """Open a store that hears, and close all publishers before it."""
    async with opened_verdicts(server, Clock()) as hearer, AsyncExitStack() as stack:
        yield Ground(server, hearer, stack)


@pytest.fixture
async def ground(redis_server: RedisServer) -> AsyncIterator[Ground]:
    """Return a ground over an empty Redis."""
    async with opened_ground(redis_server) as opened:
        yield opened


async def test_the_child_of_a_supervisor_tells_it_everything() -> None:
    """It leads always, numbers what it says, and begins later than any child before it."""
    told: list[HealthNews] = []

    def send(message: Verdicts) -> None:
        told.append(message.news)

    publisher: Publisher = LinkPublisher(send)
    assert publisher.is_leading and await publisher.lead()
    verdict = build_verdict()
    assert await publisher.tell([verdict], answered=["an-order"])
    assert await publisher.tell([], is_suspect=True)
    assert await publisher.tell((), is_cleared=True)
    await publisher.close()
    fence = told[0].fence
    assert await LinkPublisher(send).tell([])
    assert told.pop().fence > fence
    assert told == [
        HealthNews(fence, 1, (verdict,), LIVES_S, answered=("an-order",)),
        HealthNews(fence, 2, (), LIVES_S, is_suspect=True),
        HealthNews(fence, 3, (), LIVES_S, is_cleared=True),
    ]


async def test_one_that_stands_alone_leads_and_tells_nobody() -> None:
    """Without Redis and without a supervisor nothing fails, and nobody hears."""
    publisher: Publisher = NoPublisher()
    assert publisher.is_leading and await publisher.lead()
    assert await publisher.tell([build_verdict()])
    await publisher.close()


async def test_what_is_told_reaches_the_proxies(ground: Ground) -> None:
    """Verdicts, that it lives, that it doubts itself, and that everything is forgotten."""
    voice = await ground.open_voice()
    assert not voice.publisher.is_leading
    await voice.lead()
    assert voice.publisher.is_leading
    assert await voice.publisher.tell([build_verdict(), build_verdict("other")])
    await ground.until_state("healthy")
    assert ground.hearer.store.is_alive
    assert await voice.publisher.tell([], is_suspect=True)
    await until(lambda: ground.hearer.store.is_suspect)
    assert await voice.publisher.tell([build_verdict("other", "degraded")], is_cleared=True)
    await ground.until_state("degraded", "other")
    assert ground.hearer.find() is None
    assert not ground.hearer.store.is_suspect


async def test_one_leads_and_the_next_takes_over_at_once_where_it_ends_well(
    ground: Ground,
) -> None:
    """Who stands by tells nothing; with the first one's end it leads, and its word is newer."""
    first, second = await ground.open_voice(), await ground.open_voice()
    fence = await first.lead()
    assert not await second.publisher.lead()
    assert not await second.publisher.tell([build_verdict(state="unhealthy")])
    assert await first.publisher.tell([build_verdict()])
    await ground.until_state("healthy")
    await first.publisher.close()
    assert await second.lead() > fence
    assert await second.publisher.tell([])
    assert ground.hearer.find_state() == "healthy", "what it could not tell is as good as old"
    assert await second.publisher.tell([build_verdict(state="degraded")])
    await ground.until_state("degraded")


async def test_who_has_lost_the_lease_stops_with_its_next_word(ground: Ground) -> None:
    """It is refused, leads no more, and what it had to say is dropped once another one has led."""
    first, second = await ground.open_voice(), await ground.open_voice()
    await first.lead()
    assert await first.publisher.tell([build_verdict()], answered=["known"])
    ground.end_lease()
    await second.lead()
    assert not await first.publisher.tell([build_verdict(state="unhealthy")], answered=["lost"])
    assert not first.publisher.is_leading
    assert await second.publisher.tell([build_verdict(state="degraded")])
    await ground.until_state("degraded")
    ground.end_lease()
    await first.lead()
    assert await first.publisher.tell([build_verdict("other")])
    await ground.until_state("healthy", "other")
    assert ground.hearer.find_state() == "degraded"


async def test_what_was_lost_with_redis_is_told_again(ground: Ground) -> None:
    """After FLUSHDB the next lease of the same worker begins with all that it has told before,
    with what is left of its time; so do those know it who join only then."""
    voice = await ground.open_voice()
    fence = await voice.lead()
    await voice.publisher.tell([build_verdict(), build_verdict("short", lives_s=5)])
    voice.clock.now_s += 6
    ground.server.command("FLUSHDB")
    assert not await voice.publisher.tell([build_verdict("other")])
    assert not voice.publisher.is_leading
    assert await voice.lead() > fence
    assert await voice.publisher.tell([])
    async with opened_verdicts(ground.server, Clock()) as late:
        await until(lambda: late.find_state("other") == "healthy")
        found = late.find()
        assert found is not None and found.lives_s <= 174
        assert len(late.store) == 2


async def test_what_could_not_be_told_is_told_later(own_redis_server: RedisServer) -> None:
    """While Redis is away nothing is lost: verdicts, answers and a clearing come afterwards."""
    async with opened_ground(own_redis_server) as ground:
        voice = await ground.open_voice()
        await voice.lead()
        await voice.publisher.tell([build_verdict("before")])
        await ground.until_state("healthy", "before")
        own_redis_server.kill()
        assert not await voice.publisher.tell([build_verdict()], is_cleared=True)
        assert not await voice.publisher.tell([build_verdict(state="degraded")])
        assert voice.publisher.is_leading, "its lease is not over yet"
        own_redis_server.start()
        for link in (voice.link, ground.hearer.redis_store._link):
            assert await link.wait_joined(PATIENT_S)
        await voice.publisher.tell([])
        await voice.lead()
        assert await voice.publisher.tell([])
        await ground.until_state("degraded")
        assert ground.hearer.find("before") is None


async def test_who_doubts_itself_keeps_what_it_had_to_tell(ground: Ground) -> None:
    """With `is_suspect` no verdict is told; those that were left come with the next news."""
    voice = await ground.open_voice()
    await voice.lead()
    ground.hearer.changes.clear()
    assert await voice.publisher.tell([build_verdict()], is_suspect=True)
    await until(lambda: ground.hearer.store.is_suspect)
    assert ground.hearer.changes == []
    assert await voice.publisher.tell([])
    await ground.until_state("healthy")


async def test_orders_reach_whoever_leads(ground: Ground) -> None:
    """One that stands by is given those to search only; an answer ends the wait for it."""
    first, second = await ground.open_voice(), await ground.open_voice()
    await first.lead()
    asked = [
        asyncio.create_task(ground.hearer.redis_store.order(order, ("acme",), PATIENT_S))
        for order in ("check", "discover", "clear")
    ]
    await until(lambda: len(first.orders) == 3 and len(second.orders) == 1)
    assert [order for order, _, _ in first.orders] == ["check", "discover", "clear"]
    assert {names for _, names, _ in first.orders} == {("acme",)}
    assert [order for order, _, _ in second.orders] == ["discover"]
    ids = [order_id for _, _, order_id in first.orders]
    assert await first.publisher.tell([build_verdict(state="warming")], answered=ids[:2])
    await asyncio.gather(*asked[:2])
    assert ground.hearer.find_state() == "warming"
    assert not asked[2].done()
    assert await first.publisher.tell([], answered=ids[2:])
    await asked[2]


async def test_the_lease_is_renewed_while_the_worker_turns(ground: Ground) -> None:
    """A task renews it between two calls; for one that has not called for long it does not."""
    voice = await ground.open_voice(renew_s=0.01)
    await voice.lead()
    ground.server.command("PEXPIRE", LEASE_KEY, 60_000)
    await until(lambda: ground.server.command("PTTL", LEASE_KEY) < 11_000)
    voice.publisher.lives_s = 5.0
    voice.clock.now_s += 6
    assert voice.publisher.is_leading
    renewals = voice.link.ops
    looks = voice.clock.looks
    await until(lambda: voice.clock.looks > looks + 3)
    assert voice.link.ops <= renewals + 1, "one may have been under way"


class Process:
    """A publisher in a process of its own."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.health_worker.publisher_process", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )

    def ask(self, line: str) -> int:
        """Have something done, and return the answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def wait_to_lead(self) -> tuple[int, float]:
        """Ask until it leads; return its fence, and how long that took."""
        began_s = time.monotonic()
        while not (fence := self.ask("lead")):
            assert time.monotonic() - began_s < 20
        return fence, time.monotonic() - began_s

    def signal(self, number: signal.Signals) -> None:
        """Kill it, stop it, or let it go on."""
        self._process.send_signal(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def processes(redis_server: RedisServer) -> Iterator[tuple[Process, Process]]:
    """Return two that want to lead; the first one does."""
    with Process(redis_server.unix_url) as first, Process(redis_server.unix_url) as second:
        assert first.ask("lead") > 0
        assert second.ask("lead") == 0
        yield first, second


def test_i34_when_the_leader_is_killed_the_other_takes_over(
    processes: tuple[Process, Process],
) -> None:
    """The lease runs out by itself, and not before its time; the fence has grown."""
    first, second = processes
    before = first.ask("lead")
    assert first.ask("healthy") == 1
    first.signal(signal.SIGKILL)
    fence, took_s = second.wait_to_lead()
    assert fence > before
    assert LEASE_S / 2 < took_s < 10 * LEASE_S
    assert second.ask("degraded") == 1


def test_i34_one_that_was_stopped_and_goes_on_is_refused(
    processes: tuple[Process, Process],
) -> None:
    """While it stood still another one has taken over: its late word counts for nothing, and it
    takes its place behind."""
    first, second = processes
    assert first.ask("healthy") == 1
    first.signal(signal.SIGSTOP)
    second.wait_to_lead()
    assert second.ask("degraded") == 1
    first.signal(signal.SIGCONT)
    assert first.ask("!unhealthy") == 0
    assert first.ask("lead") == 0
    assert second.ask("healthy") == 1
