"""One connection to Redis: every way to reach it, every way to fail, and nothing left open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from proxy.stores.redis_address import parse_address
from proxy.stores.redis_connection import RedisConnection, pack
from proxy.stores.redis_faults import ReplyError
from proxy.stores.redis_health import LinkBroken
from proxy.stores.redis_job import Answer, Words
from tests.fakes.redis_server import RedisServer
from tests.fakes.scripted_redis import answering, scripted_redis
from tests.fakes.tls_relay import AUTHORITY, relaying_tls
from tests.leaks import leaving_nothing

pytestmark = pytest.mark.both_loops
PING: Words = ("PING",)
GET: Words = ("GET", "k")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[RedisConnection]:
    """Open a connection, and drop it at the end; nothing may stay open."""
    async with leaving_nothing():
        connection = RedisConnection(parse_address(url))
        try:
            await connection.open()
            yield connection
        finally:
            await connection.drop()


async def ask(connection: RedisConnection, *commands: Words) -> list[Answer]:
    """Return the replies to commands that are sent as one pipeline."""
    replies: list[Answer] = []
    async with asyncio.timeout(20):
        await connection.exchange([pack(words) for words in commands], replies)
    return replies


async def fail(url: str) -> LinkBroken:
    """Return what opening and asking failed of."""
    with pytest.raises(LinkBroken) as broken:
        async with connected(url) as connection:
            await ask(connection, PING)
    return broken.value


async def test_it_speaks_over_tcp_and_over_a_socket(redis_server: RedisServer) -> None:
    """Replies of all types come in order over either, from the database that the URL names."""
    for url in (f"{redis_server.url}/3", f"{redis_server.unix_url}?db=3"):
        async with connected(url) as connection:
            replies = await ask(
                connection, ("SET", "k", 1.5), ("GET", "k"), ("DEL", "k"), ("GET", "k")
            )
        assert replies == [b"OK", b"1.5", 1, None]


async def test_it_speaks_tls_and_verifies_who_answers(redis_server: RedisServer) -> None:
    """With the authority of the URL it connects; without it the certificate is not trusted."""
    async with relaying_tls(redis_server.port) as port:
        async with connected(f"rediss://127.0.0.1:{port}?ssl_ca_certs={AUTHORITY}") as connection:
            assert await ask(connection, PING) == [b"PONG"]
        assert (await fail(f"rediss://127.0.0.1:{port}")).fault.reason == (
            "its certificate is not trusted"
        )


async def test_it_logs_in(redis_server: RedisServer) -> None:
    """A user with the right password may do what the access list says; others are denied."""
    redis_server.command("ACL", "SETUSER", "ann", "on", ">sesame", "~*", "+ping")
    async with connected(redis_server.url_for("ann", "sesame")) as connection:
        pong, denied = await ask(connection, PING, GET)
    assert pong == b"PONG"
    assert isinstance(denied, ReplyError) and denied.code == "NOPERM"
    for url in (redis_server.url_for("ann", "wrong"), redis_server.url_for("bob", "sesame")):
        assert (await fail(url)).fault.kind == "denied"
    redis_server.command("ACL", "DELUSER", "ann")


async def test_it_says_why_it_cannot_connect(loopback_port: int) -> None:
    """Nobody there, no such socket, no such name and no such file are told apart in words."""
    reasons = [
        (await fail(url)).fault.reason
        for url in (
            f"redis://127.0.0.1:{loopback_port}",
            "unix:///nowhere/redis.sock",
            "redis://nowhere.invalid",
            f"rediss://127.0.0.1:{loopback_port}?ssl_ca_certs=/nowhere/ca.pem",
            f"rediss://127.0.0.1:{loopback_port}?ssl_ca_certs={AUTHORITY}&ssl_certfile=/nowhere/c",
        )
    ]
    assert reasons == [
        "nothing listens there",
        "its socket does not exist",
        "its name cannot be resolved",
        "the file of ssl_ca_certs does not exist",
        "the file of ssl_certfile does not exist",
    ]


@pytest.mark.parametrize(
    ("sent", "kind", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "lost", "what it sends is not its protocol"),
        (None, "lost", "the connection was lost"),
        (
            b"-LOADING Redis is loading the dataset in memory\r\n",
            "refused",
            "it is loading its data",
        ),
    ],
)
async def test_what_is_no_reply_breaks_it(sent: bytes | None, kind: str, reason: str) -> None:
    """Bytes of another protocol, an end, and an error that goes before all others drop it."""
    async with scripted_redis(answering(PING=sent)) as url:
        fault = (await fail(url)).fault
    assert (fault.kind, fault.reason) == (kind, reason)


async def test_a_database_that_is_not_there_is_refused(redis_server: RedisServer) -> None:
    """An error on SELECT is a fault of the link, not of a later command."""
    assert (await fail(f"{redis_server.url}/9999")).fault.kind == "refused"


async def test_an_error_inside_of_an_array_is_the_reply(redis_server: RedisServer) -> None:
    """A script's table that holds an error is that error; what follows is untouched."""
    table = "return {1, {redis.pcall('NONSENSE')}}"
    async with connected(redis_server.url) as connection:
        error, pong = await ask(connection, ("EVAL", table, 0), PING)
    assert isinstance(error, ReplyError)
    assert pong == b"PONG"


async def test_it_is_stale_once_redis_has_closed_it(redis_server: RedisServer) -> None:
    """An end that came while nobody asked is seen before anything is sent; reopened, it works."""
    async with connected(redis_server.url) as connection:
        assert not await connection.is_stale()
        redis_server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        async with asyncio.timeout(20):
            while not await connection.is_stale():  # noqa: ASYNC110  the end is one turn away
                await asyncio.sleep(0)
        await connection.drop()
        assert not connection.is_open
        await connection.open()
        assert await ask(connection, PING) == [b"PONG"]


async def test_a_late_reply_never_meets_the_next_opening(own_redis_server: RedisServer) -> None:
    """Dropped while Redis is frozen and opened again, it hears only what is asked then."""
    async with connected(own_redis_server.url) as connection:
        own_redis_server.freeze()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await connection.exchange([pack(("ECHO", "early"))], [])
        await connection.drop()
        own_redis_server.thaw()
        await connection.open()
        assert await ask(connection, ("ECHO", "later")) == [b"later"]


async def test_dropped_it_leaves_nothing_also_with_bytes_unsent(
    own_redis_server: RedisServer,
) -> None:
    """What a frozen Redis does not take is thrown away with the connection."""
    async with connected(own_redis_server.url) as connection:
        own_redis_server.freeze()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await connection.send(pack(("ECHO", b"x" * (32 << 20))))


@pytest.mark.parametrize("word", [None, True, [1], "\ud800"])
def test_a_word_that_cannot_be_sent_is_refused_before(word: Any) -> None:
    """A word of another type, or no text, is an error that does not quote it."""
    with pytest.raises(ValueError, match="cannot be sent"):
        pack(("ECHO", word))


async def test_a_dropped_connection_does_not_come_back_by_itself(
    redis_server: RedisServer,
) -> None:
    """Asking one that was dropped is an error: the library would connect anew, as nobody."""
    async with connected(redis_server.url) as connection:
        await connection.drop()
        with pytest.raises(LinkBroken):
            await ask(connection, PING)
        assert not connection.is_open
