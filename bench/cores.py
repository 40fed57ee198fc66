"""Which core runs the system under test and which one the tools that load it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct


class Cores(Struct, frozen=True):
    """The two cores of a run; None where there are too few to keep the sides apart."""

    system: int | None
    tools: int | None

    @property
    def are_apart(self) -> bool:
        """Whether the system under test has a core of its own."""
        return self.system is not None and self.tools is not None


def choose_cores(allowed: set[int]) -> Cores:
    """Return the first allowed core for the system under test and the second for the tools."""
    if len(allowed) < 2:
        return Cores(None, None)
    system, tools = sorted(allowed)[:2]
    return Cores(system, tools)


@contextmanager
def pinned_to(core: int | None) -> Iterator[None]:
    """
    Run the body, and every process it starts, on `core`; None changes nothing.

    Children inherit the affinity and pass it on, so a whole process tree stays on its core.
    """
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
