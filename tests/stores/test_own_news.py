"""What only this process knows is told in portions, and nothing that was not taken is lost."""

from collections.abc import AsyncIterator

import pytest

from proxy.stores import redis_link
from proxy.stores.breaker_calls import BreakerCalls
from proxy.stores.breaker_messages import INDEX_KEY, ReportRun
from proxy.stores.breaker_views import BreakerViews
from proxy.stores.own_breakers import OwnBreakers
from proxy.stores.own_news import MOST_TOLD, OwnNews
from proxy.stores.redis_link import RedisLink
from tests.fakes.redis_server import RedisServer
from tests.stores.breaker_contract import ID, RULES, Clock
from tests.stores.redis_stores import until

pytestmark = pytest.mark.usefixtures("no_leaks")


class Ground:
    """Machines of this process, and Redis, which is to know of them."""

    def __init__(self, redis_server: RedisServer, link: RedisLink) -> None:
        clock = Clock()
        self.redis_server = redis_server
        self.link = link
        self.views = BreakerViews(clock.read_s, lambda change: None)
        self.views.longest_ms = 330_000
        self.own = OwnBreakers(self.views, RULES, clock.read_s, clock.read_s)
        calls = BreakerCalls(link, self.views, RULES, clock.read_now)
        self.news = OwnNews(calls, self.own)

    @property
    def known(self) -> int:
        """Of how many Redis knows."""
        known = self.redis_server.command("HLEN", INDEX_KEY)
        assert isinstance(known, int)
        return known

    def learn(self, breaker_id: str, hold_s: int = 60) -> None:
        """Find out something while Redis does not hear."""
        self.own.report_run(breaker_id, ReportRun("hold", 0, "", hold_s * 1000, "quota"))


@pytest.fixture
async def ground(redis_server: RedisServer) -> AsyncIterator[Ground]:
    """Return machines with a link that has joined an empty Redis, and is patient."""
    link = RedisLink(redis_server.unix_url, operation_s=5.0)
    link.start()
    assert await link.wait_joined(5)
    yield Ground(redis_server, link)
    await link.close()


async def test_a_portion_is_told_at_a_time(ground: Ground) -> None:
    """However much there is, Redis is told a portion, and the next once that was taken."""
    for number in range(2 * MOST_TOLD):
        ground.learn(f"acme/{number}")
    ground.own.command_now(ID, "open")
    ground.news.tell()
    ground.news.tell()
    await until(lambda: len(ground.own.news) == MOST_TOLD + 1)
    assert ground.known == MOST_TOLD
    assert ground.own.commands == {}
    ground.news.tell()
    await until(lambda: len(ground.own.news) == 1)
    assert not ground.news.is_told
    ground.news.tell()
    await until(lambda: ground.news.is_told)
    assert ground.known == 2 * MOST_TOLD + 1
    assert ground.views.look(ID).state == "forced_open"


async def test_what_a_full_queue_refuses_is_told_again(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a portion that finds no place is lost; it waits for the next time."""
    for number in range(5):
        ground.learn(f"acme/{number}")
    ground.own.command_now(ID, "open")
    with monkeypatch.context() as patch:
        patch.setattr(redis_link, "MAX_QUEUED", 2)
        ground.news.tell()
        assert ground.link.busy == 4
        await until(lambda: len(ground.own.news) == 4)
    assert list(ground.own.news) == [f"acme/{number}" for number in range(1, 5)]
    ground.news.tell()
    await until(lambda: ground.news.is_told)
    assert ground.known == 6


async def test_what_moves_meanwhile_is_news_again(ground: Ground) -> None:
    """A longer hold that begins while the first is being told is told as well."""
    ground.learn(ID, hold_s=10)
    ground.news.tell()
    ground.learn(ID, hold_s=200)
    await until(lambda: ground.views.look(ID).state == "open")
    assert list(ground.own.news) == [ID]
    ground.news.tell()
    await until(lambda: ground.news.is_told)
    assert ground.views.look(ID).retry_at_s - Clock().now_s >= 200


async def test_away_it_is_kept(redis_server: RedisServer) -> None:
    """Without a link nothing is taken, and all of it is still news."""
    ground = Ground(redis_server, RedisLink(redis_server.unix_url))
    ground.learn(ID)
    ground.own.command_now("acme/b", "close")
    for _ in range(2):
        ground.news.tell()
    assert (list(ground.own.news), ground.own.commands) == ([ID], {"acme/b": "close"})
    assert not ground.news.is_told
