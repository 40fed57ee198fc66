"""Tests of the two cores of a run."""

import os

from bench.cores import Cores, choose_cores, pinned_to


def test_the_system_gets_the_first_core_and_the_tools_the_second() -> None:
    """Of the allowed cores the lowest is measured and the next one loads it."""
    assert Cores(2, 5) == choose_cores({7, 5, 2})


def test_one_core_keeps_nothing_apart() -> None:
    """With a single core nothing is pinned and the run knows that it cannot be compared."""
    cores = choose_cores({0})
    assert Cores(None, None) == cores
    assert not cores.are_apart


def test_pinning_ends_with_its_block() -> None:
    """Inside the block only the given core is allowed, behind it all the former ones are."""
    before = os.sched_getaffinity(0)
    core = max(before)
    with pinned_to(core):
        assert {core} == os.sched_getaffinity(0)
    assert before == os.sched_getaffinity(0)


def test_no_core_pins_nothing() -> None:
    """Without a core the block runs where it ran before."""
    before = os.sched_getaffinity(0)
    with pinned_to(None):
        assert before == os.sched_getaffinity(0)
