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


class _File(Struct):
    providers: list[Raw]


def read_found(state_dir: Path) -> tuple[FoundProvider, ...]:
    """Return what was found before; whatever of the file cannot be read is left out."""
    try:
        with (state_dir / DISCOVERED_NAME).open("rb") as file:
            entries = msgspec.json.decode(file.read(MAX_FILE_BYTES), type=_File).providers
    except (OSError, msgspec.MsgspecError):
        return ()
    found = []
    for raw in entries:
        try:
            found.append(msgspec.json.decode(raw, type=FoundProvider))
        except msgspec.MsgspecError:
            continue  # it is found anew, or was never good
    return tuple(found)


def write_found(state_dir: Path, found: Sequence[FoundProvider]) -> None:
    """
    Put what was found into its file, which is its owner's alone, in one step.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    path = state_dir / DISCOVERED_NAME
    data = msgspec.json.format(msgspec.json.encode({"providers": found}), indent=1) + b"\n"
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        write_new(beside, data, 0o600)
        if os.geteuid() == 0:
            folder = state_dir.stat()
            os.chown(beside, folder.st_uid, folder.st_gid)  # whoever serves has to read it
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    sync_directory(state_dir)
