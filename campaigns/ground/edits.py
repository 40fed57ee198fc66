"""What happens to a configuration file while it is served: by editors, tools and accidents."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

Edit = Callable[[Path, str], None]
"""Gives the file a new text, in one of the ways there are."""
Accident = Callable[[Path], None]
"""Leaves nothing that could be read."""

ELSEWHERE = "elsewhere"
DATA = "..data"


def write_in_place(path: Path, text: str) -> None:
    """Empty the file and write into it, as `cp` and a shell do."""
    with path.open("w") as file:
        file.write(text)


def write_in_pieces(path: Path, text: str) -> None:
    """Write in place, the first half on its own."""
    with path.open("w") as file:
        file.write(text[: len(text) // 2])
        file.flush()
        os.fsync(file.fileno())
        file.write(text[len(text) // 2 :])


def rename_over(path: Path, text: str) -> None:
    """Write a file beside it and rename that, as editors do."""
    beside = path.with_name(f".{path.name}.swp")
    beside.write_text(text)
    beside.chmod(0o600)
    beside.replace(path)


def move_aside(path: Path, text: str) -> None:
    """Rename the old file to a backup and write a new one, as other editors do."""
    if path.exists():
        path.rename(path.with_name(f"{path.name}~"))
    write_in_place(path, text)


def swap_data_link(path: Path, text: str) -> None:
    """Let the file be a link into a directory that is a link itself, and turn that, at once."""
    old = os.readlink(path.parent / DATA) if (path.parent / DATA).is_symlink() else None
    new = path.parent / ("..even" if old == "..odd" else "..odd")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    rename_over(new / path.name, text)
    _link_over(path.parent / DATA, Path(new.name))
    if not path.is_symlink():
        _link_over(path, Path(DATA) / path.name)


def write_by_other_name(path: Path, text: str) -> None:
    """Write in place through a hard link in another directory: no watch of this one sees it."""
    other = path.parent / ELSEWHERE / path.name
    if not other.exists() or not path.exists() or not other.samefile(path):
        other.parent.mkdir(exist_ok=True)
        other.unlink(missing_ok=True)
        os.link(path, other)
    write_in_place(other, text)


def empty(path: Path) -> None:
    """Leave no byte in the file."""
    write_in_place(path, "")


def delete(path: Path) -> None:
    """Take the file away."""
    path.unlink()


def put_directory(path: Path) -> None:
    """Put a directory in its place."""
    path.unlink()
    path.mkdir()


def put_pipe(path: Path) -> None:
    """Put a pipe in its place, from which nobody ever gets anything."""
    path.unlink()
    os.mkfifo(path)


def put_loose_link(path: Path) -> None:
    """Put a link in its place that leads nowhere."""
    path.unlink()
    path.symlink_to("nowhere.yaml")


def take_rights(path: Path) -> None:
    """Let nobody read it, except root."""
    path.chmod(0)


def clear(path: Path) -> None:
    """Take away whatever stands in the file's place and cannot be written."""
    if path.is_file():
        # Only where it is needed: a watch of the directory sees this too.
        if not path.stat().st_mode & stat.S_IWUSR:
            path.chmod(0o600)
    elif path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def cut(text: str, percent: int) -> str:
    """Return so many percent of a text, from its beginning."""
    return text[: len(text) * percent // 100]


def _link_over(path: Path, target: Path) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(path)
