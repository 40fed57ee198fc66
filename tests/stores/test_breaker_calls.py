"""Calls of the scripts: what is heard is learned, and what cannot be read is a failure."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.stores.breaker_calls import BreakerCalls
from proxy.stores.breaker_messages import leave_time_to_redis
from proxy.stores.breaker_views import BreakerViews
from proxy.stores.redis_errors import RedisAway, RedisRefused
from proxy.stores.redis_job import Reply
from proxy.stores.redis_link import RedisLink
from tests.fakes.redis_server import RedisServer
from tests.stores.breaker_contract import ID, RULES, Clock
from tests.stores.redis_stores import PATIENT_S, until

pytestmark = pytest.mark.usefixtures("no_leaks")


class Ground:
    """Calls over a link, and what they have taught."""

    def __init__(self, link: RedisLink) -> None:
        clock = Clock()
        self.link = link
        self.views = BreakerViews(clock.read_s, lambda change: None)
        self.views.longest_ms = 330_000
        self.calls = BreakerCalls(link, self.views, RULES, clock.read_now)


@pytest.fixture
async def ground(redis_server: RedisServer) -> AsyncIterator[Ground]:
    """Return calls over a link that has joined."""
    link = RedisLink(redis_server.unix_url, operation_s=PATIENT_S)
    link.start()
    assert await link.wait_joined(5)
    yield Ground(link)
    await link.close()


async def test_a_reply_is_learned_before_it_is_returned(ground: Ground) -> None:
    """What was asked for is done, and the views know."""
    ground.calls.has_last_failed = True
    stand = await ground.calls.ask("adopt", ID, 5000, 2, "slow")
    assert (stand.state, stand.wait_ms, stand.trips) == ("open", 5000, 2)
    assert ground.views.look(ID).cause == "slow"
    assert not ground.calls.has_last_failed
    now_ms, breaker = await ground.calls.read(ID)
    assert breaker.until_ms - now_ms == 5000


async def test_posted_it_is_done_as_well(ground: Ground) -> None:
    """The caller hears once that it was done, when the views know."""
    ends: list[str] = []
    ground.calls.post(
        "command", ID, ["open"], lambda: ends.append("done"), lambda: ends.append("lost")
    )
    assert ends == []
    await until(lambda: bool(ends))
    assert (ends, ground.views.look(ID).state) == (["done"], "forced_open")


async def test_the_index_comes_with_its_question(ground: Ground) -> None:
    """Behind what was posted before, with the time and everything that is not closed."""
    heard: list[Any] = []
    ground.calls.post("command", ID, ["open"], lambda: None, lambda: None)
    ground.calls.post_index(
        (0, 0, 0), lambda *told: heard.append(told), lambda: heard.append("lost")
    )
    await until(lambda: bool(heard))
    ((asked, page),) = heard
    assert asked < ground.views.ask()
    assert page.now_ms == 1_790_000_000_000
    assert [(entry.id, entry.state) for entry in page.entries] == [(ID, "forced_open")]


async def test_the_time_can_be_left_to_redis(ground: Ground, redis_server: RedisServer) -> None:
    """Whoever reads no clock of its own has the scripts go by that of Redis."""
    calls = BreakerCalls(ground.link, ground.views, RULES, leave_time_to_redis)
    now_ms, _ = await calls.read(ID)
    seconds, _ = redis_server.command("TIME")
    assert abs(now_ms / 1000 - int(seconds)) < 5


async def test_without_a_link_everything_is_lost_at_once(redis_server: RedisServer) -> None:
    """Nothing waits, nothing raises but what says so, and the failing is noted."""
    ground = Ground(RedisLink(redis_server.unix_url))
    ends: list[str] = []
    ground.calls.post("command", ID, ["open"], lambda: None, lambda: ends.append("lost"))
    ground.calls.post_index((0, 0, 0), lambda *told: None, lambda: ends.append("no index"))
    assert ends == ["lost", "no index"]
    assert ground.calls.has_last_failed
    ground.calls.has_last_failed = False
    with pytest.raises(RedisAway):
        await ground.calls.ask("acquire", ID, "t", 1000)
    assert ground.calls.has_last_failed
    with pytest.raises(RedisAway):
        await ground.calls.read(ID)


async def test_a_reply_that_cannot_be_read_is_a_refusal(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever answers in Redis's place, its nonsense goes no further."""

    async def run(*words: Any, **options: Any) -> Reply:
        return b"nonsense"

    monkeypatch.setattr(ground.link, "run", run)
    with pytest.raises(RedisRefused):
        await ground.calls.ask("acquire", ID, "t", 1000)
    assert ground.calls.has_last_failed
    with pytest.raises(RedisRefused):
        await ground.calls.read(ID)
