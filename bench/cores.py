"""Which cores run the system under test and which one the tools that load it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec import Struct


class Cores(Struct, frozen=True):
    """
    The cores of a run: `system` and `tools` are one each, or empty where there are too few.

    `spare` is a third one, if there is any.
    """

    system: tuple[int, ...]
    tools: tuple[int, ...]
    spare: tuple[int, ...] = ()

    @property
    def are_apart(self) -> bool:
        """Whether a system of one core has that core to itself."""
        return bool(self.system)

    def take(self, count: int) -> tuple[int, ...]:
        """Return the cores of a system that runs on `count`; the tools' is the last resort."""
        return (*self.system, *self.spare, *self.tools)[:count]


NOT_PINNED = Cores((), ())


def choose_cores(allowed: set[int]) -> Cores:
    """Return the first allowed core for the system under test and the second for the tools."""
    if len(allowed) < 2:
        return NOT_PINNED
    system, tools, *others = sorted(allowed)
    return Cores((system,), (tools,), tuple(others[:1]))


@contextmanager
def pinned_to(cores: Sequence[int]) -> Iterator[None]:
    """
    Run the body, and every process it starts, on `cores`; none changes nothing.

    Children inherit the affinity and pass it on, so a whole process tree stays where it is.
    """
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
