"""Collecting a body: whole, capped, clocked."""

import asyncio

import pytest

from proxy.domain.errors import UpstreamDisconnected, UpstreamTimeout, UpstreamTooLarge
from proxy.domain.exchange import ResponseHead
from proxy.pipeline.whole_answer import BodyCollector


class Opened:
    """An OpenedResponse whose test pushes the body."""

    head = ResponseHead(200, {})

    def __init__(self) -> None:
        self.resumed = asyncio.Event()
        self.closed = 0

    def resume(self) -> None:
        """Take note."""
        self.resumed.set()

    def pause(self) -> None:
        """Nothing to hold."""

    def close(self) -> None:
        """Count it."""
        self.closed += 1


async def test_a_body_in_pieces_comes_out_whole() -> None:
    """The pieces are joined, and the response is let go of."""
    opened = Opened()
    collector = BodyCollector(opened, 100)
    collecting = asyncio.ensure_future(collector.collect(10.0))
    await opened.resumed.wait()
    collector.data(b"ab")
    collector.data(b"c")
    collector.end()
    assert await collecting == b"abc"
    assert opened.closed == 1


async def test_a_body_above_its_cap_is_refused_at_once() -> None:
    """Passing the cap closes the response without waiting for the end."""
    opened = Opened()
    collector = BodyCollector(opened, 3)
    collecting = asyncio.ensure_future(collector.collect(10.0))
    await opened.resumed.wait()
    collector.data(b"abcd")
    assert opened.closed == 1
    with pytest.raises(UpstreamTooLarge):
        await collecting


async def test_the_start_of_a_body_can_be_enough() -> None:
    """With `keeps_start` the cap cuts instead of failing."""
    opened = Opened()
    collector = BodyCollector(opened, 3, keeps_start=True)
    collecting = asyncio.ensure_future(collector.collect(10.0))
    await opened.resumed.wait()
    collector.data(b"abcd")
    collector.data(b"never looked at")
    assert await collecting == b"abc"


async def test_a_body_that_breaks_fails() -> None:
    """What the transport says goes through."""
    collector = BodyCollector(Opened(), 100)
    collector.fail(UpstreamDisconnected())
    with pytest.raises(UpstreamDisconnected):
        await collector.collect(10.0)


async def test_a_body_that_takes_too_long_fails() -> None:
    """The clock ends the wait, with its own code."""
    opened = Opened()
    with pytest.raises(UpstreamTimeout) as caught:
        await BodyCollector(opened, 100).collect(0.01)
    assert caught.value.code == "upstream_answer_timeout"
    assert opened.closed == 1
