"""A body that is pushed on: held, counted, under clocks, as fast as its client takes it."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from proxy.domain.errors import (
    ProxyError,
    UpstreamDisconnected,
    UpstreamTimeout,
    UpstreamTooLarge,
)
from proxy.domain.exchange import ResponseHead
from proxy.domain.settings import Clocks
from proxy.pipeline.passed_answer import MOST_HELD_BYTES, PassedAnswer


class _Opened:
    """An answer that notes what it is told."""

    head = ResponseHead(200, {})

    def __init__(self) -> None:
        self.told: list[str] = []

    def resume(self) -> None:
        """Take note."""
        self.told.append("resume")

    def pause(self) -> None:
        """Take note."""
        self.told.append("pause")

    def close(self) -> None:
        """Take note."""
        self.told.append("close")


class _Reply:
    """A reply that keeps what it gets."""

    started = is_open = is_client_gone = False

    def __init__(self) -> None:
        self.body = b""
        self.pause: Callable[[], None] | None = None
        self.resume: Callable[[], None] | None = None

    async def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Do nothing."""

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Do nothing."""

    def data(self, chunk: bytes) -> None:
        """Keep it."""
        self.body += chunk

    def on_flow(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Keep both."""
        self.pause, self.resume = pause, resume

    async def end(self) -> None:
        """Do nothing."""

    def end_at_once(self) -> None:
        """Do nothing."""


def _open(
    max_bytes: int = 10_000_000, spent_s: float = 0.0, clocks: Clocks | None = None
) -> tuple[PassedAnswer, _Opened]:
    opened = _Opened()
    return PassedAnswer(opened, clocks or Clocks(), max_bytes, spent_s=spent_s), opened


async def test_a_body_of_modest_size_is_held_until_it_is_whole() -> None:
    """It flows once it is wanted, and comes back in one piece."""
    answer, opened = _open()
    holding = asyncio.ensure_future(answer.hold())
    await asyncio.sleep(0)
    assert opened.told == ["resume"]
    answer.data(b"ab")
    answer.data(b"c")
    answer.end()
    assert await holding == b"abc"
    answer.close()


async def test_a_longer_one_is_pushed_on() -> None:
    """What is above the limit stops the flow, and all of it goes to the reply."""
    answer, opened = _open()
    holding = asyncio.ensure_future(answer.hold())
    await asyncio.sleep(0)
    answer.data(b"x" * (MOST_HELD_BYTES + 1))
    assert await holding is None
    assert opened.told == ["resume", "pause"]
    reply = _Reply()
    delivering = asyncio.ensure_future(answer.deliver(reply))
    await asyncio.sleep(0)
    answer.data(b"y")
    answer.end()
    await delivering
    assert reply.body == b"x" * (MOST_HELD_BYTES + 1) + b"y"
    answer.close()
    assert opened.told[-1] == "close"


async def test_a_slow_client_holds_the_provider_up() -> None:
    """Pauses and goes on as the client does; that is nobody's silence."""
    answer, opened = _open(clocks=Clocks(idle_s=0.05))
    reply = _Reply()
    delivering = asyncio.ensure_future(answer.deliver(reply))
    await asyncio.sleep(0)
    assert reply.pause is not None
    assert reply.resume is not None
    reply.pause()
    # Longer than the provider may be silent for.
    over = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.15, over.set_result, None)
    await over
    assert not delivering.done()
    reply.resume()
    assert opened.told == ["resume", "pause", "resume"]
    answer.end()
    await delivering
    answer.close()


@pytest.mark.parametrize(
    ("clocks", "spent_s", "code"),
    [
        (Clocks(idle_s=0.05), 0.0, "upstream_stalled"),
        (Clocks(total_s=9.0), 8.95, "upstream_total_timeout"),
    ],
)
async def test_a_clock_ends_an_answer(clocks: Clocks, spent_s: float, code: str) -> None:
    """Silence, and too much time from the request on, end it and let go of the provider."""
    answer, opened = _open(spent_s=spent_s, clocks=clocks)
    with pytest.raises(UpstreamTimeout) as caught:
        await answer.deliver(_Reply())
    assert caught.value.code == code
    assert opened.told[-1] == "close"
    answer.close()


async def test_an_answer_above_its_cap_ends() -> None:
    """Beyond the cap nothing goes on, whether it is held or pushed."""
    answer, _ = _open(max_bytes=10)
    reply = _Reply()
    delivering = asyncio.ensure_future(answer.deliver(reply))
    await asyncio.sleep(0)
    answer.data(b"x" * 10)
    answer.data(b"y")
    answer.data(b"z")
    with pytest.raises(UpstreamTooLarge):
        await delivering
    assert reply.body == b"x" * 10
    answer.close()


@pytest.mark.parametrize("error", [UpstreamDisconnected(), UpstreamTooLarge()])
async def test_what_broke_is_raised_where_it_is_waited_for(error: ProxyError) -> None:
    """Of a body that breaks its error is told once, also while it is held."""
    answer, _ = _open()
    holding = asyncio.ensure_future(answer.hold())
    await asyncio.sleep(0)
    answer.data(b"ab")
    answer.fail(error)
    answer.fail(UpstreamTimeout())
    with pytest.raises(type(error)):
        await holding
    answer.close()
