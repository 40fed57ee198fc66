"""The stores that an installation's settings ask for."""

import asyncio

import pytest

from proxy.domain.breaker import BreakerRules
from proxy.domain.settings import InstallSettings
from proxy.stores.factory import FastStores
from proxy.stores.memory_breakers import MemoryBreakers
from proxy.stores.memory_reasoning import MemoryReasoning
from proxy.stores.memory_responses import MemoryResponses
from proxy.stores.memory_verdicts import MemoryVerdicts
from proxy.stores.redis_breakers import RedisBreakers
from proxy.stores.redis_reasoning import RedisReasoning
from proxy.stores.redis_responses import RedisResponses
from proxy.stores.redis_verdicts import RedisVerdicts
from tests.fakes.redis_server import RedisServer


class Told:
    """Keeps what is told of Redis, and lets a test wait for it."""

    def __init__(self) -> None:
        self.states: list[bool] = []
        self.faults = 0
        self.news = asyncio.Event()

    def tell(self, is_up: bool) -> None:
        """Take note that Redis has come or gone."""
        self.states.append(is_up)
        self.news.set()

    def count(self) -> None:
        """Count a fault."""
        self.faults += 1

    async def wait_for(self, state: bool) -> None:
        """Return once this was told last."""
        while not self.states or self.states[-1] is not state:
            self.news.clear()
            await self.news.wait()


async def test_without_redis_everything_is_in_memory() -> None:
    """The embedded default shares nothing and lacks nothing."""
    stores = FastStores(InstallSettings(), BreakerRules(), Told().tell, Told().count)
    assert isinstance(stores.breakers, MemoryBreakers)
    assert type(stores.verdicts) is MemoryVerdicts
    assert type(stores.reasoning) is MemoryReasoning
    assert type(stores.responses) is MemoryResponses
    assert not stores.has_redis
    assert stores.find_degraded() == ()
    await stores.close()


async def test_with_redis_breakers_are_shared_once_it_is_there(redis_server: RedisServer) -> None:
    """Opening waits for nothing; when Redis has been reached the breakers are shared."""
    told = Told()
    stores = FastStores(
        InstallSettings(redis_url=redis_server.url), BreakerRules(), told.tell, told.count
    )
    try:
        assert isinstance(stores.breakers, RedisBreakers)
        assert isinstance(stores.verdicts, RedisVerdicts)
        assert isinstance(stores.reasoning, RedisReasoning)
        assert isinstance(stores.responses, RedisResponses)
        assert stores.find_degraded() == ("redis",)
        await told.wait_for(True)
        assert stores.find_degraded() == ()
    finally:
        await stores.close()


async def test_redis_that_goes_is_told_with_its_faults(own_redis_server: RedisServer) -> None:
    """What is away is named, and the operations that failed are counted."""
    told = Told()
    stores = FastStores(
        InstallSettings(redis_url=own_redis_server.url), BreakerRules(), told.tell, told.count
    )
    try:
        await told.wait_for(True)
        own_redis_server.kill()
        await told.wait_for(False)
        assert stores.find_degraded() == ("redis",)
        assert told.faults > 0
    finally:
        await stores.close()


def test_what_is_no_address_of_redis_is_refused_without_repeating_it() -> None:
    """An address with a password in it must not come back in an error."""
    with pytest.raises(ValueError, match="redis") as refused:
        FastStores(
            InstallSettings(redis_url="http://:hunter2@x"),
            BreakerRules(),
            Told().tell,
            Told().count,
        )
    assert "hunter2" not in str(refused.value)
