"""The words that commands share."""

from typing import Any

import pytest
import typer

from proxy.cli.tell import fail, tell_reload

ANSWER: dict[str, Any] = {
    "changes": ["port: 1 -> 2"],
    "warnings": ["a doubt"],
    "needs_restart": ["workers: 1 -> 2"],
    "problems": [],
    "message": "generation 2 is in force",
}


def test_a_failure_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A failure ends with status 2, its words on standard error."""
    with pytest.raises(typer.Exit) as caught:
        fail("it cannot be done")
    assert caught.value.exit_code == 2
    assert capsys.readouterr() == ("", "it cannot be done\n")


def test_a_reload_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Changes, warnings and what needs a restart have a line each, then what came of it."""
    tell_reload(ANSWER)
    assert capsys.readouterr().out.splitlines() == [
        "port: 1 -> 2",
        "warning: a doubt",
        "needs a restart: workers: 1 -> 2",
        "generation 2 is in force",
    ]


def test_a_refused_reload_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """Problems go to standard error, with what stays in force, and the status is 2."""
    refused = {**ANSWER, "changes": [], "problems": ["f:1:1: bad"], "message": "refused"}
    with pytest.raises(typer.Exit):
        tell_reload(refused)
    assert capsys.readouterr().err == "f:1:1: bad\nrefused\n"
