"""The ceiling that a late event loop sets: when there is one, how it moves, and when it goes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.shedding import (
    BEATS_PER_ROUND,
    CALM_S,
    FAR_TOO_LATE,
    HARD_CUT,
    HELD_SHARE,
    LATE_ROUNDS,
    LEAST_IN_FLIGHT,
    SOFT_CUT,
    Shedding,
)

MAX_LAG_S = 0.1
BEAT_S = 0.025
LATE_S, IN_TIME_S = 0.5, 0.001


class Worker:
    """A loop that beats as a test says."""

    def __init__(self) -> None:
        self.shedding = Shedding()
        self.now_s = 0.0

    def beat(self, lag_s: float, in_flight: int, *, was_pressed: bool = False) -> int | None:
        """Beat once, and return the ceiling."""
        self.now_s += BEAT_S + lag_s
        self.shedding.beat(
            lag_s,
            in_flight,
            self.now_s,
            max_lag_s=MAX_LAG_S,
            was_pressed=was_pressed,
        )
        return self.shedding.ceiling

    def pass_rounds(
        self, rounds: int, lag_s: float, in_flight: int, *, was_pressed: bool = False
    ) -> int | None:
        """Beat for some rounds, and return the ceiling."""
        for _ in range(rounds * BEATS_PER_ROUND):
            self.beat(lag_s, in_flight, was_pressed=was_pressed)
        return self.shedding.ceiling

    def become_late(self, in_flight: int) -> int:
        """Be late until there is a ceiling, and return it."""
        ceiling = self.pass_rounds(LATE_ROUNDS, LATE_S, in_flight)
        assert ceiling is not None
        return ceiling


@given(st.lists(st.floats(0.0, 10.0), max_size=40), st.integers(0, 3000))
def test_a_hiccup_refuses_nobody(hiccups_s: list[float], in_flight: int) -> None:
    """However long single beats are late, there is no ceiling while most of a round is in time."""
    worker = Worker()
    for hiccup_s in hiccups_s:
        assert worker.beat(hiccup_s, in_flight) is None
        for _ in range(BEATS_PER_ROUND - 1):
            assert worker.beat(IN_TIME_S, in_flight) is None


@given(st.floats(0.0, MAX_LAG_S), st.integers(0, 10_000))
def test_a_loop_in_time_never_refuses(lag_s: float, in_flight: int) -> None:
    """As long as no beat is later than allowed there is no ceiling, whatever is under way."""
    worker = Worker()
    assert worker.pass_rounds(20, lag_s, in_flight) is None
    assert worker.shedding.has_room(in_flight)


def test_a_loop_that_stays_late_gets_a_ceiling_below_what_is_under_way() -> None:
    """After some late rounds in a row, not before, fewer may be under way than there are."""
    worker = Worker()
    assert worker.pass_rounds(LATE_ROUNDS - 1, LATE_S, 400) is None
    assert worker.pass_rounds(1, IN_TIME_S, 400) is None
    assert worker.pass_rounds(LATE_ROUNDS - 1, LATE_S, 400) is None
    ceiling = worker.pass_rounds(1, LATE_S, 400)
    assert ceiling is not None
    assert ceiling == 400 * HARD_CUT
    assert not worker.shedding.has_room(ceiling)
    assert worker.shedding.has_room(ceiling - 1)


def test_a_little_late_is_a_little_less() -> None:
    """Close to what is in time the ceiling falls softly, as lag rises steeply with load."""
    worker = Worker()
    first = worker.become_late(400)
    held_s = MAX_LAG_S * HELD_SHARE
    assert worker.pass_rounds(1, held_s * FAR_TOO_LATE * 0.99, first) == int(first * SOFT_CUT)


def test_with_a_ceiling_the_loop_is_held_to_a_part_of_the_bound() -> None:
    """What was in time before anybody was refused is late while somebody is."""
    worker = Worker()
    assert worker.pass_rounds(20, MAX_LAG_S, 400) is None
    first = worker.become_late(400)
    second = worker.pass_rounds(1, MAX_LAG_S, first)
    assert second is not None
    assert second < first
    assert worker.pass_rounds(1, MAX_LAG_S * HELD_SHARE, second) == second


def test_a_ceiling_falls_softly_only_once_it_has_been_reached() -> None:
    """While more is under way than it allows, a little late is no reason to let it fall again."""
    worker = Worker()
    first = worker.become_late(400)
    a_little_s = MAX_LAG_S * HELD_SHARE * 1.5
    assert worker.pass_rounds(5, a_little_s, 400) == first
    second = worker.pass_rounds(1, a_little_s, first)
    assert second is not None
    assert second < first


def test_far_too_late_nobody_else_is_let_in_until_it_is_in_time() -> None:
    """Streams end when they end: meanwhile it falls to the least, then begins at what is left."""
    worker = Worker()
    worker.become_late(2000)
    assert worker.pass_rounds(5, LATE_S, 2000) == LEAST_IN_FLIGHT
    assert worker.pass_rounds(1, IN_TIME_S, 450) == 450


def test_a_ceiling_rises_while_somebody_is_refused() -> None:
    """In time again, it grows round by round as long as it refuses, and starts at what is there."""
    worker = Worker()
    ceiling = worker.become_late(400)
    grown = worker.pass_rounds(1, IN_TIME_S, 390, was_pressed=True)
    assert grown is not None
    assert grown > 390 > ceiling
    again = worker.pass_rounds(1, IN_TIME_S, grown, was_pressed=True)
    assert again is not None
    assert again > grown


def test_a_ceiling_goes_when_nobody_was_refused_for_a_while() -> None:
    """In time and unpressed for long enough there is none; lateness on the way begins anew."""
    worker = Worker()
    worker.become_late(400)
    rounds = int(CALM_S / (BEATS_PER_ROUND * (BEAT_S + IN_TIME_S)))
    assert worker.pass_rounds(rounds - 1, IN_TIME_S, 10) is not None
    assert worker.pass_rounds(1, LATE_S, 10) is not None
    assert worker.pass_rounds(rounds - 1, IN_TIME_S, 10) is not None
    assert worker.pass_rounds(3, IN_TIME_S, 10) is None


def test_without_a_bound_there_is_no_ceiling() -> None:
    """Taken out of the configuration, a ceiling that there was is gone with the next beat."""
    worker = Worker()
    worker.become_late(400)
    worker.shedding.beat(LATE_S, 400, worker.now_s + 1.0, max_lag_s=None)
    assert worker.shedding.ceiling is None
    assert worker.pass_rounds(LATE_ROUNDS - 1, LATE_S, 400) is None


@given(
    st.lists(
        st.tuples(st.floats(0.0, 5.0), st.integers(0, 5000), st.booleans()),
        max_size=300,
    )
)
def test_somebody_is_always_served(beats: list[tuple[float, int, bool]]) -> None:
    """Whatever happens the ceiling is never below the least, and moves once in a round at most."""
    worker = Worker()
    ceilings: list[int | None] = []
    for lag_s, in_flight, was_pressed in beats:
        ceilings.append(worker.beat(lag_s, in_flight, was_pressed=was_pressed))
    assert all(each is None or each >= LEAST_IN_FLIGHT for each in ceilings)
    for number, (before, after) in enumerate(pairwise([None, *ceilings]), start=1):
        assert before == after or number % BEATS_PER_ROUND == 0
