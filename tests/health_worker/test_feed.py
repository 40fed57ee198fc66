"""What the supervisor says to its health worker, and what that makes of it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from health_worker.feed import SupervisedFeed
from proxy.config.snapshot import encode_snapshot
from proxy.control.frames import Link, build_client_end, build_server_end
from proxy.control.messages import (
    Ack,
    Answer,
    Ask,
    ClientMessage,
    Drain,
    Happened,
    Nack,
    Ping,
    Pong,
    Publish,
    Ready,
    ReopenLog,
    Verdicts,
    Watch,
)
from proxy.domain.catalog import Provider, Snapshot
from proxy.domain.event import Event
from proxy.domain.health import HealthNews, WatchedEndpoint
from proxy.domain.settings import InstallSettings, Settings

pytestmark = pytest.mark.usefixtures("no_leaks")

WATCHED = WatchedEndpoint("beside", "http://127.0.0.1:9")
INSTALL = InstallSettings(workers=3)


def publish(generation: int, type_name: str = "openai_compatible") -> Publish:
    """Return the message that has a snapshot with one provider taken."""
    provider = Provider("a", type_name, "https://a.example/v1")
    snapshot = Snapshot(generation, 0.0, Settings(), {"a": provider}, {}, {})
    return Publish(generation, encode_snapshot(snapshot))


class Fed:
    """A feed, the supervisor's end of its connection, and what has reached the health worker."""

    def __init__(self, link: Link[ClientMessage]) -> None:
        self.link = link
        self.configs: list[tuple[Snapshot, Sequence[WatchedEndpoint], InstallSettings]] = []
        self.asks: list[Ask] = []
        self.events: list[Event] = []
        self.reopened = 0
        self.feed: SupervisedFeed
        self.running: asyncio.Task[None]
        self._said = link.receive()

    async def hear(self) -> ClientMessage:
        """Return the next message to the supervisor."""
        async with asyncio.timeout(20):
            return await anext(self._said)

    async def settle(self) -> None:
        """Return when all that was sent has been dealt with."""
        self.link.send(Ping(9))
        while await self.hear() != Pong(9):
            continue

    def count_reopening(self) -> None:
        """Note that the log was to be opened anew."""
        self.reopened += 1


@asynccontextmanager
async def feeding() -> AsyncIterator[Fed]:
    """Run a feed over a real connection."""
    ours, theirs = socket.socketpair()
    fed = Fed(build_server_end(*await asyncio.open_unix_connection(sock=ours)))
    link = build_client_end(*await asyncio.open_unix_connection(sock=theirs))
    take: Callable[..., None] = lambda *config: fed.configs.append(config)  # noqa: E731
    fed.feed = SupervisedFeed(
        link,
        INSTALL,
        on_config=take,
        on_ask=fed.asks.append,
        on_events=fed.events.extend,
        on_reopen=fed.count_reopening,
    )
    fed.running = asyncio.create_task(fed.feed.run())
    yield fed
    await fed.link.close()
    await asyncio.wait_for(fed.running, 20)
    await link.close()


async def test_a_configuration_is_taken_with_what_is_watched_besides() -> None:
    """The snapshot comes with the endpoints told before it; the first one makes it ready."""
    async with feeding() as fed:
        fed.link.send(Watch((WATCHED,)))
        fed.link.send(publish(1))
        assert [await fed.hear(), await fed.hear()] == [Ready(), Ack(1)]
        fed.link.send(publish(2))
        assert await fed.hear() == Ack(2)
        (snapshot, endpoints, install) = fed.configs[1]
        assert (snapshot.generation, endpoints, install) == (2, (WATCHED,), INSTALL)
        assert list(snapshot.providers) == ["a"]


async def test_a_snapshot_that_cannot_be_read_changes_nothing() -> None:
    """It is refused, and what was taken before stays."""
    async with feeding() as fed:
        fed.link.send(publish(1))
        fed.link.send(Publish(2, (b"no snapshot",)))
        assert [await fed.hear(), await fed.hear(), await fed.hear()] == [Ready(), Ack(1), Nack(2)]
        assert len(fed.configs) == 1


async def test_a_type_that_no_package_brings_keeps_nothing_else_from_being_checked() -> None:
    """The configuration is taken; the log says which type is missing."""
    async with feeding() as fed:
        with capture_logs() as lines:
            fed.link.send(publish(1, "of-nobody"))
            assert [await fed.hear(), await fed.hear()] == [Ready(), Ack(1)]
        assert "'of-nobody'" in lines[0]["reason"]


async def test_asks_events_and_logs_are_passed_on() -> None:
    """What is asked, what has happened in workers, and a log that was moved reach their places."""
    async with feeding() as fed:
        ask, event = Ask(3, "check"), Event("breaker", 1.0, b"{}")
        for message in (ask, Happened((event,)), ReopenLog()):
            fed.link.send(message)
        await fed.settle()
        assert (fed.asks, fed.events, fed.reopened) == ([ask], [event], 1)


async def test_what_is_told_reaches_the_supervisor() -> None:
    """Verdicts and answers come out at the other end."""
    async with feeding() as fed:
        news, answer = Verdicts(HealthNews(1, 1)), Answer(3, b"{}")
        fed.feed.send(news)
        fed.feed.send(answer)
        assert [await fed.hear(), await fed.hear()] == [news, answer]


@pytest.mark.parametrize("how", ["told", "left"])
async def test_it_ends_when_it_is_told_to_or_left_alone(how: str) -> None:
    """The feed ends at a drain, and when the supervisor is gone."""
    async with feeding() as fed:
        if how == "told":
            fed.link.send(Drain(1.0))
        else:
            await fed.link.close()
        await asyncio.wait_for(fed.running, 20)
