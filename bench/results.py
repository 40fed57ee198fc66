"""The values that a run leaves behind, as they are also written to `results/latest.json`."""

from collections.abc import Mapping

from msgspec import Struct

from bench.load import LoadResult


class RowResult(Struct, frozen=True):
    """One row of one slot."""

    row: str
    figures: Mapping[str, float]
    load: LoadResult
    foreign_share: float = 0.0
    complaint: str | None = None
    """The first thing that `lg` found wrong, if anything."""


class SlotResult(Struct, frozen=True):
    """One system in one round; `failure` says why rows are missing, or is None."""

    system: str
    round: int
    figures: Mapping[str, float] = {}
    rows: tuple[RowResult, ...] = ()
    failure: str | None = None


class SystemInfo(Struct, frozen=True):
    """One system of the run; `skipped` says why it was not measured, or is None."""

    name: str
    title: str
    version: str
    skipped: str | None = None
    core_count: int = 1


class MachineInfo(Struct, frozen=True):
    """What the figures depend on; nothing in it tells one machine of a kind from another."""

    cpu: str
    cpu_count: int
    kernel: str
    python: str
    libraries: Mapping[str, str]
    compiler: str
    are_cores_apart: bool


class Results(Struct, frozen=True):
    """A whole run."""

    date: str
    command: str
    is_quick: bool
    rounds: int
    rows: tuple[str, ...]
    machine: MachineInfo
    systems: tuple[SystemInfo, ...]
    slots: tuple[SlotResult, ...]
    skipped_rows: Mapping[str, str] = {}
    """Rows that could not be measured, each with the reason."""
