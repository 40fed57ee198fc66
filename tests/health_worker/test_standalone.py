"""
A health worker that is a service of its own, without a process around it.

As a process, under signals, systemd and in a fleet, tests/end_to_end/test_health_fleet.py has it.
"""

from pathlib import Path

import pytest

from health_worker.standalone import run_standalone
from proxy.config.problem import ConfigError
from tests.supervisor.places import Folder, build_file


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A broken configuration, and a log that cannot be opened, are errors before anything runs."""
    folder = Folder(tmp_path)
    folder.write("providers: 1\n")
    with pytest.raises(ConfigError):
        run_standalone(folder.config, folder.environ)
    folder.write(build_file("a", log_file=str(folder.config / "log")))
    with pytest.raises(OSError, match="the log file cannot be opened"):
        run_standalone(folder.config, folder.environ)


def test_it_shares_the_secret_of_the_service(tmp_path: Path) -> None:
    """The state directory is the service's, and so are the keys that its API knows."""
    folder = Folder(tmp_path)
    folder.write("providers: 1\n")
    with pytest.raises(ConfigError):
        run_standalone(folder.config, folder.environ)
    secret = (tmp_path / "state" / "secret.key").read_bytes()
    folder.find()
    assert (tmp_path / "state" / "secret.key").read_bytes() == secret
