"""Reasoning that several processes share through Redis, wherever that may be."""

from collections.abc import AsyncIterator

import pytest

from proxy.domain.chat import Thought
from proxy.domain.reasoning import KeptReasoning
from proxy.stores.redis_link import KEY_PREFIX
from proxy.stores.redis_reasoning import KEPT_MS, MOST_CALLS, MOST_SHARED_BYTES, RedisReasoning
from tests.fakes.redis_server import RedisServer
from tests.stores.links import linked
from tests.stores.reasoning_contract import KEPT, ReasoningContract

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[RedisReasoning]:
    """Return a store that has joined."""
    async with linked(redis_server.url) as watched:
        yield RedisReasoning(watched.link)


class TestRedisReasoning(ReasoningContract):
    """It keeps what every store promises."""


async def test_another_process_finds_it(redis_server: RedisServer) -> None:
    """By any of its calls, whole and for its owner only; from then on it has it itself."""
    async with linked(redis_server.url) as one, linked(redis_server.url) as two:
        here, there = RedisReasoning(one.link), RedisReasoning(two.link)
        here.keep("org", KEPT)
        await one.link.command("PING")  # behind what was posted
        assert there.find("org", "anthropic", "b") is None
        assert there.is_shared
        assert await there.fetch("org", "anthropic", ("x", "b")) == {"b": KEPT}
        assert await there.fetch("other", "anthropic", ("b",)) == {}
        assert await there.fetch("org", "gemini", ("b",)) == {}
        assert there.find("org", "anthropic", "a") == KEPT


async def test_it_is_gone_after_a_while(redis_server: RedisServer) -> None:
    """Every key has its time to live, and no name of a key shows whose it is."""
    redis_server.command("FLUSHALL")
    async with linked(redis_server.url) as watched:
        RedisReasoning(watched.link).keep("org", KEPT)
        await watched.link.command("PING")
    names = redis_server.command("KEYS", f"{KEY_PREFIX}reasoning:*")
    assert len(names) == len(KEPT.call_ids)
    for name in names:
        assert b"org" not in name.removeprefix(f"{KEY_PREFIX}reasoning:".encode())
        assert 0 < redis_server.command("PTTL", name) <= KEPT_MS


async def test_what_is_long_stays_where_it_is(redis_server: RedisServer) -> None:
    """Long thoughts, and turns of very many calls, are kept by their own process alone."""
    long = KeptReasoning("openai", (Thought("x" * MOST_SHARED_BYTES, "openai"),), {}, ("long",))
    ids = tuple(f"many{number}" for number in range(MOST_CALLS + 1))
    many = KeptReasoning("openai", (Thought("x", "openai"),), {}, ids)
    async with linked(redis_server.url) as one, linked(redis_server.url) as two:
        here, there = RedisReasoning(one.link), RedisReasoning(two.link)
        for kept in (long, many):
            here.keep("org", kept)
            assert here.find("org", "openai", kept.call_ids[0]) == kept
        await one.link.command("PING")
        assert await there.fetch("org", "openai", ("long", "many0")) == {}


async def test_what_cannot_be_read_is_not_there(redis_server: RedisServer) -> None:
    """Bytes of another version, or of anybody else's, are no reasoning and no error."""
    async with linked(redis_server.url) as watched:
        store = RedisReasoning(watched.link)
        store.keep("org", KEPT)
        await watched.link.command("PING")
        for name in redis_server.command("KEYS", f"{KEY_PREFIX}reasoning:*"):
            redis_server.command("SET", name, b"\x93\xff")
        other = RedisReasoning(watched.link)
        assert await other.fetch("org", "anthropic", ("a", "b")) == {}


async def test_without_redis_each_process_has_its_own(own_redis_server: RedisServer) -> None:
    """While it is away nothing is shared, nothing raises, and the memory goes on."""
    async with linked(own_redis_server.url) as watched:
        store = RedisReasoning(watched.link)
        own_redis_server.kill()
        while store.is_shared:
            assert await store.fetch("org", "anthropic", ("a",)) == {}
        store.keep("org", KEPT)
        assert store.find("org", "anthropic", "a") == KEPT
        assert await store.fetch("org", "anthropic", ("b",)) == {}
