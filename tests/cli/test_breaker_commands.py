"""`llm-proxy breakers ...`: what is asked of the running server, and what is printed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli.main import app
from tests.cli.test_config_commands import Installation, answering


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    """A configuration with a place for its state."""
    installation = Installation(tmp_path)
    installation.edit(300)
    installation.state_dir.mkdir(exist_ok=True)
    return installation


def run(installation: Installation, *arguments: str, status: int = 0) -> str:
    """Run a command, which ends with `status`, and return what it printed on both streams."""
    place = ("--config", str(installation.path), "--state-dir", str(installation.state_dir))
    result = CliRunner().invoke(app, ["breakers", *arguments, *place])
    assert result.exit_code == status, result.output
    return result.output


@pytest.mark.parametrize("command", ["reset", "open", "close"])
def test_an_order_goes_to_the_server(installed: Installation, command: str) -> None:
    """It is asked for by its name and id, and its answer is printed."""
    with answering(installed, {"message": f"{command} up/m: told to 1 worker"}) as asked:
        out = run(installed, command, "up/org/m:free")
    assert out == f"{command} up/m: told to 1 worker\n"
    (ask,) = asked
    assert (ask.what, ask.by) == ("breaker", "llm-proxy breaker")
    assert json.loads(ask.body) == {"id": "up/org/m:free", "command": command}


def test_what_the_server_refuses_is_told(installed: Installation) -> None:
    """Its reason is printed, and the status is 2."""
    with answering(installed, {"message": "there is no such breaker"}, is_error=True):
        assert "there is no such breaker" in run(installed, "open", "gone", status=2)
