"""A state directory belongs to one server at a time."""

from pathlib import Path

import pytest

from proxy.supervisor.state_lock import StateLock


def test_a_second_server_is_told(tmp_path: Path) -> None:
    """Who comes second learns which directory is taken and what to do; later it may have it."""
    first, second = StateLock(tmp_path), StateLock(tmp_path)
    first.take()
    with pytest.raises(OSError, match=r"another server keeps its state in .* --state-dir"):
        second.take()
    first.release()
    second.take()
    second.release()


def test_giving_back_what_is_not_held_is_nothing(tmp_path: Path) -> None:
    """Releasing twice, or without having taken, does nothing."""
    lock = StateLock(tmp_path)
    lock.release()
    lock.take()
    lock.release()
    lock.release()
