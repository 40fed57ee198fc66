"""What the page of the campaign of edits tells."""

from campaigns.ground.editor import Phase
from campaigns.live_edit import BROKEN, build_result
from tests.campaigns.test_kills import build_load


def test_a_page_has_the_times_of_every_phase() -> None:
    """Each phase is a column; how long good edits took stands above the table."""
    first, second = Phase("one", 1.0, times_s=[0.5, 0.6], refused=3), Phase("two", 2.0)
    result = build_result([first, second], build_load(), 3, 3)
    assert result.failures == []
    assert list(result.columns) == ["one", "two"]
    assert any("3 edits were refused, 0 were cut off" in note for note in result.notes)
    assert any("longest 0.60 s" in note for note in result.notes)


def test_a_complaint_of_one_phase_fails_its_check() -> None:
    """What was wrong stands in the cell, the same thing once."""
    phase = Phase("one", 1.0)
    phase.complain("served", "a cut changes what is served")
    phase.complain("served", "a cut changes what is served")
    result = build_result([phase], build_load(), 1, 1)
    assert result.failures == ["what is served is the last good version, on every worker"]
    assert result.rows[result.failures[0]] == ["2: a cut changes what is served"]


def test_each_way_to_break_a_file_breaks_it() -> None:
    """None of them leaves the text as it was."""
    text = "port: 1\nworkers: 2\ndrain_timeout: 1\nroutes:\n  - {provider: one}\n"
    assert all(spoil(text) != text for spoil in BROKEN.values())
