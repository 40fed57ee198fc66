"""The index is read page by page, then only what has changed, and all of it now and then."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from proxy.stores.breaker_calls import BreakerCalls
from proxy.stores.breaker_messages import (
    INDEX_KEY,
    ORDER_KEY,
    ChangeMessage,
    Entry,
    IndexPage,
    build_keys,
    name_field,
)
from proxy.stores.breaker_views import BreakerViews
from proxy.stores.index_reader import QUESTIONS, IndexReader
from proxy.stores.redis_link import RedisLink
from tests.fakes.redis_server import RedisServer
from tests.stores.breaker_contract import ID, RULES, Clock
from tests.stores.redis_stores import until

pytestmark = pytest.mark.usefixtures("no_leaks")

MANY = 1200
KEY, *_ = build_keys(ID)


class Ground:
    """A reader over a link, and the pages that it has taken."""

    def __init__(self, redis_server: RedisServer, link: RedisLink) -> None:
        self.redis_server = redis_server
        self.views = BreakerViews(Clock().read_s, lambda change: None)
        self.views.longest_ms = 330_000
        self.calls = BreakerCalls(link, self.views, RULES, Clock().read_now)
        self.reader = IndexReader(self.calls, self.views)
        self.pages: list[IndexPage] = []

    @property
    def told(self) -> list[str]:
        """What the last page was about."""
        return [entry.id for entry in self.pages[-1].entries]

    def other(self) -> "Ground":
        """Return another process's over the same link; it has read nothing."""
        return Ground(self.redis_server, self.calls._link)

    async def read(self, *kept: str) -> None:
        """Read one page."""
        before, lost = len(self.pages), asyncio.Event()

        def take(asked: int, page: IndexPage) -> None:
            self.pages.append(page)
            self.reader.take(asked, page, kept)

        self.reader.ask(take, lost.set)
        await until(lambda: len(self.pages) > before or lost.is_set())
        assert not lost.is_set()

    async def open(self, *breaker_ids: str) -> None:
        """Have Redis, and nobody here, know that these are open."""
        ended: list[str] = []
        calls = BreakerCalls(self.calls._link, self.other().views, RULES, Clock().read_now)
        for each in breaker_ids:
            calls.post(
                *("adopt", each, [60_000, 1, "quota"]),
                on_done=lambda: ended.append("done"),
                on_lost=lambda: ended.append("lost"),
            )
        await until(lambda: len(ended) == len(breaker_ids))
        assert "lost" not in ended

    def list_index(self) -> list[Entry]:
        """Return the entries that Redis keeps."""
        values = self.redis_server.command("HVALS", INDEX_KEY)
        return [msgspec.msgpack.decode(each, type=Entry) for each in values]


@pytest.fixture
async def ground(redis_server: RedisServer) -> AsyncIterator[Ground]:
    """Return a reader over a link that has joined an empty Redis, and is patient."""
    link = RedisLink(redis_server.unix_url, operation_s=5.0)
    link.start()
    assert await link.wait_joined(5)
    yield Ground(redis_server, link)
    await link.close()


async def test_nothing_is_told_twice(ground: Ground) -> None:
    """After the first page only changes come, and nothing where there was none."""
    await ground.read()
    assert ground.told == []
    await ground.open("acme/a", "acme/b")
    await ground.read()
    assert ground.told == ["acme/a", "acme/b"]
    await ground.read()
    assert ground.told == []
    await ground.calls.ask("command", "acme/a", "open")
    await ground.read()
    assert ground.told == ["acme/a"]
    assert ground.views.look("acme/b").cause == "quota"


async def test_many_are_read_page_by_page(ground: Ground) -> None:
    """Each is told once, no page tells more than 500, and what was wrong before is closed."""
    for number in range(0, MANY, 300):
        await ground.open(*(f"acme/{each}" for each in range(number, number + 300)))
    ground.views.learn_change(ChangeMessage(ID, "closed", "open", 99, 1000, "failures", 5, 1))
    while not ground.pages or ground.pages[-1].is_more:
        assert ground.views.look(ID).state == "open"
        await ground.read()
    told = [entry.id for page in ground.pages for entry in page.entries]
    assert sorted(told) == sorted(f"acme/{each}" for each in range(MANY))
    assert max(len(page.entries) for page in ground.pages) <= 500
    assert len(ground.views.list_not_closed()) == MANY
    assert ground.views.look(ID).state == "closed"


async def test_a_poll_of_many_costs_no_more_than_one_of_few(ground: Ground) -> None:
    """With thousands open and nothing new Redis is busy with a poll for less than a millisecond."""
    for number in range(0, 5 * MANY, 300):
        await ground.open(*(f"acme/{each}" for each in range(number, number + 300)))
    while not ground.pages or ground.pages[-1].is_more:
        await ground.read()
    ground.redis_server.command("CONFIG", "SET", "slowlog-log-slower-than", 0)
    for _ in range(21):
        await ground.read()
    assert all(not page.entries for page in ground.pages[-21:])
    assert _read_usual_us(ground.redis_server) < 1000


async def test_everything_is_read_again_now_and_then(ground: Ground) -> None:
    """What somebody has published that is not so is believed for as many polls at most."""
    await ground.open("acme/a")
    await ground.read()
    false = ChangeMessage(ID, "closed", "forced_open", 99, 0, "", 0, 0)
    ground.views.learn_change(false)
    polls = 0
    while ground.views.look(ID).state == "forced_open":
        await ground.read()
        polls += 1
    assert QUESTIONS - 2 <= polls <= QUESTIONS
    assert ground.told == ["acme/a"]


async def test_what_is_known_better_is_kept(ground: Ground) -> None:
    """Neither an entry nor the lack of one changes what this process knows better for now."""
    await ground.open("acme/a")
    for breaker_id in ("acme/a", ID):
        ground.views.learn_change(ChangeMessage(breaker_id, "open", "disabled", 2, 0, "", 0, 0))
    await ground.read("acme/a", ID)
    assert {ground.views.look(each).state for each in ("acme/a", ID)} == {"disabled"}
    ground.reader.begin_anew()
    await ground.read()
    assert [ground.views.look(each).state for each in ("acme/a", ID)] == ["open", "closed"]


async def test_a_breaker_that_is_gone_is_told_as_closed(ground: Ground) -> None:
    """Evicted, or an hour after its last use: everybody is told within a poll, and it is dropped
    when all have heard."""
    other = ground.other()
    await ground.open(ID, "acme/b")
    await ground.read()
    await other.read()
    ground.redis_server.command("DEL", KEY)
    for each in (ground, other):
        await each.read()
        assert (each.told, each.views.look(ID).state) == ([ID], "closed")
        assert each.views.find_epoch(ID) == 0
        await each.read()
        assert each.told == []
    assert len(ground.list_index()) == 2
    ground.redis_server.command("ZADD", ORDER_KEY, _ago_us(3590), name_field(ID))
    await ground.read()
    assert len(ground.list_index()) == 2
    ground.redis_server.command("ZADD", ORDER_KEY, _ago_us(3610), name_field(ID))
    await ground.read()
    assert [entry.id for entry in ground.list_index()] == ["acme/b"]
    assert ground.redis_server.command("ZSCORE", ORDER_KEY, name_field(ID)) is None


async def test_the_last_of_many_that_are_gone_is_found(ground: Ground) -> None:
    """Each poll looks at 50, also at those that are told already: two rounds see all of 300."""
    await ground.open(*(f"acme/{each}" for each in range(300)))
    await ground.read()
    for each in range(300):
        ground.redis_server.command("DEL", build_keys(f"acme/{each}")[0])
    polls = 0
    while ground.views.list_not_closed():
        await ground.read()
        polls += 1
    assert polls <= 14
    await ground.open("acme/7")
    await ground.read()
    assert ground.views.list_not_closed() == ["acme/7"]


@pytest.mark.parametrize(
    "words",
    [
        ("FLUSHALL",),
        ("DEL", INDEX_KEY),
        ("DEL", ORDER_KEY),
        ("HDEL", INDEX_KEY, name_field(ID)),
        ("SET", INDEX_KEY, "x"),
        ("SET", ORDER_KEY, "x"),
        ("ZREM", ORDER_KEY, ""),
    ],
    ids=" ".join,
)
async def test_what_was_lost_begins_anew(ground: Ground, words: tuple[str, ...]) -> None:
    """Whoever reads on after the index was damaged sees what those see who begin to read, and
    whatever is asked for again is told again to all."""
    late = ground.other()
    everything = [ID, "acme/a"]
    await ground.open(*everything)
    await ground.read()
    assert ground.views.list_not_closed() == everything
    ground.redis_server.command(*words)
    for each in (late, ground):
        await each.read()
        await each.read()
    assert late.views.list_not_closed() == ground.views.list_not_closed()
    await ground.open(*everything)
    for each in (ground, late):
        await each.read()
        assert sorted(each.views.list_not_closed()) == sorted(everything)


def _ago_us(ago_s: float) -> int:
    """Return the number of a change that was so long ago."""
    return int((time.time() - ago_s) * 1_000_000)


def _read_usual_us(redis_server: RedisServer) -> float:
    """Return how long Redis takes for a script as a rule, on a busy machine too."""
    slow = redis_server.command("SLOWLOG", "GET", 1000)
    taken_us: list[int] = [each[2] for each in slow if each[3][0] == b"EVALSHA"]
    return statistics.median(taken_us)
