"""A Deadline cancels what takes too long, and nothing else."""

import asyncio

import pytest

from proxy.upstream.deadline import GRACE_TURNS, Deadline


async def test_time_up_is_a_timeout_error() -> None:
    """A block that waits longer than its deadline ends in TimeoutError, and the task goes on."""
    with pytest.raises(TimeoutError), Deadline(0.01):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_block_in_time_is_left_alone() -> None:
    """A block that ends in time is not disturbed, then or later."""
    with Deadline(0.01):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), Deadline(0.03):
        await asyncio.Event().wait()


async def test_what_comes_in_the_turns_before_the_strike_counts() -> None:
    """Time is up, and what was waited for is there a moment later: the block goes on."""
    loop = asyncio.get_running_loop()
    came = loop.create_future()
    loop.call_soon(loop.call_soon, loop.call_soon, came.set_result, "in time")
    with Deadline(0.0):
        assert await came == "in time"
    for _ in range(2 * GRACE_TURNS):
        await asyncio.sleep(0)


async def test_a_cancellation_from_elsewhere_passes_through() -> None:
    """Cancelling the task ends the block as cancelled, not as timed out."""
    entered = asyncio.Event()

    async def wait() -> None:
        with Deadline(60.0):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(wait())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_inner_of_two_deadlines_tells_its_own() -> None:
    """Nested deadlines expire one by one: the inner one's TimeoutError can be handled inside."""
    with pytest.raises(TimeoutError), Deadline(0.05):
        with pytest.raises(TimeoutError), Deadline(0.01):
            await asyncio.Event().wait()
        await asyncio.Event().wait()


async def test_an_error_in_the_block_is_not_covered_up() -> None:
    """An exception of the block's own is the one that leaves it."""
    with pytest.raises(KeyError), Deadline(60.0):
        raise KeyError


def test_a_deadline_needs_a_task() -> None:
    """Outside a task there is nothing to cancel: that is an error at once."""
    with pytest.raises(RuntimeError):
        Deadline(1.0)
