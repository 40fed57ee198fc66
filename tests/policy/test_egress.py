"""The way out is down when nobody can be reached, and never because of one provider."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.egress import STANDS_S, WITHIN_S, EgressWatch

NAMES = ("a", "b", "c")


def test_one_provider_is_never_the_way_out() -> None:
    """However often one provider is out of reach, it may be its own network."""
    watch = EgressWatch()
    for second in range(100):
        watch.note_fault("a", second)
        assert not watch.is_down(second)


def test_two_providers_are() -> None:
    """From the fault of a second provider on the way out is down, and from no earlier one."""
    watch = EgressWatch()
    watch.note_fault("a", 100.0)
    assert not watch.is_down(100.0)
    watch.note_fault("b", 100.0 + WITHIN_S)
    assert watch.is_down(100.0 + WITHIN_S)


def test_faults_that_lie_far_apart_are_two_stories() -> None:
    """A second provider that fails later than WITHIN_S after the first says nothing of both."""
    watch = EgressWatch()
    watch.note_fault("a", 100.0)
    watch.note_fault("b", 100.1 + WITHIN_S)
    assert not watch.is_down(100.1 + WITHIN_S)
    watch.note_fault("a", 105.0 + WITHIN_S)
    assert watch.is_down(105.0 + WITHIN_S)


def test_the_last_fault_of_each_counts() -> None:
    """A provider that goes on failing is remembered with its newest fault, not with its first."""
    watch = EgressWatch()
    for second in (100.0, 109.0, 118.0):
        watch.note_fault("a", second)
    watch.note_fault("b", 119.0)
    assert watch.is_down(119.0)


def test_the_first_sign_of_life_ends_it() -> None:
    """Anything that comes back ends it, and what failed before counts no more."""
    watch = EgressWatch()
    watch.note_fault("a", 1.0)
    watch.note_fault("b", 1.0)
    watch.note_life()
    assert not watch.is_down(1.0)
    watch.note_fault("a", 2.0)
    assert not watch.is_down(2.0)
    watch.note_fault("c", 2.0)
    assert watch.is_down(2.0)


def test_a_provider_that_answers_keeps_it_up() -> None:
    """Of three providers two may be out of reach as long as the third one answers between."""
    watch = EgressWatch()
    for second in range(50):
        watch.note_fault("a", second)
        watch.note_life()
        watch.note_fault("b", second)
        watch.note_life()
        assert not watch.is_down(second)


def test_few_requests_do_not_make_it_look_up() -> None:
    """Once it is down it stays so at one fault a minute, also if all are of one provider."""
    watch = EgressWatch()
    watch.note_fault("a", 0.0)
    watch.note_fault("b", 1.0)
    for second in range(60, 6000, 60):
        assert watch.is_down(second)
        watch.note_fault("a", second)
        assert watch.is_down(second)


def test_what_nobody_tries_is_not_known() -> None:
    """Without any attempt for STANDS_S it is not told to be down any more."""
    watch = EgressWatch()
    watch.note_fault("a", 0.0)
    watch.note_fault("b", 0.0)
    assert watch.is_down(STANDS_S)
    assert not watch.is_down(STANDS_S + 0.1)
    watch.note_fault("a", STANDS_S + 0.2)
    assert not watch.is_down(STANDS_S + 0.2)


PASSED_S = st.one_of(st.floats(0.0, 20.0), st.floats(0.0, 2 * STANDS_S))


@given(st.lists(st.tuples(st.sampled_from((*NAMES, "")), PASSED_S), max_size=60))
def test_it_is_what_its_whole_history_says(steps: list[tuple[str, float]]) -> None:
    """Two names and times are enough: it says the same as who remembers every fault."""
    watch = EgressWatch()
    faults: list[tuple[str, float]] = []
    was_down = False
    now_s = 0.0
    for name, passed_s in steps:
        now_s += passed_s
        if name:
            watch.note_fault(name, now_s)
            was_down = was_down and now_s - faults[-1][1] <= STANDS_S
            faults.append((name, now_s))
            recent = {other for other, at_s in faults if now_s - at_s <= WITHIN_S}
            was_down = was_down or len(recent) > 1
        else:
            watch.note_life()
            faults.clear()
            was_down = False
        is_fresh = bool(faults) and now_s - faults[-1][1] <= STANDS_S
        assert watch.is_down(now_s) == (was_down and is_fresh)
