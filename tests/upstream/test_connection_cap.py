"""A ConnectionCap gives out no more than it has, in turn, and loses nothing."""

import asyncio

import pytest

from proxy.upstream.connection_cap import ConnectionCap
from tests.upstream.asking import take_turns


def _in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_no_more_than_the_limit_is_given_out() -> None:
    """Behind the last slot a taker waits until its time is up, and takes nothing."""
    cap = ConnectionCap(2)
    await cap.take(_in(60.0))
    await cap.take(_in(60.0))
    with pytest.raises(TimeoutError):
        await cap.take(_in(0.01))
    cap.give_back()
    await cap.take(_in(60.0))


async def test_room_is_a_slot_that_nobody_waits_for() -> None:
    """There is room while a slot is free; one that goes on to who waits was never room."""
    cap = ConnectionCap(1)
    assert cap.has_room
    await cap.take(_in(60.0))
    assert not cap.has_room
    waiting = asyncio.ensure_future(cap.take(_in(60.0)))
    await take_turns(3)
    cap.give_back()
    assert not cap.has_room
    await waiting
    cap.give_back()
    assert cap.has_room


async def test_who_waits_longest_is_served_first() -> None:
    """Slots that come back go to the takers in the order in which they came."""
    cap = ConnectionCap(1)
    served: list[int] = []

    async def take(number: int) -> None:
        await cap.take(_in(60.0))
        served.append(number)

    await cap.take(_in(60.0))
    tasks = [asyncio.ensure_future(take(number)) for number in range(3)]
    await take_turns(3)
    for _ in tasks:
        cap.give_back()
    await asyncio.gather(*tasks)
    assert served == [0, 1, 2]


@pytest.mark.parametrize("when", ["before", "after", "between"])
async def test_a_cancelled_taker_loses_no_slot(when: str) -> None:
    """A taker that is cancelled around the moment in which it is served passes the slot on."""
    cap = ConnectionCap(1)
    await cap.take(_in(60.0))
    first = asyncio.ensure_future(cap.take(_in(60.0)))
    second = asyncio.ensure_future(cap.take(_in(60.0)))
    await take_turns(3)
    if when == "before":
        first.cancel()
    elif when == "between":
        first.cancel()
        await take_turns(3)
    cap.give_back()
    if when == "after":
        first.cancel()
    async with asyncio.timeout(10.0):
        await second
    with pytest.raises(asyncio.CancelledError):
        await first
