"""Joining: what Redis must be seen to do first, and what an operator is warned of."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.stores.redis_address import parse_address
from proxy.stores.redis_connection import RedisConnection
from proxy.stores.redis_health import LinkBroken
from proxy.stores.redis_join import join
from tests.fakes.redis_server import RedisServer
from tests.fakes.scripted_redis import answering, scripted_redis

pytestmark = pytest.mark.usefixtures("no_leaks")


async def try_joining(url: str, *, ask_memory: bool = True) -> list[Any]:
    """Join and let go; return the lines."""
    connection = RedisConnection(parse_address(url))
    with capture_logs() as lines:
        try:
            await join(connection, "test:", ask_memory=ask_memory)
        finally:
            await connection.drop()
    return lines


async def test_it_writes_one_key_that_is_soon_gone(redis_server: RedisServer) -> None:
    """A Redis that is well is joined without a word; what was written lives for a second."""
    assert await try_joining(redis_server.url) == []
    assert redis_server.command("PTTL", "test:link") in range(1001)


async def test_it_does_not_join_where_it_cannot_write(own_redis_server: RedisServer) -> None:
    """A replica and a full memory answer PING, and are not joined."""
    own_redis_server.command("REPLICAOF", "127.0.0.1", 1)
    with pytest.raises(LinkBroken, match="replica"):
        await try_joining(own_redis_server.url)
    own_redis_server.command("REPLICAOF", "NO", "ONE")
    own_redis_server.command("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(LinkBroken, match="memory is full"):
        await try_joining(own_redis_server.url)


async def test_it_does_not_join_where_scripts_are_not_run() -> None:
    """Something that knows PING and no EVAL is told so, in words of ours."""
    async with scripted_redis(answering(EVAL=b"-ERR unknown command 'EVAL'\r\n")) as url:
        with pytest.raises(LinkBroken, match="does not run a script"):
            await try_joining(url)


@pytest.mark.parametrize(
    ("limit", "policy", "is_warned"),
    [
        ("100mb", "allkeys-lru", True),
        ("100mb", "noeviction", False),
        ("100mb", "volatile-ttl", False),
        ("0", "allkeys-lru", False),
    ],
)
async def test_a_policy_that_drops_state_is_warned_of(
    own_redis_server: RedisServer, limit: str, policy: str, is_warned: bool
) -> None:
    """Only a memory with a limit, and a policy that drops keys without an expiry, is a warning."""
    own_redis_server.command("CONFIG", "SET", "maxmemory", limit)
    own_redis_server.command("CONFIG", "SET", "maxmemory-policy", policy)
    lines = await try_joining(own_redis_server.url)
    assert [line["log_level"] for line in lines] == ["warning"] * is_warned
    assert [line["policy"] for line in lines] == [policy] * is_warned
    assert await try_joining(own_redis_server.url, ask_memory=False) == []


@pytest.mark.parametrize(
    "reply",
    [
        b"-NOPERM this user has no permissions to run the 'config|get' command\r\n",
        b"-ERR unknown command 'CONFIG'\r\n",
        b":1\r\n",
        b"*3\r\n:1\r\n$-1\r\n*1\r\n:2\r\n",
    ],
)
async def test_whoever_does_not_tell_its_policy_is_joined_silently(reply: bytes) -> None:
    """A CONFIG that is denied, unknown or nonsense is worth no line above DEBUG."""
    async with scripted_redis(answering(CONFIG=reply)) as url:
        lines = await try_joining(url)
    assert [line for line in lines if line["log_level"] != "debug"] == []
