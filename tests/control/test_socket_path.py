"""The control socket: where it is, who may use it, at any length of path."""

import os
import stat
from pathlib import Path

import pytest

from proxy.control.socket_path import NAME, connect_to, listen_on


def test_a_deep_directory_is_no_obstacle(tmp_path: Path) -> None:
    """A path far beyond what a unix address holds is listened on and connected to."""
    directory = tmp_path / ("d" * 120) / ("e" * 120)
    with listen_on(directory) as listening:
        connection = connect_to(directory, 1.0)
        assert connection is not None
        with connection:
            accepted, _ = listening.accept()
            accepted.close()


def test_only_its_owner_may_connect(tmp_path: Path) -> None:
    """The socket has mode 0600 in a directory of 0700, whatever the umask is."""
    before = os.umask(0)
    try:
        with listen_on(tmp_path / "run"):
            assert stat.S_IMODE((tmp_path / "run" / NAME).stat().st_mode) == 0o600
            assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
    finally:
        os.umask(before)


@pytest.mark.parametrize("left", ["nothing", "directory", "socket"])
def test_nobody_listens(tmp_path: Path, left: str) -> None:
    """Without a server there is None, also where a dead one has left its socket."""
    directory = tmp_path / "run"
    if left == "directory":
        directory.mkdir()
    elif left == "socket":
        listen_on(directory).close()
    assert connect_to(directory, 1.0) is None


def test_a_socket_that_was_left_is_replaced(tmp_path: Path) -> None:
    """A server that starts after another was killed listens all the same."""
    listen_on(tmp_path).close()
    with listen_on(tmp_path):
        connection = connect_to(tmp_path, 1.0)
        assert connection is not None
        connection.close()


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """The error names the path of the socket."""
    (tmp_path / NAME).mkdir()
    with pytest.raises(OSError, match=r"control\.sock"):
        listen_on(tmp_path)
