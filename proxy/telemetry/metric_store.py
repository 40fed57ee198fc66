"""
The metric files of one worker, and the merged view of all workers' files.

Each worker writes files named by its number, so that counters go on after a restart; any
worker reads them all. Which metrics there are is in `metric_table.py`, who counts them in
`metrics.py`.
"""

import contextlib
import fcntl
import os
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import structlog

from proxy.telemetry.metric_file import MetricFile, MetricFileDamaged, build_key, read_entries
from proxy.telemetry.metric_table import DURATION_BUCKETS_S, Metric

_log = structlog.get_logger("llm_proxy.telemetry.metrics")
_MAX_STAND_INS = 64
_PREFIXES = ("counter", "histogram", "gauge_livesum", "gauge_livemax", "gauge_livemin")


class Number:
    """One counter or gauge with its labels."""

    __slots__ = ("_file", "_slot")

    def __init__(self, file: MetricFile, slot: int) -> None:
        self._file = file
        self._slot = slot

    def add(self, amount: float) -> None:
        """Add `amount`, which for a counter is never negative."""
        self._file.values[self._slot] += amount

    def set(self, value: float) -> None:
        """Replace the value of a gauge."""
        self._file.values[self._slot] = value


class Histogram:
    """One histogram with its labels."""

    __slots__ = ("_file", "_slots", "_sum_slot")

    def __init__(self, file: MetricFile, slots: tuple[int, ...], sum_slot: int) -> None:
        self._file = file
        self._slots = slots
        self._sum_slot = sum_slot

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        values = self._file.values
        values[self._sum_slot] += seconds
        values[self._slots[bisect_left(DURATION_BUCKETS_S, seconds)]] += 1.0


class MetricStore:
    """Open series in this worker's files; read everybody's."""

    def __init__(self, directory: Path, owner: int | str) -> None:
        """
        Take the files of `owner` in `directory`, which is made if it is missing.

        A worker is called by its number. Counters go on from where they were, gauges begin at
        0. While another process still has that name (a worker that drains), a stand-in such as
        `0.1` is taken. What is damaged is set aside with a warning.

        Raises:
            OSError: the directory or a file cannot be made or written; names the path.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        # Workers start side by side: without turns, one that sweeps would look like a live one.
        with _hold_turn(directory):
            self._lock_fd, self._name = _take_name(directory, str(owner))
            _sweep(directory, own_name=self._name)
            # All at once: a full disk is to be found at start, not by a request.
            self._files = {prefix: MetricFile(self._path(prefix)) for prefix in _PREFIXES}

    def open_number(self, metric: Metric, *label_values: str) -> Number:
        """Return the counter or gauge of `metric` with these labels."""
        prefix = "counter" if metric.kind == "counter" else f"gauge_{metric.merge}"
        labels = dict(zip(metric.labels, label_values, strict=True))
        file = self._files[prefix]
        return Number(file, file.slot(build_key(metric.family, metric.name, labels, metric.help)))

    def open_histogram(self, metric: Metric, *label_values: str) -> Histogram:
        """Return the histogram of `metric` with these labels."""
        name, labels = metric.name, dict(zip(metric.labels, label_values, strict=True))
        file = self._files["histogram"]
        bounds = [str(bound) for bound in DURATION_BUCKETS_S] + ["+Inf"]
        slots = tuple(
            file.slot(build_key(name, f"{name}_bucket", labels | {"le": bound}, metric.help))
            for bound in bounds
        )
        return Histogram(
            file, slots, file.slot(build_key(name, f"{name}_sum", labels, metric.help))
        )

    def render(self) -> tuple[bytes, str]:
        """Return all workers' numbers in the Prometheus text format, and its content type."""
        # 10 to 20 ms to import, and a worker needs it only once somebody asks.
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(self._directory))  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST

    def close(self) -> None:
        """Let go of this worker's files; its live gauges no longer count."""
        for prefix, file in self._files.items():
            file.close()
            if prefix.startswith("gauge"):
                self._path(prefix).unlink(missing_ok=True)
        os.close(self._lock_fd)

    def _path(self, prefix: str) -> Path:
        return self._directory / f"{prefix}_{self._name}.db"


@contextlib.contextmanager
def _hold_turn(directory: Path) -> Iterator[None]:
    fd = os.open(directory / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _take_name(directory: Path, owner: str) -> tuple[int, str]:
    for stand_in in range(_MAX_STAND_INS):
        name = f"{owner}.{stand_in}" if stand_in else owner
        fd = _lock(directory, name)
        if fd is not None:
            return fd, name
    raise OSError(
        f"{directory}: {_MAX_STAND_INS} processes called '{owner}' are there already; "
        "stop those that are left over."
    )


def _lock(directory: Path, name: str) -> int | None:
    """Return a descriptor that holds `name`, None if another process holds it."""
    fd = os.open(directory / f"worker_{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _sweep(directory: Path, own_name: str) -> None:
    """Drop the gauges of processes that are gone and set aside files that are damaged."""
    for path in sorted(directory.glob("*.db")):
        name = path.stem.rpartition("_")[2]
        fd = None if name == own_name else _lock(directory, name)
        if name != own_name and fd is None:
            continue  # That worker is alive.
        try:
            if path.name.startswith("gauge_"):
                path.unlink(missing_ok=True)
            else:
                _set_aside_if_damaged(path)
        finally:
            if fd is not None:
                os.close(fd)


def _set_aside_if_damaged(path: Path) -> None:
    try:
        for _ in read_entries(path.read_bytes()):
            pass
    except MetricFileDamaged as error:
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        _log.warning(
            "A metrics file is damaged and was set aside; its counters begin at 0",
            file=aside.name,
            reason=str(error),
        )
