"""
Where the configuration is, and how its files are read safely.

The order: `--config`, PROXY_API_CONFIG, ./config.yaml, /etc/llm-proxy/config.yaml, the
packaged copy. Nothing here looks into a file.
"""

import os
import stat
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from msgspec import Struct

from proxy.config.environment import DotEnv, parse_dot_env
from proxy.config.problem import ENVIRONMENT, ConfigError, Place, Problem

MAX_FILE_BYTES = 8 * 1024 * 1024
PACKAGED_NAME = "default_config.yaml"
DOT_ENV_NAME = ".env"
PROBE_FILE_NAME = "health_worker_providers.json"
DISCOVERED_NAME = "discovered.json"
SYSTEM_PATH = Path("/etc/llm-proxy/config.yaml")
SYSTEM_STATE_DIR = Path("/var/lib/llm-proxy")
SYSTEM_RUNTIME_DIR = Path("/run/llm-proxy")
LOCAL_PATH = Path("config.yaml")

_MISSING = "there is no such configuration file"
_CREATE = "create it, or correct the path"


class SourceFile(Struct, frozen=True):
    """A file of the configuration as it was read once; `name` is the last part of its path."""

    name: str
    data: bytes

    def __repr__(self) -> str:
        return f"SourceFile({self.name!r}, {len(self.data)} bytes)"  # it may hold keys


def find_config(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """
    Return the configuration file that is in force, or None for the packaged copy.

    Args:
        path: what `--config` says, None if it was not given.
        environ: the process's environment.

    Raises:
        ConfigError: `path` or PROXY_API_CONFIG names a file that does not exist.
    """
    if path is not None:
        place = Place(str(path))
    elif environ.get("PROXY_API_CONFIG", "").strip():
        path = Path(environ["PROXY_API_CONFIG"].strip())
        place = Place(ENVIRONMENT, variable="PROXY_API_CONFIG")
    else:
        # lexists: a broken link is reported, and does not silently mean another file.
        return next((p for p in (LOCAL_PATH, SYSTEM_PATH) if os.path.lexists(p)), None)
    if not os.path.lexists(path):
        raise ConfigError([Problem(place, _MISSING, _CREATE)])
    return path


def find_state_dir(config_path: Path | None, environ: Mapping[str, str]) -> Path:
    """
    Return where state is kept.

    That is what a variable says, else /var/lib/llm-proxy for a configuration below
    /etc/llm-proxy, else `.state` beside the configuration.
    """
    by_systemd = _first_of(environ.get("STATE_DIRECTORY", ""))
    for given in (environ.get("PROXY_API_STATE_DIR"), environ.get("PROXY_API_STATE"), by_systemd):
        if given:
            return Path(given)
    if config_path is not None and SYSTEM_PATH.parent in config_path.absolute().parents:
        return SYSTEM_STATE_DIR
    return folder_of(config_path) / ".state"


def explain_state_dir(state_dir: Path, error: OSError) -> OSError:
    """Return an error that says of a state directory why it cannot be used, and how to mend it."""
    return OSError(
        f"the state directory '{state_dir}' cannot be used: {error.strerror}. "
        "Mend its rights, or name another one with --state-dir."
    )


def find_runtime_dir(state_dir: Path, environ: Mapping[str, str]) -> Path:
    """Return where the control socket is: systemd's directory, else one by that of the state."""
    by_systemd = _first_of(environ.get("RUNTIME_DIRECTORY", ""))
    if by_systemd:
        return Path(by_systemd)
    return SYSTEM_RUNTIME_DIR if state_dir == SYSTEM_STATE_DIR else state_dir / "run"


def folder_of(config_path: Path | None) -> Path:
    """Return the directory beside the configuration; the working directory for the packaged one."""
    return config_path.parent if config_path is not None else Path()


def list_paths(config_path: Path | None) -> tuple[Path, ...]:
    """Return every file of the operator's that the configuration is read from, there or not."""
    folder = folder_of(config_path)
    beside = (folder / DOT_ENV_NAME, folder / PROBE_FILE_NAME)
    return beside if config_path is None else (config_path, *beside)


def list_watched(config_path: Path | None, state_dir: Path) -> tuple[Path, ...]:
    """Return every file whose change may be one of the configuration, there or not."""
    return (*list_paths(config_path), state_dir / DISCOVERED_NAME)


def read_config(path: Path | None) -> bytes:
    """
    Return the bytes of the configuration; None stands for the packaged copy.

    Raises:
        ConfigError: it is no regular file, too large, or cannot be read.
    """
    if path is None:
        return files("proxy.config").joinpath(PACKAGED_NAME).read_bytes()
    return read_file(path)


def read_file(path: Path) -> bytes:
    """
    Return the bytes of a regular file of at most 8 MiB that no stranger can have written.

    Links are followed; what counts is the file that they lead to.

    Raises:
        ConfigError: it is something else, belongs to neither root nor the user of this
            process, may be written by anybody, or cannot be read.
    """
    try:
        # O_NONBLOCK: opening a FIFO that nobody writes to must not hang the server.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from None
    except ValueError:
        raise _refused(path, "this path holds a NUL character", "correct the path") from None
    try:
        _check_file(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        os.close(descriptor)
    if len(data) > MAX_FILE_BYTES:
        raise _refused(path, "this file is larger than 8 MiB", "name a smaller file")
    return data


def read_dot_env(config_path: Path | None) -> DotEnv:
    """
    Return what the `.env` beside the configuration sets; nothing if there is none.

    Raises:
        ConfigError: it exists but cannot be read.
    """
    path = folder_of(config_path) / DOT_ENV_NAME
    return parse_dot_env(read_file(path), str(path)) if os.path.lexists(path) else DotEnv({})


def read_probe_file(config_path: Path | None) -> tuple[str, bytes] | None:
    """
    Return name and bytes of the health worker's file beside the configuration, None without one.

    Raises:
        ConfigError: it exists but cannot be read.
    """
    path = folder_of(config_path) / PROBE_FILE_NAME
    return (str(path), read_file(path)) if os.path.lexists(path) else None


def read_discovered_file(state_dir: Path) -> bytes | None:
    """
    Return what discovery has written into the state directory, None if it has not.

    Raises:
        ConfigError: it exists but cannot be read.
    """
    path = state_dir / DISCOVERED_NAME
    return read_file(path) if os.path.lexists(path) else None


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _refused(path, "this is not a regular file", "name a file here")
    user = os.geteuid()
    if found.st_uid not in (0, user):
        what = f"this file belongs to user {found.st_uid}, neither to root nor to user {user}"
        raise _refused(path, f"{what}, who reads it", f"run 'chown {user}' on it")
    if found.st_mode & stat.S_IWOTH:
        raise _refused(path, "every user may write this file", "run 'chmod o-w' on it")


def _first_of(directories: str) -> str:
    # systemd lists several directories with colons; the first one is ours.
    return directories.partition(":")[0]


def _unreadable(path: Path, error: OSError) -> ConfigError:
    if isinstance(error, FileNotFoundError) and not path.is_symlink():
        return _refused(path, _MISSING, _CREATE)
    reason = error.strerror or "input/output error"
    return _refused(path, f"this file cannot be read ({reason})", "check the path and its rights")


def _refused(path: Path, what: str, mend: str) -> ConfigError:
    return ConfigError([Problem(Place(str(path)), what, mend)])
