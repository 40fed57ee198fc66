"""Files that are whole or not there, and keep their owner and rights."""

import errno
import os
from pathlib import Path

import pytest

from proxy.config.durable_file import replace_file, write_new, write_once


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    """A new file has mode 0600 and the bytes; one that exists is left as it is."""
    path = tmp_path / "a"
    write_new(path, b"one")
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_new(path, b"two")
    assert path.read_bytes() == b"one"


def test_the_first_of_two_writers_wins(tmp_path: Path) -> None:
    """`write_once` says whether it has written, and leaves nothing else behind."""
    path = tmp_path / "a"
    assert write_once(path, b"one")
    assert not write_once(path, b"two")
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_replaced_file_keeps_its_rights(tmp_path: Path) -> None:
    """Mode, owner and a link to the file stay; only the content is new."""
    real = tmp_path / "real"
    real.write_bytes(b"old")
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 4242, 4243)
    before = real.stat()
    link = tmp_path / "link"
    link.symlink_to("real")
    replace_file(link, b"new")
    after = real.stat()
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_a_replacement_that_was_not_there_is_private(tmp_path: Path) -> None:
    """A new file is its owner's alone; root's is for whom its directory is for."""
    replace_file(tmp_path / "a", b"new")
    mode = (tmp_path / "a").stat().st_mode & 0o777
    assert mode == (0o640 if os.geteuid() == 0 else 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_root_puts_back_can_be_read_by_the_service(tmp_path: Path) -> None:
    """A file that is put back into a service's directory belongs to the service."""
    os.chown(tmp_path, 1234, 4321)
    replace_file(tmp_path / "a", b"new")
    status = (tmp_path / "a").stat()
    assert (status.st_uid, status.st_gid) == (1234, 4321)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the bytes do not reach the disk the old file is as it was, with nothing beside it."""
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_pipe_or_a_device_is_never_replaced(tmp_path: Path) -> None:
    """What is no file stays what it is: root could do so to /dev/null."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="it is no regular file"):
        replace_file(pipe, b"new")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
