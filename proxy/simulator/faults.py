"""
The table of named faults: every way of misbehaving that a proxy must survive.

The rows are numbered as in the project's catalogue of upstream faults. Left out are those
that no name can choose: unroutable addresses (U2), TLS (U28), DNS (U29), and what only
appears over several requests or providers (U36 to U39).
`docs/simulator.md` shows this table; a test holds both equal.
"""

from collections.abc import Mapping
from types import MappingProxyType

from proxy.simulator.fault_bytes import BYTE_FAULTS
from proxy.simulator.fault_connections import CONNECTION_FAULTS
from proxy.simulator.fault_fields import FIELD_FAULTS
from proxy.simulator.fault_kind import Fault
from proxy.simulator.fault_replies import REPLY_FAULTS
from proxy.simulator.fault_responses import RESPONSE_FAULTS
from proxy.simulator.knobs import FAULT_PREFIX

_ROWS = (*CONNECTION_FAULTS, *BYTE_FAULTS, *REPLY_FAULTS, *FIELD_FAULTS, *RESPONSE_FAULTS)


def _row_number(fault: Fault) -> int:
    """Order by the catalogue's number, quirks last; the sort keeps the rest as written."""
    return int(fault.row[1:]) if fault.row != "-" else 1000


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {fault.name: fault for fault in sorted(_ROWS, key=_row_number)}
)
"""Every fault by its name, in the order of the catalogue."""

EARLY_REFUSAL = FAULTS["u40-early-400"]
"""The one fault that a server must recognise before it has the whole request."""


def find_fault(name: str) -> Fault | None:
    """Return the fault of that name, with or without `sim-fault-` in front, or None."""
    return FAULTS.get(name.removeprefix(FAULT_PREFIX))


def build_fault_table() -> str:
    """Return the table of faults as docs/simulator.md shows it, in Markdown."""
    lines = ["| row | model name | what happens | played | needs |", "|---|---|---|---|---|"]
    for fault in FAULTS.values():
        played = "both" if len(fault.faces) == 2 else fault.faces[0]
        lines.append(
            f"| {fault.row} | `{fault.model}` | {fault.does} | {played} | {_needs(fault)} |"
        )
    return "\n".join(lines) + "\n"


def _needs(fault: Fault) -> str:
    shape = {"any": "", "stream": "`stream: true`", "answer": "`stream: false`"}[fault.shape]
    reach = {"any": "", "text": "chat or completions", "chat": "chat"}[fault.reach]
    return ", ".join([need for need in (shape, reach) if need])
