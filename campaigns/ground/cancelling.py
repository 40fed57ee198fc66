"""Asks that are cancelled at random moments, and what came of those that were not."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from msgspec import Struct, field

MOST_TURNS = 24
"""Of the event loop, that go by before a cancellation."""
LONGEST_S = 0.006
LET_BE = 0.3
"""The share of all asks that are not cancelled: it is their answers that could be another's."""

Ask = Callable[[str], Coroutine[Any, Any, str | None]]
"""Asks for the answer to a tag; returns what is wrong with it, None if it is the tag's own."""


class Tally(Struct):
    """What became of the asks."""

    cancelled: int = 0
    answered: int = 0
    complaints: list[str] = field(default_factory=list)
    """Answers that were not those of their tag."""
    failed: Counter[str] = field(default_factory=Counter)
    """Asks that ended with an error, by its name."""


async def cancel_at_random(
    ask: Ask, wanted: int, at_once: int, expected: tuple[type[Exception], ...], seed: int
) -> Tally:
    """
    Ask, `at_once` at a time, until so many asks were cancelled as are wanted.

    `expected` are the errors that an ask may end with; any other ends the campaign.
    """
    tally, numbers = Tally(), itertools.count(1)

    async def drive(chance: random.Random) -> None:
        while tally.cancelled < wanted:
            await _ask_once(ask(f"tag-{next(numbers) % 10**8:08d}"), chance, expected, tally)

    async with asyncio.TaskGroup() as group:
        for number in range(at_once):
            group.create_task(drive(random.Random(f"{seed}/{number}")))
    return tally


async def _ask_once(
    work: Coroutine[Any, Any, str | None],
    chance: random.Random,
    expected: tuple[type[Exception], ...],
    tally: Tally,
) -> None:
    task = asyncio.create_task(work)
    if chance.random() >= LET_BE:
        await _let_some_time_pass(chance)
        task.cancel()
    try:
        complaint = await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
        tally.cancelled += 1
    except expected as error:
        tally.failed[type(error).__name__] += 1
    else:
        tally.answered += 1
        if complaint is not None:
            tally.complaints.append(complaint)


def _let_some_time_pass(chance: random.Random) -> Awaitable[None]:
    """Wait for some turns of the loop or some milliseconds, so that any step may be the last."""
    if chance.random() < 0.5:
        return _let_turns_pass(chance.randrange(MOST_TURNS))
    return asyncio.sleep(chance.random() * LONGEST_S)


async def _let_turns_pass(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
