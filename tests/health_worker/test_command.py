"""The command `llm-health-worker`: what it says when it cannot begin, and that it is installed."""

import json
import signal
import socket
import tomllib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from health_worker.command import app
from proxy.version import __version__
from tests.end_to_end.served import Program, running
from tests.fakes.ports import find_port
from tests.promises.tree import ROOT
from tests.supervisor.places import build_file


def start(folder: Path, config: object, state: str = "state") -> tuple[int, Program]:
    """Run the command over a configuration until it ends by itself."""
    path = folder / "config.yaml"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    place = ("--config", str(path), "--state-dir", str(folder / state))
    with running(*place, cwd=folder, module="health_worker") as program:
        return program.wait(), program


def test_it_is_installed_under_its_name() -> None:
    """The script of the project leads to a function that is there."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["llm-health-worker"].partition(":")
    assert callable(getattr(import_module(module), function))


def test_it_tells_its_version() -> None:
    """`--version` is the version of the whole project."""
    assert CliRunner().invoke(app, ["--version"]).output == f"{__version__}\n"


def test_a_signal_to_read_anew_does_not_end_one_that_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGHUP, SIGUSR1 and SIGUSR2 are ignored from the first until it listens to them."""
    numbers = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.getsignal(number) for number in numbers]
    found: list[object] = []

    def run(config: Path | None, environ: Mapping[str, str]) -> None:
        found.extend(signal.getsignal(number) for number in numbers)

    monkeypatch.setattr("health_worker.standalone.run_standalone", run)
    try:
        CliRunner().invoke(app, [])
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    assert found == [signal.SIG_IGN] * 3


def test_a_broken_configuration_is_told_with_its_place(tmp_path: Path) -> None:
    """Exit status 2, and each mistake with file, line and how to mend it."""
    status, program = start(tmp_path, "providers: 1\n")
    assert status == 2
    assert "config.yaml:1:12: a list is needed here" in program.stderr


def test_a_configuration_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A path that leads nowhere is an error, and no other file is taken instead."""
    with running("--config", "gone.yaml", cwd=tmp_path, module="health_worker") as program:
        assert program.wait() == 2
    assert "gone.yaml" in program.stderr


def test_a_port_that_is_taken_is_an_error_that_says_how_to_mend_it(tmp_path: Path) -> None:
    """A health worker of its own that cannot serve its API does not run without it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = build_file("a", health_worker={"listen": address})
        status, program = start(tmp_path, config)
    assert status == 2
    assert address in program.stderr
    assert "set another address there, or null" in program.stderr
    assert "Traceback" not in program.output


@pytest.mark.parametrize("ruin", ["log", "state"])
def test_a_place_that_cannot_be_used_is_told(tmp_path: Path, ruin: str) -> None:
    """A log or a state directory that cannot be opened is one line, and exit status 2."""
    (tmp_path / "file").touch()
    config = build_file("a", health_worker={"listen": f"127.0.0.1:{find_port()}"})
    if ruin == "log":
        status, program = start(tmp_path, {**config, "log_file": str(tmp_path / "file" / "log")})
    else:
        status, program = start(tmp_path, config, state="file")
    assert status == 2
    assert program.stderr.startswith("The health worker cannot start: ")
    assert str(tmp_path / "file") in program.stderr
