"""Tests of `health_worker/suspicion.py`: whether a worker should doubt itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_worker.suspicion import Sight, is_cut_off

SILENT, ANSWERS = Sight(False, True), Sight(False, False)
SILENT_HERE, ANSWERS_HERE = Sight(True, True), Sight(True, False)


@pytest.mark.parametrize(
    ("sights", "doubts"),
    [
        ([], False),
        ([SILENT], False),
        ([SILENT, SILENT], True),
        ([SILENT, ANSWERS], False),
        ([SILENT, SILENT, ANSWERS], True),
        ([SILENT, SILENT, ANSWERS, ANSWERS], False),
        ([SILENT_HERE] * 9, False),
        ([SILENT, SILENT, SILENT, *[ANSWERS_HERE] * 9], True),
        ([SILENT, ANSWERS, *[SILENT_HERE] * 9], False),
    ],
)
def test_more_than_half_of_what_is_distant_must_be_silent(
    sights: list[Sight], doubts: bool
) -> None:
    """At least two, and more than half, of the targets off this machine are silent."""
    assert is_cut_off(sights) is doubts


@given(st.lists(st.builds(Sight, st.booleans(), st.booleans())))
def test_one_more_answer_never_makes_a_worker_doubt(sights: list[Sight]) -> None:
    """An answer from off this machine ends doubt or leaves all as it is; order says nothing."""
    assert is_cut_off(sights) or not is_cut_off([*sights, ANSWERS])
    assert is_cut_off(sights) == is_cut_off(sights[::-1])
    distant = [sight for sight in sights if not sight.is_on_this_machine]
    assert is_cut_off(sights) == is_cut_off(distant)
