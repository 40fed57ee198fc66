"""`discovered.json` as the health worker keeps it; `proxy/config/discovered_file.py` reads it."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from proxy.config.durable_file import sync_directory, write_new
from proxy.config.sources import DISCOVERED_NAME, MAX_FILE_BYTES
from proxy.domain.discovery import FoundProvider

_Stamp = tuple[int, ...]
_UNKNOWN: _Stamp = (-1,)


class _File(Struct):
    providers: list[Raw]


class FoundFile:
    """The file in one state directory, and whether it is still as it was read or written."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / DISCOVERED_NAME
        self._stamp: _Stamp | None = None

    @property
    def is_as_known(self) -> bool:
        """Nobody has changed, damaged or removed it; of one that could not be read, False."""
        return self._stamp == self._look()

    def read(self) -> tuple[FoundProvider, ...]:
        """Return what was found before; whatever of the file cannot be read is left out."""
        self._stamp = self._look()
        try:
            with open(self._path, "rb", opener=_open_at_once) as file:
                data = file.read(MAX_FILE_BYTES)
            entries = msgspec.json.decode(data, type=_File).providers
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.MsgspecError):
            self._stamp = _UNKNOWN
            return ()
        found = []
        for raw in entries:
            try:
                found.append(msgspec.json.decode(raw, type=FoundProvider))
            except msgspec.MsgspecError:
                self._stamp = _UNKNOWN  # it is found anew, or was never good
        return tuple(found)

    def write(self, found: Sequence[FoundProvider]) -> None:
        """
        Put what was found into the file, which is its owner's alone, in one step.

        Raises:
            OSError: it cannot be written; the old file is as it was.
        """
        data = msgspec.json.format(msgspec.json.encode({"providers": found}), indent=1) + b"\n"
        beside = self._path.with_name(f".{DISCOVERED_NAME}.{secrets.token_hex(4)}.tmp")
        try:
            write_new(beside, data, 0o600)
            if os.geteuid() == 0:
                folder = self._path.parent.stat()
                os.chown(beside, folder.st_uid, folder.st_gid)  # whoever serves has to read it
            beside.replace(self._path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        self._stamp = self._look()
        sync_directory(self._path.parent)

    def _look(self) -> _Stamp | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _open_at_once(path: str, flags: int) -> int:
    """Open what should be a file: a FIFO that nobody writes to must not hold up the loop."""
    return os.open(path, flags | os.O_NONBLOCK)
