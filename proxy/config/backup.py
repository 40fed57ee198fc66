"""
The files of a configuration as a whole: copied away, checked before they are used, put back.

The commands `llm-proxy config backup`, `restore` and `rollback` are made of this.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from proxy.config.durable_file import replace_file, sync_directory, write_new
from proxy.config.load import load_config
from proxy.config.problem import ConfigError, Place, Problem
from proxy.config.sources import DOT_ENV_NAME, PROBE_FILE_NAME, list_paths
from proxy.domain.identity import KeyHasher

DIRECTORY_NAME = "backups"
_UNFINISHED = ".unfinished-"

Contents = Mapping[str, bytes | None]
"""What files are to hold, by their names; None is a file that is not to be there."""


def make_backup(config_path: Path, directory: Path) -> tuple[Path, ...]:
    """
    Copy what lies there now, `.env` and its keys included, for the owner's eyes only.

    Returns:
        The copies; a file that is not there has none.

    Raises:
        OSError: something cannot be read or written, or lies in `directory` already.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    copies = []
    for path in list_paths(config_path):
        if path.is_file():
            write_new(directory / path.name, path.read_bytes())
            copies.append(directory / path.name)
    sync_directory(directory)
    return tuple(copies)


def keep_backup(config_path: Path, state_dir: Path, now_at: float) -> Path | None:
    """
    Make a backup in the state directory and return where it is, under the time in UTC.

    Returns:
        None if there is nothing to copy.

    Raises:
        OSError: as `make_backup`; the backup gets its name when it is complete.
    """
    parent = state_dir / DIRECTORY_NAME
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_at))
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=parent))
    try:
        is_something = make_backup(config_path, unfinished)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    if not is_something:
        unfinished.rmdir()
        return None
    number = 1
    while os.path.lexists(path := parent / (name if number == 1 else f"{name}-{number}")):
        number += 1
    unfinished.rename(path)
    sync_directory(parent)
    return path


def find_newest_backup(state_dir: Path) -> Path | None:
    """Return the newest backup in the state directory, None if there is none."""
    found = (state_dir / DIRECTORY_NAME).glob("[0-9]*T*Z*")
    # A second one of the same second ends in -2: shorter names are older.
    return max(found, key=lambda path: (path.name[:16], len(path.name), path.name), default=None)


def read_backup(source: Path, config_path: Path) -> Contents:
    """
    Return what a backup holds of the files of this configuration.

    Args:
        source: a directory, such as a backup or an entry of the history, or a single file,
            which is the configuration unless its name says otherwise.
        config_path: the configuration; its name is what is looked for.

    Raises:
        ConfigError: there is nothing of it.
        OSError: it cannot be read.
    """
    # Whoever names it trusts it: root may restore what the user of the service has kept.
    if not source.is_dir():
        beside = (DOT_ENV_NAME, PROBE_FILE_NAME)
        name = source.name if source.name in beside else config_path.name
        return {name: source.read_bytes()}
    names = [path.name for path in list_paths(config_path)]
    found = {n: (source / n).read_bytes() for n in names if os.path.lexists(source / n)}
    if not found:
        what = f"there is none of {', '.join(names)} in this directory"
        raise ConfigError([Problem(Place(str(source)), what, "name one that holds a backup")])
    return found


def check_contents(
    contents: Contents, config_path: Path, environ: Mapping[str, str], label: str
) -> tuple[str, ...]:
    """
    Return what would be wrong if the files held this, in the words of `llm-proxy check`.

    Nothing that is in use is touched: it is tried in a directory of its own.

    Args:
        contents: what is to be put back; the other files are taken as they are.
        config_path: where the configuration is.
        environ: the environment.
        label: what messages call the directory.
    """
    with tempfile.TemporaryDirectory(prefix="llm-proxy-check-") as name:
        folder = Path(name)
        for path in list_paths(config_path):
            if path.name not in contents:
                if os.path.lexists(path):
                    (folder / path.name).symlink_to(path.absolute())
            elif (data := contents[path.name]) is not None:
                write_new(folder / path.name, data)
        try:
            hasher = KeyHasher(os.urandom(32))
            load_config(folder / config_path.name, environ, hasher, now_at=time.time())
        except ConfigError as error:
            return tuple(_rename(error, folder, config_path, contents, label))
    return ()


def put_back(contents: Contents, config_path: Path) -> tuple[Path, ...]:
    """
    Let the files hold this, each in one step; return those that were written or removed.

    Raises:
        OSError: one cannot be written; those before it are.
    """
    changed = []
    for path in list_paths(config_path):
        if path.name not in contents:
            continue
        data = contents[path.name]
        if data is not None:
            replace_file(path, data)
        elif os.path.lexists(path):
            path.unlink()
        else:
            continue
        changed.append(path)
    return tuple(changed)


def _rename(
    error: ConfigError, folder: Path, config_path: Path, contents: Contents, label: str
) -> Iterator[str]:
    """Yield what is wrong, told of the files that are meant instead of those that were tried."""
    for problem in error.problems:
        text = str(problem)
        for path in list_paths(config_path):
            meant = f"{label}: {path.name}" if path.name in contents else str(path)
            text = text.replace(str(folder / path.name), meant)
        yield text
