"""
The one secret of an installation, from which every key of its own is derived.

It comes from PROXY_API_MASTER_SECRET, else from the systemd credential `master_secret`, else
from `secret.key` in the state directory, which is generated once.
"""

import hmac
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from proxy.config.durable_file import write_once
from proxy.config.problem import ENVIRONMENT, ConfigError, Place, Problem
from proxy.config.sources import read_dot_env, read_file

VARIABLE = "PROXY_API_MASTER_SECRET"
CREDENTIAL_NAME = "master_secret"
PEPPER = "pepper of keys"
"""The purpose of what keys of clients are hashed with: the same in every process of a service."""
FILE_NAME = "secret.key"
SHORTEST_SECRET = 32
"""Characters; 128 bits, if they are hexadecimal digits."""

_SALT = b"llm-proxy-api 1"
_GENERATE = "set it to what 'openssl rand -hex 32' prints"


class MasterSecret:
    """Hold the secret; only keys that are derived from it come out."""

    __slots__ = ("_extracted",)

    def __init__(self, text: str) -> None:
        self._extracted = hmac.digest(_SALT, text.encode("utf-8", "surrogatepass"), "sha256")

    def derive(self, purpose: str) -> bytes:
        """
        Return the key for one purpose: 32 bytes, the same on every start.

        Keys of different purposes tell nothing about each other or about the secret.

        Source: RFC 5869, HKDF-SHA-256; one block of output is all that 32 bytes take.
        """
        return hmac.digest(self._extracted, purpose.encode() + b"\x01", "sha256")

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> str:
        raise TypeError("a MasterSecret is not pickled: it would be written out in clear")


def find_master_secret(
    config_path: Path | None, environ: Mapping[str, str], state_dir: Path
) -> MasterSecret:
    """
    Return the secret of the installation that a configuration belongs to.

    Args:
        config_path: the configuration, None for the packaged copy; `.env` beside it is read.
        environ: the process's environment, which wins over that file.
        state_dir: where `secret.key` is.

    Raises:
        ConfigError, OSError: as `load_master_secret`.
    """
    variables: dict[str, str] = {}
    with suppress(ConfigError):  # told with all other problems when the configuration is read
        for name, variable in read_dot_env(config_path).variables.items():
            variables[name] = variable.text.reveal()
    return load_master_secret({**variables, **environ}, state_dir)


def load_master_secret(variables: Mapping[str, str], state_dir: Path) -> MasterSecret:
    """
    Return the secret of this installation; generate and keep one if there is none.

    Args:
        variables: the environment, or it with `.env` below it.
        state_dir: where `secret.key` is; made if it is not there and has to be.

    Raises:
        ConfigError: the secret is too short, or others can read its file.
        OSError: the state directory cannot be made or written; the text names it.
    """
    given = variables.get(VARIABLE, "").strip()
    if given:
        return _check_length(given, Place(ENVIRONMENT, variable=VARIABLE), _GENERATE)
    directory = variables.get("CREDENTIALS_DIRECTORY", "")
    credential = Path(directory) / CREDENTIAL_NAME
    if directory and os.path.lexists(credential):
        # systemd guards it, by rights that the mode alone does not tell.
        return _check_length(_read_text(credential), Place(str(credential)), _GENERATE)
    return _load_own(state_dir / FILE_NAME)


def _load_own(path: Path) -> MasterSecret:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.path.lexists(path):
        try:
            write_once(path, secrets.token_hex(32).encode() + b"\n")
        except OSError as error:
            what = f"the master secret cannot be written ({error.strerror})"
            raise OSError(error.errno, what, str(path)) from error
    text = _read_text(path)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        what = "others than its owner can read or write this file, which holds the master secret"
        raise ConfigError([Problem(Place(str(path)), what, "run 'chmod 600' on it")])
    mend = "put it back from a backup, or remove it: kept snapshots cannot be opened then"
    return _check_length(text, Place(str(path)), mend)


def _read_text(path: Path) -> str:
    return read_file(path).decode("utf-8", "surrogateescape").strip()


def _check_length(text: str, place: Place, mend: str) -> MasterSecret:
    if len(text) < SHORTEST_SECRET:
        what = f"a master secret has at least {SHORTEST_SECRET} characters"
        raise ConfigError([Problem(place, what, mend)])
    return MasterSecret(text)
