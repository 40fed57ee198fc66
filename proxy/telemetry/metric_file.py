"""
One mapped file of numbers: a worker's counters, histograms or gauges.

The format is that of prometheus-client's multiprocess mode (its `MmapedDict` describes it),
so that its collector reads these files. Its own writer costs 0.7 us for each number, three
times that for a histogram; adding to a mapped double costs 0.1. `metric_store.py` owns the
files of a worker.
"""

import json
import math
import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

_FIRST_CAPACITY_BYTES = 1 << 16
_HEADER_BYTES = 8
_DOUBLE_BYTES = 8
_ENTRY_HEAD = struct.Struct("i")
_TWO_DOUBLES = struct.Struct("dd")


class MetricFileDamaged(Exception):
    """The file is not what a worker wrote; a crash of the machine may leave one."""


def build_key(metric_name: str, sample_name: str, labels: Mapping[str, str], help_text: str) -> str:
    """
    Return the key of one number.

    Args:
        metric_name: the family, without `_total`.
        sample_name: with `_total`, `_bucket` or `_sum`.
        labels: label values by name, `le` too.
        help_text: what the family's HELP line says.

    Source: `prometheus_client.mmap_dict.mmap_key`; a test compares the two.
    """
    return json.dumps([metric_name, sample_name, dict(labels), help_text], sort_keys=True)


def read_entries(data: bytes) -> Iterator[tuple[str, int, float]]:
    """
    Yield (key, position in bytes of its value, value) of everything in a file.

    Raises:
        MetricFileDamaged: `data` breaks the format anywhere.
    """
    try:
        (used,) = _ENTRY_HEAD.unpack_from(data, 0)
        if len(data) % _DOUBLE_BYTES or used > len(data) - _DOUBLE_BYTES:
            raise MetricFileDamaged("the file is cut off")
        position = _HEADER_BYTES
        while position < used:
            (length,) = _ENTRY_HEAD.unpack_from(data, position)
            padded = length + (_DOUBLE_BYTES - (length + _ENTRY_HEAD.size) % _DOUBLE_BYTES)
            start = position + _ENTRY_HEAD.size
            position = start + padded
            if length <= 0 or position + _TWO_DOUBLES.size > used:
                raise MetricFileDamaged("an entry reaches beyond the file's end")
            key = data[start : start + length].decode("utf-8")
            if len(json.loads(key)) != 4:
                raise MetricFileDamaged("a key is not one of ours")
            value, _ = _TWO_DOUBLES.unpack_from(data, position)
            if not math.isfinite(value):
                raise MetricFileDamaged("a value is not a number")
            yield key, position, value
            position += _TWO_DOUBLES.size
    except (struct.error, ValueError, TypeError) as error:
        raise MetricFileDamaged("an entry cannot be read") from error


class MetricFile:
    """
    A file of doubles that keep their values over restarts; one process may write it.

    `values[slot]` is read and changed directly. The last double of the file belongs to
    nobody: when the disk has no room for a new entry, its slot is that one, and the request
    that is being counted goes on.
    """

    __slots__ = ("_capacity_bytes", "_fd", "_is_full", "_map", "_slots", "_used_bytes", "values")

    def __init__(self, path: Path) -> None:
        """
        Open `path`, made if it is missing.

        Raises:
            OSError: the file cannot be opened, mapped or given its space on disk.
            MetricFileDamaged: there is something else in it.
        """
        self._fd = _open(path)
        self._is_full = False
        self._slots: dict[str, int] = {}
        self._used_bytes = _HEADER_BYTES
        try:
            self._map_file(os.fstat(self._fd).st_size)
            for key, position, _ in read_entries(self._map[:]):
                self._slots[key] = position // _DOUBLE_BYTES
                self._used_bytes = position + _TWO_DOUBLES.size
        except BaseException:  # whatever it was, the descriptor has no other owner
            os.close(self._fd)
            raise

    def slot(self, key: str) -> int:
        """Return the place of `key` in `values`, made with the value 0.0 if it is new."""
        found = self._slots.get(key)
        if found is not None:
            return found
        self._slots[key] = slot = self._append(key.encode("utf-8"))
        return slot

    def close(self) -> None:
        """Let go of the file; a number that comes too late is still taken, and no longer kept."""
        os.close(self._fd)

    def _append(self, key: bytes) -> int:
        padding = _DOUBLE_BYTES - (len(key) + _ENTRY_HEAD.size) % _DOUBLE_BYTES
        entry = _ENTRY_HEAD.pack(len(key)) + key + b" " * padding + _TWO_DOUBLES.pack(0.0, 0.0)
        while self._used_bytes + len(entry) + _DOUBLE_BYTES > self._capacity_bytes:
            if self._is_full or not self._grow():
                return self._capacity_bytes // _DOUBLE_BYTES - 1
        end = self._used_bytes + len(entry)
        self._map[self._used_bytes : end] = entry
        # Last: a reader in another process must never see half an entry.
        self._map[: _ENTRY_HEAD.size] = _ENTRY_HEAD.pack(end)
        self._used_bytes = end
        return (end - _TWO_DOUBLES.size) // _DOUBLE_BYTES

    def _grow(self) -> bool:
        capacity_bytes = self._capacity_bytes * 2
        try:
            # Real blocks, not a hole: a full disk behind a mapped hole kills the process.
            os.posix_fallocate(self._fd, 0, capacity_bytes)
            self._map_file(capacity_bytes)
        except OSError:
            self._is_full = True
            return False
        return True

    def _map_file(self, capacity_bytes: int) -> None:
        self._map = mmap.mmap(self._fd, capacity_bytes)
        self._capacity_bytes = capacity_bytes
        self.values = memoryview(self._map).cast("d")


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        pass
    # Complete before it has its name: a reader takes every file that it finds.
    unfinished = path.with_suffix(".new")
    fd = os.open(unfinished, flags | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.posix_fallocate(fd, 0, _FIRST_CAPACITY_BYTES)
        os.pwrite(fd, _ENTRY_HEAD.pack(_HEADER_BYTES), 0)
        unfinished.replace(path)
    except BaseException:  # whatever it was, the descriptor has no other owner
        os.close(fd)
        raise
    return fd
