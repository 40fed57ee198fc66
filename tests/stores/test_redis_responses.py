"""Answers of the Responses API that several processes share through Redis."""

from collections.abc import AsyncIterator

import pytest

from proxy.domain.service_errors import ResponseStoreUnavailable
from proxy.domain.stored_response import StoredResponse
from proxy.stores.redis_link import KEY_PREFIX
from proxy.stores.redis_responses import MOST_ITEMS, MOST_SHARED_BYTES, RedisResponses
from tests.fakes.redis_server import RedisServer
from tests.stores.links import linked
from tests.stores.response_contract import PIN, WHOLE, ResponseContract

pytestmark = pytest.mark.usefixtures("no_leaks")

LONG = StoredResponse("long", body=b"x" * MOST_SHARED_BYTES)


@pytest.fixture
async def responses(redis_server: RedisServer) -> AsyncIterator[RedisResponses]:
    """Return a store that has joined, with nothing in it."""
    redis_server.command("FLUSHALL")
    async with linked(redis_server.url) as watched:
        yield RedisResponses(watched.link)


class TestRedisResponses(ResponseContract):
    """It keeps what every store promises."""


async def test_what_one_process_keeps_or_deletes_is_so_for_all(redis_server: RedisServer) -> None:
    """Nothing of it is left where it was served."""
    async with linked(redis_server.url) as one, linked(redis_server.url) as two:
        here, there = RedisResponses(one.link), RedisResponses(two.link)
        for stored in (WHOLE, PIN):
            here.keep("org", stored)
        await here.settle()
        for each in (WHOLE.id, "b"):
            assert await there.find("org", each) == WHOLE
            assert await there.find("other", each) is None
        assert await there.delete("org", WHOLE.id)
        for store in (here, there):
            assert await store.find("org", WHOLE.id) is None
            assert await store.find("org", "b") is None
            assert await store.find("org", "c") == PIN
        assert here.size_bytes == 0


async def test_it_is_gone_after_its_time(redis_server: RedisServer) -> None:
    """Every key has its time to live, and no name of a key shows whose it is."""
    redis_server.command("FLUSHALL")
    async with linked(redis_server.url) as watched:
        store = RedisResponses(watched.link, ttl_s=90.0)
        store.keep("org", WHOLE)
        assert await store.find("org", WHOLE.id) == WHOLE
    names = redis_server.command("KEYS", f"{KEY_PREFIX}response:*")
    assert len(names) == 1 + len(WHOLE.item_ids)
    for name in names:
        assert b"org" not in name.removeprefix(f"{KEY_PREFIX}response:".encode())
        assert 0 < redis_server.command("PTTL", name) <= 90_000


async def test_what_is_long_stays_where_it_is(redis_server: RedisServer) -> None:
    """The process that has served it knows it, and no other does; it alone deletes it."""
    async with linked(redis_server.url) as one, linked(redis_server.url) as two:
        here, there = RedisResponses(one.link), RedisResponses(two.link)
        here.keep("org", LONG)
        assert await here.find("org", "long") == LONG
        assert await there.find("org", "long") is None
        assert not await there.delete("org", "long")
        assert await here.delete("org", "long")
        assert await here.find("org", "long") is None


async def test_a_response_of_many_items_is_found_by_the_first_of_them(
    responses: RedisResponses,
) -> None:
    """So that no script takes long."""
    ids = tuple(f"i{number}" for number in range(MOST_ITEMS + 1))
    many = StoredResponse("many", item_ids=ids)
    responses.keep("org", many)
    assert await responses.find("org", ids[-2]) == many
    assert await responses.find("org", ids[-1]) is None


async def test_what_cannot_be_read_is_not_there(redis_server: RedisServer) -> None:
    """Bytes of another version, or of anybody else's, are no response and no error."""
    redis_server.command("FLUSHALL")
    async with linked(redis_server.url) as watched:
        store = RedisResponses(watched.link)
        store.keep("org", WHOLE)
        assert await store.find("org", WHOLE.id) == WHOLE
        for name in redis_server.command("KEYS", f"{KEY_PREFIX}response:*"):
            redis_server.command("SET", name, b"\x93\xff")
        assert await store.find("org", WHOLE.id) is None
        assert await store.find("org", "a") is None
        assert not await store.delete("org", WHOLE.id)


async def test_without_redis_each_process_has_its_own(own_redis_server: RedisServer) -> None:
    """While it is away the memory goes on; of what is not there it cannot be told whether it is."""
    async with linked(own_redis_server.url) as watched:
        store = RedisResponses(watched.link)
        own_redis_server.kill()
        while watched.link.is_joined:
            with pytest.raises(ResponseStoreUnavailable):
                await store.find("org", WHOLE.id)
        store.keep("org", WHOLE)
        await store.settle()
        assert await store.find("org", "a") == WHOLE
        assert await store.delete("org", WHOLE.id)
        for ask in (store.find, store.delete):
            with pytest.raises(ResponseStoreUnavailable):
                await ask("org", WHOLE.id)
