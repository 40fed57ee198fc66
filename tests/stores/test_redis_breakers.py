"""Breakers in Redis: the store's promises, whoever else shares it, and whatever Redis does."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.redis_server import RedisServer
from tests.stores.breaker_contract import BreakerContract, Clock
from tests.stores.redis_stores import RedisGround, opened_store

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
async def ground(redis_server: RedisServer) -> AsyncIterator[RedisGround]:
    """Return a store that has joined an empty Redis."""
    async with opened_store(redis_server.unix_url, Clock()) as opened:
        yield opened


class TestRedisBreakers(BreakerContract):
    """It keeps what every store promises."""
