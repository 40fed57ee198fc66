"""Commands that ask a server where there is none."""

from pathlib import Path

import pytest
import typer

from proxy.cli.asking import ask_server


def test_without_a_server_it_says_where_it_looked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command ends with status 2 and says how to name the server that is meant."""
    config = tmp_path / "config.yaml"
    config.write_text("providers: []\n")
    with pytest.raises(typer.Exit) as ended:
        ask_server(config, tmp_path / "state", "reload", {})
    assert ended.value.exit_code == 2
    assert f"No server listens in {tmp_path / 'state' / 'run'}" in capsys.readouterr().err
