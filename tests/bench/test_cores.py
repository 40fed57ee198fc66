"""Tests of the cores of a run."""

import os

from bench.cores import NOT_PINNED, Cores, choose_cores, pinned_to


def test_the_system_gets_the_first_core_and_the_tools_the_second() -> None:
    """Of the allowed cores the lowest is measured, the next one loads it, a third is spare."""
    assert Cores((2,), (5,), (7,)) == choose_cores({9, 7, 5, 2})
    assert Cores((2,), (5,)) == choose_cores({5, 2})


def test_a_system_of_two_cores_takes_the_tools_core_only_if_there_is_no_third() -> None:
    """With three cores the tools keep theirs; with two they have to share it."""
    assert choose_cores({0, 1, 2}).take(2) == (0, 2)
    assert choose_cores({0, 1}).take(2) == (0, 1)
    assert choose_cores({0, 1}).take(1) == (0,)


def test_one_core_keeps_nothing_apart() -> None:
    """With a single core nothing is pinned and the run knows that it cannot be compared."""
    cores = choose_cores({0})
    assert cores == NOT_PINNED
    assert not cores.are_apart
    assert cores.take(2) == ()


def test_pinning_ends_with_its_block() -> None:
    """Inside the block only the given core is allowed, behind it all the former ones are."""
    before = os.sched_getaffinity(0)
    core = max(before)
    with pinned_to((core,)):
        assert {core} == os.sched_getaffinity(0)
    assert before == os.sched_getaffinity(0)


def test_no_core_pins_nothing() -> None:
    """Without a core the block runs where it ran before."""
    before = os.sched_getaffinity(0)
    with pinned_to(()):
        assert before == os.sched_getaffinity(0)
