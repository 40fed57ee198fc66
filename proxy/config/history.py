"""
The configurations that were accepted, one directory for each, and how they are looked back at.

`<state>/snapshots/000012/` holds `entry.json`, plain copies of the files as they were read, and
`sealed.bin`, from which a start with a broken file can serve. A directory gets its name when it
is complete. What is damaged or not ours is passed over: nothing in here ever prevents a start.
"""

import contextlib
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from proxy.config.durable_file import sync_directory, write_new
from proxy.config.effective import EffectiveValue
from proxy.config.seal import SealBroken, Sealer
from proxy.config.sources import DISCOVERED_NAME, SourceFile

DIRECTORY_NAME = "snapshots"
MAX_ENTRIES = 50
MAX_BYTES = 64 * 1024 * 1024
SEARCH_CAUSE = f"edit of {DISCOVERED_NAME}"
"""Of what nobody has edited: discovery has found something else."""
LEAST_ENTRIES = 2
"""So many are kept, however large they are."""

_ENTRY = "entry.json"
_SEALED = "sealed.bin"
_GENERATION = re.compile(r"[0-9]{6,9}\Z")
_UNFINISHED = ".unfinished-"
_MAX_READ_BYTES = 256 * 1024 * 1024


class HistoryBroken(Exception):
    """An entry of the history is not there, or not what it was; the text says which and why."""


class HistoryEntry(Struct, frozen=True):
    """
    One accepted configuration. `accepted_at` is epoch seconds.

    `config_path` is absolute, None for the packaged copy. `effective` has its secrets masked.
    `files` maps the name of each kept file to the SHA-256 of its bytes.
    """

    generation: int
    accepted_at: float
    cause: str
    changes: tuple[str, ...] = ()
    config_path: str | None = None
    has_marker: bool = False
    provider_count: int = 0
    effective: tuple[EffectiveValue, ...] = ()
    files: Mapping[str, str] = {}


_decoder = msgspec.json.Decoder(HistoryEntry)


class History:
    """What lies in one directory, to be read; needs no secret."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def list(self) -> tuple[HistoryEntry, ...]:
        """Return all entries that can be read, newest first."""
        return self._read_all()[0]

    def list_damaged(self) -> tuple[str, ...]:
        """Return why entries were passed over, a sentence for each, newest first."""
        return self._read_all()[1]

    def newest(self, config_path: str | None) -> HistoryEntry | None:
        """Return the newest entry of one configuration file, None if there is none."""
        for generation in self._generations():
            with contextlib.suppress(HistoryBroken):
                entry = self.read(generation)
                if entry.config_path == config_path:
                    return entry
        return None

    def read(self, generation: int) -> HistoryEntry:
        """
        Return one entry.

        Raises:
            HistoryBroken: there is none, or it is damaged.
        """
        try:
            entry = _decoder.decode(self._read_part(generation, _ENTRY))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise HistoryBroken(f"generation {generation}: {_ENTRY} is damaged") from None
        if entry.generation != generation:
            raise HistoryBroken(f"generation {generation}: it says to be {entry.generation}")
        return entry

    def read_file(self, generation: int, name: str) -> bytes:
        """
        Return a kept file of the configuration, as it was accepted.

        Raises:
            HistoryBroken: it is not there, or was changed since.
        """
        digest = self.read(generation).files.get(name)
        if digest is None:
            raise HistoryBroken(f"generation {generation}: it has no {name}")
        data = self._read_part(generation, name)
        if _digest(data) != digest:
            raise HistoryBroken(f"generation {generation}: {name} is not as it was accepted")
        return data

    def next_generation(self) -> int:
        """Return the number after the highest that was ever used here, also by a damaged entry."""
        return max(self._generations(), default=0) + 1

    def path_of(self, generation: int) -> Path:
        """Return where an entry lies."""
        return self.directory / f"{generation:06d}"

    def _read_all(self) -> tuple[tuple[HistoryEntry, ...], tuple[str, ...]]:
        entries: list[HistoryEntry] = []
        damaged: list[str] = []
        for generation in self._generations():
            try:
                entries.append(self.read(generation))
            except HistoryBroken as error:
                damaged.append(str(error))
        return tuple(entries), tuple(damaged)

    def _generations(self) -> tuple[int, ...]:
        """Return the numbers of all directories that are named like entries, highest first."""
        try:
            with os.scandir(self.directory) as found:
                names = [e.name for e in found if e.is_dir(follow_symlinks=False)]
        except OSError:
            # Not there yet, or not for us: to look back at nothing must not prevent a start.
            return ()
        return tuple(sorted((int(n) for n in names if _GENERATION.match(n)), reverse=True))

    def _read_part(self, generation: int, name: str) -> bytes:
        try:
            return _read_regular(self.path_of(generation) / name)
        except OSError as error:
            reason = error.strerror or "input/output error"
            raise HistoryBroken(
                f"generation {generation}: {name} cannot be read ({reason})"
            ) from None


class HistoryStore(History):
    """The history of a running server, which adds to it; only one may do that at a time."""

    def __init__(self, directory: Path, sealer: Sealer) -> None:
        super().__init__(directory)
        self._sealer = sealer

    def add(self, entry: HistoryEntry, files: Sequence[SourceFile], payload: bytes) -> HistoryEntry:
        """
        Keep an accepted configuration, then remove what is too old or too much.

        Of several in a row that only discovery has changed the last one stays: a cluster that
        grows and shrinks all day must not push out what an operator may want to go back to.

        Args:
            entry: what to tell of it; its `files` are filled in.
            files: become plain copies, fit to be copied back.
            payload: is sealed; only `read_payload` gives it back.

        Returns:
            The entry as it was kept.

        Raises:
            OSError: it cannot be written, and is not kept; the text says what and where.
        """
        entry = replace(entry, files={file.name: _digest(file.data) for file in files})
        parts = {file.name: file.data for file in files}
        parts[_ENTRY] = msgspec.json.encode(entry)
        parts[_SEALED] = self._sealer.seal(payload, _context(entry.generation))
        before = self.newest(entry.config_path)
        try:
            self._write(self.path_of(entry.generation), parts)
        except OSError as error:
            what = f"generation {entry.generation} cannot be kept ({error.strerror})"
            raise OSError(error.errno, what, str(self.directory)) from error
        if before is not None and before.cause == entry.cause == SEARCH_CAUSE:
            self._remove(self.path_of(before.generation))
        self._prune()
        return entry

    def read_payload(self, generation: int) -> bytes:
        """
        Return what was sealed with an entry.

        Raises:
            SealBroken: it is not there, damaged, or was sealed with another master secret.
        """
        try:
            sealed = self._read_part(generation, _SEALED)
        except HistoryBroken as error:
            raise SealBroken(str(error)) from None
        return self._sealer.open(sealed, _context(generation))

    def _write(self, path: Path, parts: Mapping[str, bytes]) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_unfinished()
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.directory))
        try:
            for name, data in parts.items():
                write_new(unfinished / name, data)
            sync_directory(unfinished)
            unfinished.rename(path)
        except OSError:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        sync_directory(self.directory)

    def _remove_unfinished(self) -> None:
        """Remove what a killed server was writing or removing."""
        for path in self.directory.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(path, ignore_errors=True)

    def _prune(self) -> None:
        total_bytes = 0
        for index, generation in enumerate(self._generations()):
            path = self.path_of(generation)
            total_bytes += _size_of(path)
            is_too_much = index >= MAX_ENTRIES or total_bytes > MAX_BYTES
            if index >= LEAST_ENTRIES and is_too_much:
                self._remove(path)

    def _remove(self, path: Path) -> None:
        # What cannot be removed now is tried again, once there are too many.
        with contextlib.suppress(OSError):
            # By another name first: killed here, no half of an entry is left.
            doomed = path.rename(self.directory / f"{_UNFINISHED}{path.name}")
            shutil.rmtree(doomed, ignore_errors=True)


def _context(generation: int) -> bytes:
    # An older snapshot must not pass for a newer one by being copied over it.
    return b"generation %d" % generation


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _size_of(directory: Path) -> int:
    try:
        with os.scandir(directory) as found:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in found)
    except OSError:
        return 0


def _read_regular(path: Path) -> bytes:
    # O_NONBLOCK: a FIFO in a directory that is not ours must not hang the server.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_READ_BYTES:
            raise OSError(0, "no file of ours")
        return file.read()
