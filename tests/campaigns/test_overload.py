"""The campaign of overload: what it reckons from what it has measured, and what its page says."""

import pytest

from campaigns.base import PASSED
from campaigns.ground.overload_loads import LOADS, Load
from campaigns.overload import Measured, Offer, Turn, build_result

JUDGED = LOADS[0]
TOLD = LOADS[-1]


def build_turn(
    rps: float, *, refused99_ms: float = 1.0, health_ms: float = 2.0, unsent: int = 0, lost: int = 0
) -> Turn:
    """Return what one time measured."""
    measured = Measured(
        ok=int(rps * 6), err=100 + lost, started=5000, unsent=unsent, refused=100, elapsed=6.0,
        rps=rps, p50=1.0, p99=2.0, refused50=400.0, refused99=refused99_ms * 1000, lg_cpu=1.0,
    )  # fmt: skip
    return Turn(measured, [health_ms] * 100, 0.5)


def judge(turn: Turn, load: Load = JUDGED) -> list[str]:
    """Return the cells of three rounds that all went so, beside 500 answers a second at best."""
    offer = Offer(load, 5, [build_turn(500)] * 3, [turn] * 3)
    return [cells[0] for cells in build_result([offer]).rows.values()]


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (build_turn(450), [PASSED] * 4),
        (build_turn(440), ["88%", PASSED, PASSED, PASSED]),
        (build_turn(450, refused99_ms=21), [PASSED, "21 ms", PASSED, PASSED]),
        (build_turn(450, health_ms=51), [PASSED, PASSED, "51 ms", PASSED]),
        (build_turn(450, unsent=7), [PASSED, PASSED, PASSED, "7 not sent, 0 neither"]),
        (build_turn(450, lost=2), [PASSED, PASSED, PASSED, "0 not sent, 6 neither"]),
    ],
)
def test_each_promise_fails_by_itself(turn: Turn, expected: list[str]) -> None:
    """Nine tenths of the best, 20 ms for a refusal, 50 ms for /health, and nothing lost."""
    assert judge(turn) == expected


def test_a_round_that_went_badly_does_not_decide() -> None:
    """The median of the rounds counts, but for what was lost."""
    turns = [build_turn(100, refused99_ms=90, health_ms=90), build_turn(500), build_turn(500)]
    result = build_result([Offer(JUDGED, 5, [build_turn(500)] * 3, turns)])
    assert result.failures == []


def test_what_is_not_judged_is_told_with_its_reason() -> None:
    """A load without a promise has its lines and why, and no column of the table."""
    peaks = [build_turn(500)]
    offers = [Offer(each, 5, peaks, [build_turn(200)]) for each in (JUDGED, TOLD)]
    result = build_result(offers)
    assert result.columns == [f"{JUDGED.name}, 5x"]
    (told,) = [note for note in result.notes if note.startswith("Not judged")]
    assert TOLD.notes[0] in told
    assert any(
        f"- {TOLD.name}, 5x: 200/s answered, of 500/s at best (40%)" in n for n in result.notes
    )


def test_whatever_is_not_judged_says_why() -> None:
    """No load is left without a judgement silently, and most are judged at ten times too."""
    assert all(load.notes for load in LOADS if not load.is_judged)
    assert all(set(load.times) == {5, 10} for load in LOADS if load.is_judged)
