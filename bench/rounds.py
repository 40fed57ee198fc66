"""The rounds of a run: every system in turn, then all of them again."""

import sys
from collections.abc import Sequence

from msgspec import Struct

from bench.cores import Cores
from bench.readiness import SystemFailed
from bench.results import RowResult, SlotResult, SystemInfo
from bench.rows import Row
from bench.slot import run_slot, try_out
from bench.systems import System
from bench.toolchain import Tools


class Plan(Struct, frozen=True):
    """What a run is made of."""

    systems: Sequence[System]
    rows: Sequence[Row]
    rounds: int


def choose_ready(plan: Plan, tools: Tools, cores: Cores) -> tuple[list[System], list[SystemInfo]]:
    """Return the systems that start and answer here, and a description of all of them."""
    ready: list[System] = []
    infos: list[SystemInfo] = []
    for system in plan.systems:
        obstacle = system.find_obstacle()
        if obstacle is None:
            try:
                try_out(system, tools, cores)
                ready.append(system)
            except SystemFailed as error:
                obstacle = str(error)
                if error.log_tail:
                    _say(f"{system.name} printed:\n{error.log_tail}")
        if obstacle is not None:
            _say(f"{system.name} is not measured: {obstacle}")
        version = system.read_version() if obstacle is None else ""
        infos.append(SystemInfo(system.name, system.title, version, obstacle, system.core_count))
    return ready, infos


def run_rounds(
    systems: Sequence[System], plan: Plan, tools: Tools, cores: Cores
) -> list[SlotResult]:
    """
    Measure every system once per round and return all slots.

    Rounds are interleaved, so that a machine that grows slower meanwhile is slow for all.
    """
    slots: list[SlotResult] = []
    for number in range(1, plan.rounds + 1):
        for system in systems:
            _say(f"round {number} of {plan.rounds}: {system.name}")
            slot = run_slot(system, number, plan.rows, tools, cores, _say_row)
            if slot.failure is not None:
                _say(f"  FAILED: {system.name} {slot.failure}")
            slots.append(slot)
    return slots


def _say_row(result: RowResult) -> None:
    figures = "  ".join(f"{name} {value:,.4g}" for name, value in result.figures.items())
    errors = f"  ERRORS {result.load.err}: {result.complaint}" if result.load.err else ""
    _say(f"  {result.row:<16}{figures}{errors}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
