"""
Files that are written whole or not at all, and are still there after a power cut.

Used for what lies in the state directory, and by the commands that put a configuration back.
"""

import errno
import os
import secrets
from pathlib import Path


def write_new(path: Path, data: bytes, mode: int = 0o600) -> None:
    """
    Write a file that must not exist yet, and wait until it is on the disk.

    Raises:
        OSError: it exists, or cannot be written; nothing is removed then.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_once(path: Path, data: bytes) -> bool:
    """
    Write a file under its name unless there is one; return whether this call has written it.

    Of several processes that try at the same time one wins, and its file is complete.

    Raises:
        OSError: it cannot be written.
    """
    beside = _name_beside(path)
    try:
        write_new(beside, data)
        os.link(beside, path)
    except FileExistsError:
        return False
    finally:
        beside.unlink(missing_ok=True)
    sync_directory(path.parent)
    return True


def replace_file(path: Path, data: bytes) -> None:
    """
    Give a file new content in one step; whoever reads it sees the old or the new one.

    A link stays, what it leads to is replaced. Owner and rights are those of the old file. A
    new one is its owner's alone; root's belongs to whom the directory belongs to, and its
    group may read it.

    Raises:
        OSError: it cannot be written, or is a device, a pipe or the like; what was there is as
            it was.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not (target.is_file() or target.is_dir()):
        # Root could replace /dev/null, and all of the machine would write into a file.
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    beside = _name_beside(target)
    try:
        write_new(beside, data)
        if not target.exists() and os.geteuid() == 0:
            # Root puts back what a service reads: as its directory is, that is whose it is.
            folder = target.parent.stat()
            os.chown(beside, folder.st_uid, folder.st_gid)
            beside.chmod(0o640)
        elif target.exists():
            old = target.stat()
            new = beside.stat()
            if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
                os.chown(beside, old.st_uid, old.st_gid)
            # After chown, which takes rights away.
            beside.chmod(old.st_mode & 0o7777)
        beside.replace(target)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


def sync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
