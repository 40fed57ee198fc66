"""One mapped file of numbers."""

import contextlib
import errno
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from proxy.telemetry.metric_file import MetricFile, MetricFileDamaged, build_key, read_entries


def _key(number: int) -> str:
    return build_key("m", "m_total", {"n": str(number)}, "help")


def _read(path: Path) -> dict[str, float]:
    entries = MmapedDict.read_all_values_from_file(path)  # type: ignore[no-untyped-call]
    return {key.rstrip(): value for key, value, _, _ in entries}


def test_key_is_the_librarys() -> None:
    """Our keys are byte for byte those that prometheus-client makes."""
    ours = build_key("m", "m_total", {"b": "é", "a": '"'}, "help")

    assert mmap_key("m", "m_total", ["b", "a"], ["é", '"'], "help") == ours


def test_library_reads_what_we_write(tmp_path: Path) -> None:
    """prometheus-client's reader finds every number, also after the file has grown often."""
    file = MetricFile(tmp_path / "counter_0.db")
    expected = {}
    for number in range(5000):
        file.values[file.slot(_key(number))] += number
        expected[_key(number)] = float(number)

    assert expected == _read(tmp_path / "counter_0.db")
    file.close()


def test_we_read_what_the_library_writes(tmp_path: Path) -> None:
    """A file that prometheus-client itself began is gone on with."""
    path = tmp_path / "counter_0.db"
    theirs = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    theirs.write_value(_key(1), 7.0, 0.0)  # type: ignore[no-untyped-call]
    theirs.close()  # type: ignore[no-untyped-call]

    file = MetricFile(path)
    file.values[file.slot(_key(1))] += 1.0
    file.values[file.slot(_key(2))] += 1.0
    file.close()

    assert {_key(1): 8.0, _key(2): 1.0} == _read(path)


def test_values_outlive_the_process(tmp_path: Path) -> None:
    """What was counted is there when the file is opened again, and slots stay put."""
    path = tmp_path / "counter_0.db"
    first = MetricFile(path)
    slots = [first.slot(_key(number)) for number in range(3)]
    first.values[slots[1]] = 42.0
    first.close()
    second = MetricFile(path)

    assert slots == [second.slot(_key(number)) for number in range(3)]
    assert second.values[slots[1]] == 42.0
    second.close()


def test_full_disk_stops_growth_not_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room for new entries the old ones go on counting, and new ones harm nothing."""
    file = MetricFile(tmp_path / "counter_0.db")

    def refuse(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    for _ in range(2):
        for number in range(5000):
            file.values[file.slot(_key(number))] += 1.0

    kept = _read(tmp_path / "counter_0.db")
    assert 0 < len(kept) < 5000
    assert {2.0} == set(kept.values())
    file.close()


def test_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """A missing directory is told at once, by name."""
    with pytest.raises(OSError, match="missing"):
        MetricFile(tmp_path / "missing" / "counter_0.db")


def _build_file(*entries: tuple[bytes, float], used: int | None = None, size: int = 4096) -> bytes:
    body = b""
    for key, value in entries:
        padded = key + b" " * (8 - (len(key) + 4) % 8)
        body += struct.pack("i", len(key)) + padded + struct.pack("dd", value, 0.0)
    head = struct.pack("ii", 8 + len(body) if used is None else used, 0)
    return (head + body).ljust(size, b"\0")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        _build_file((b'["m","m",{},"h"]', 1.0), size=4095),
        _build_file((b'["m","m",{},"h"]', 1.0), used=5000),
        _build_file((b'["m","m",{},"h"]', 1.0), used=20),
        _build_file((b'["m","m",{},"h"]', float("nan"))),
        _build_file((b"not json", 1.0)),
        _build_file((b"12", 1.0)),
        _build_file((b'["m"]', 1.0)),
        _build_file((b"\xff\xfe", 1.0)),
        _build_file(used=4000),
    ],
)
def test_damage_is_seen(data: bytes) -> None:
    """A file that is cut off, filled with zeros or garbage is called damaged."""
    with pytest.raises(MetricFileDamaged):
        list(read_entries(data))


@given(st.binary(max_size=200))
def test_garbage_never_hangs_or_crashes(data: bytes) -> None:
    """Any bytes are either read or called damaged."""
    with contextlib.suppress(MetricFileDamaged):
        list(read_entries(data))
