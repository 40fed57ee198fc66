"""The result pages of campaigns: what they tell, and what they keep to themselves."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from campaigns import base
from campaigns.base import ROOT, Result, build_page, print_result, write_result
from proxy.version import __version__

AT = datetime(2026, 11, 21, 2, 30, tzinfo=UTC)
GOOD = Result("some-name", "A title", ["one", "two"], {"chat": ["ok", "ok"], "stop": ["ok", "ok"]})
BAD = Result("some-name", "A title", ["one", "two"], {"chat": ["ok", "ok"], "stop": ["ok", "no"]})


def test_a_page_says_when_how_and_with_what() -> None:
    """Date, command and versions stand above the table."""
    page = build_page(GOOD, AT)
    assert page.startswith("# A title\n")
    assert "- Date: 2026-11-21 02:30 UTC\n" in page
    assert "- Command: `make campaign NAME=some-name`\n" in page
    assert f"llm-proxy-api {__version__}" in page


def test_a_page_has_one_row_per_check() -> None:
    """Each check is a row with one cell per column, and the verdict sums them up."""
    page = build_page(GOOD, AT)
    assert page.endswith("| check | one | two |\n| --- | --- | --- |\n"
                         "| chat | ok | ok |\n| stop | ok | ok |\n")  # fmt: skip
    assert "**passed**, all 2 checks" in page


def test_a_page_names_what_failed() -> None:
    """One bad cell fails its check, and the campaign."""
    assert BAD.failures == ["stop"]
    assert "**failed** (stop)" in build_page(BAD, AT)


def test_nothing_checked_is_a_failure() -> None:
    """A campaign without a single row has not passed."""
    assert Result("n", "t", ["one"], {}).failures


def test_cells_stay_in_their_place() -> None:
    """Bars, line breaks and this machine's paths do not get into a page."""
    cell = f"Error: a|b\nat {ROOT}/proxy/cli.py"
    page = build_page(Result("n", "t", ["one"], {"check": [cell]}), AT)
    assert "| check | Error: a\\|b at ./proxy/cli.py |" in page
    assert str(ROOT) not in page


def test_the_exit_status_is_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page is written under its name and printed; the status is 0 only if all is well."""
    monkeypatch.setattr(base, "RESULTS", tmp_path / "results")
    assert (write_result(GOOD), write_result(BAD)) == (0, 1)
    page = (tmp_path / "results" / "some-name.md").read_text()
    assert "**failed**" in page
    assert page in capsys.readouterr().out


def test_a_trial_leaves_the_result_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed only has the same status, and no file; its own command stands on it."""
    monkeypatch.setattr(base, "RESULTS", tmp_path / "results")
    trial = Result("some-name", "A trial", ["one"], {"chat": ["ok"]}, command="python -m x")
    assert (print_result(trial), print_result(BAD)) == (0, 1)
    assert not (tmp_path / "results").exists()
    assert "- Command: `python -m x`\n" in capsys.readouterr().out
