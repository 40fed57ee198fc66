"""Turns the slots of a run into one median with its spread per system and figure."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct

from bench.results import SlotResult

BUSY_CORE_SHARE = 0.05
"""From this share of one of the two cores on, other programs spoil the figures."""


class Spread(Struct, frozen=True):
    """One figure over all rounds."""

    median: float
    low: float
    high: float
    errors: int = 0
    """Bad answers in the rows that the figure comes from, all rounds together."""
    is_silent: bool = False
    """In one of the rounds nothing good came back at all."""

    @property
    def is_result(self) -> bool:
        """Whether it may be compared with anything: only good answers count."""
        return not self.errors and not self.is_silent


def build_spread(values: Sequence[float], errors: int = 0, is_silent: bool = False) -> Spread:
    """Return the median of `values`, at least one, with the lowest and the highest."""
    return Spread(median(values), min(values), max(values), errors, is_silent)


def summarize(slots: Iterable[SlotResult]) -> dict[str, dict[str, Spread]]:
    """Return system -> figure -> spread; what was never measured is absent."""
    values: dict[str, dict[str, list[float]]] = {}
    rows: dict[str, str] = {}
    errors: dict[tuple[str, str | None], int] = {}
    silent: set[tuple[str, str | None]] = set()
    for slot in slots:
        of_system = values.setdefault(slot.system, {})
        for name, value in slot.figures.items():
            of_system.setdefault(name, []).append(value)
        for row in slot.rows:
            for name, value in row.figures.items():
                of_system.setdefault(name, []).append(value)
                rows[name] = row.row
            # By row: a silent one lacks the figures that another round may have.
            key = (slot.system, row.row)
            errors[key] = errors.get(key, 0) + row.load.err
            if row.load.is_silent:
                silent.add(key)

    def build(system: str, name: str, found: Sequence[float]) -> Spread:
        key = (system, rows.get(name))
        return build_spread(found, errors.get(key, 0), key in silent)

    return {
        system: {name: build(system, name, found) for name, found in figures.items()}
        for system, figures in values.items()
    }


def find_faults(slots: Iterable[SlotResult]) -> list[str]:
    """Return one sentence for everything that went wrong, in the order of the run."""
    faults = []
    for slot in slots:
        where = f"{slot.system}, round {slot.round}"
        for row in slot.rows:
            if row.load.err:
                kinds = (
                    f"{row.load.err_status} wrong status, {row.load.err_conn} connection, "
                    f"{row.load.err_short} short answer"
                )
                first = f"; first: `{row.complaint}`" if row.complaint else ""
                faults.append(f"{where}, row {row.row}: {row.load.err} errors ({kinds}){first}")
            elif row.load.is_silent:
                faults.append(f"{where}, row {row.row}: not one good answer")
        if slot.failure is not None:
            faults.append(f"{where}: {slot.failure}")
    return faults


def find_foreign_share(slots: Iterable[SlotResult]) -> float:
    """Return the largest share of either core that anything else took in any row."""
    return max((row.foreign_share for slot in slots for row in slot.rows), default=0.0)


def read_median(
    summary: Mapping[str, Mapping[str, Spread]], system: str, figure: str
) -> float | None:
    """Return a system's median, or None where there is none that may be compared."""
    spread = summary.get(system, {}).get(figure)
    return None if spread is None or not spread.is_result else spread.median
