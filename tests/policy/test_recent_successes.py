"""When requests prove that a provider works."""

from proxy.policy.recent_successes import ENOUGH, WITHIN_S, RecentSuccesses


def test_five_within_half_a_minute_are_enough() -> None:
    """The fifth makes it so, for as long as all five are that young."""
    successes = RecentSuccesses()
    for number in range(ENOUGH):
        assert not successes.is_enough(float(number))
        successes.note(float(number))
    assert successes.is_enough(WITHIN_S)
    assert not successes.is_enough(WITHIN_S + 0.1)
    successes.note(WITHIN_S + 1.0)
    assert successes.is_enough(WITHIN_S + 1.0)


def test_two_failures_in_a_row_end_it() -> None:
    """One that died is vouched for by two requests at most; a single failure changes nothing."""
    successes = RecentSuccesses()
    for _ in range(ENOUGH):
        successes.note(1.0)
    successes.note_failure()
    assert successes.is_enough(1.0)
    successes.note(1.0)
    successes.note_failure()
    assert successes.is_enough(1.0)
    successes.note_failure()
    assert not successes.is_enough(1.0)
    for number in range(ENOUGH):
        assert not successes.is_enough(1.0), number
        successes.note(1.0)
    assert successes.is_enough(1.0)


def test_any_number_in_a_long_time_is_not_enough() -> None:
    """One each ten seconds never is."""
    successes = RecentSuccesses()
    for number in range(100):
        successes.note(number * 10.0)
        assert not successes.is_enough(number * 10.0)
