"""Channels of a link: heard as long as Redis is there, and heard again after everything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.stores.redis_address import parse_address
from proxy.stores.redis_channels import RedisChannels
from proxy.stores.redis_connection import RedisConnection
from tests.fakes.redis_server import RedisServer
from tests.leaks import leaving_nothing
from tests.stores.links import SOON_S

pytestmark = pytest.mark.both_loops


class Ear:
    """What was heard on a channel."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()

    def hear(self, message: bytes) -> None:
        """Keep a message, unless it is one that cannot be read."""
        if message == b"odd":
            raise ValueError("canary")
        self.messages.put_nowait(message)

    async def next(self) -> bytes:
        """Return the next message."""
        async with asyncio.timeout(SOON_S):
            return await self.messages.get()


@asynccontextmanager
async def hearing(url: str, **ears: Ear) -> AsyncIterator[tuple[RedisChannels, list[Any]]]:
    """Hear channels from the start on; leave nothing at the end."""
    channels = RedisChannels()
    for channel, ear in ears.items():
        channels.add(channel, ear.hear)
    with capture_logs() as lines:
        async with leaving_nothing():
            channels.start(RedisConnection(parse_address(url)))
            channels.resume()
            yield channels, lines
            await channels.close()


async def publish(server: RedisServer, channel: str, message: str) -> None:
    """Publish as soon as somebody hears; the test's clock ends it if nobody ever does."""
    while server.command("PUBLISH", channel, message) == 0:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_each_channel_has_its_own_hearer(redis_server: RedisServer) -> None:
    """Messages reach the function of their channel, in order, and no other."""
    first, second = Ear(), Ear()
    async with hearing(redis_server.url, first=first, second=second):
        await publish(redis_server, "first", "1")
        await publish(redis_server, "second", "2")
        await publish(redis_server, "first", "3")
        assert [await first.next(), await first.next()] == [b"1", b"3"]
        assert await second.next() == b"2"


async def test_a_message_that_cannot_be_read_is_passed_over(redis_server: RedisServer) -> None:
    """What stumbles over a message hears the next one; the message is in no line."""
    ear = Ear()
    async with hearing(redis_server.url, a=ear) as (_, lines):
        await publish(redis_server, "a", "odd")
        await publish(redis_server, "a", "even")
        assert await ear.next() == b"even"
    assert "canary" not in str(lines)


async def test_a_lost_connection_comes_back(own_redis_server: RedisServer) -> None:
    """Cut off by Redis, and after a restart of it, it subscribes again without being told."""
    ear = Ear()
    async with hearing(own_redis_server.url, a=ear) as (_, lines):
        await publish(own_redis_server, "a", "1")
        assert await ear.next() == b"1"
        own_redis_server.command("CLIENT", "KILL", "TYPE", "pubsub")
        await publish(own_redis_server, "a", "2")
        assert await ear.next() == b"2"
        own_redis_server.kill()
        own_redis_server.start()
        await publish(own_redis_server, "a", "3")
        assert await ear.next() == b"3"
    assert [line for line in lines if line["log_level"] != "debug"] == []


async def test_paused_it_lets_go_and_resumed_it_hears(redis_server: RedisServer) -> None:
    """While the link is away there is no connection; then there is one again."""
    ear = Ear()
    async with hearing(redis_server.url, a=ear) as (channels, _):
        await publish(redis_server, "a", "1")
        assert await ear.next() == b"1"
        channels.pause()
        async with asyncio.timeout(SOON_S):
            while redis_server.command("PUBSUB", "NUMSUB", "a")[1] != 0:  # noqa: ASYNC110
                await asyncio.sleep(0)
        channels.resume()
        await publish(redis_server, "a", "2")
        assert await ear.next() == b"2"


async def test_a_user_who_may_not_hear_is_warned_of_once(own_redis_server: RedisServer) -> None:
    """An access list without the channel is one warning, also after several attempts."""
    own_redis_server.command(
        "ACL", "SETUSER", "ann", "on", ">sesame", "+@all", "~*", "resetchannels"
    )
    async with hearing(own_redis_server.url_for("ann", "sesame"), a=Ear()) as (_, lines):
        async with asyncio.timeout(SOON_S):
            while len(lines) < 3:  # noqa: ASYNC110  each attempt is a line
                await asyncio.sleep(0)
    assert [line["log_level"] for line in lines[:3]] == ["warning", "debug", "debug"]
    assert "sesame" not in str(lines)


async def test_without_a_channel_there_is_no_connection(redis_server: RedisServer) -> None:
    """Nothing is opened where nobody wants to hear."""
    async with hearing(redis_server.url):
        await asyncio.sleep(0)
        assert redis_server.command("CLIENT", "LIST").count(b"\n") == 1
