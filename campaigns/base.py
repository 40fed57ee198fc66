"""
What every campaign needs: a table of checks, and the result file that is committed.

A campaign is a long test that `make campaign NAME=...` runs: `campaigns/old_sdk.py` for
NAME=old-sdk. It ends by `write_result`, and exits with what that returns. Nothing here starts
or asks anything.
"""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct

from proxy.version import __version__

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "campaigns" / "results"
LIBRARIES = ("aiohttp", "msgspec", "orjson", "uvloop")
PASSED = "ok"


class Result(Struct, frozen=True):
    """
    What one campaign has found.

    `columns` head the table after the name of the check; `rows` maps each check to one cell
    per column, which is `ok` or says what was wrong. `notes` are sentences above the table.
    `command` is how it was run, if not by `make campaign`.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Mapping[str, Sequence[str]]
    notes: Sequence[str] = ()
    command: str | None = None

    @property
    def failures(self) -> list[str]:
        """The checks that do not hold in some column; one without any row is one too."""
        if not self.rows:
            return ["nothing was checked"]
        return [name for name, cells in self.rows.items() if any(c != PASSED for c in cells)]


def build_page(result: Result, measured_at: datetime) -> str:
    """Return the result as a page of Markdown: date, command, versions, verdict, table."""
    command = result.command or f"make campaign NAME={result.name}"
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    lines = [
        f"# {result.title}",
        "",
        f"- Date: {measured_at:%Y-%m-%d %H:%M} UTC",
        f"- Command: `{command}`",
        f"- Versions: llm-proxy-api {__version__}, {python} on {platform.system()}, {libraries}",
        f"- Verdict: {_build_verdict(result)}",
        "",
        *(line for note in result.notes for line in (note, "")),
        _build_row(["check", *result.columns]),
        _build_row(["---"] * (len(result.columns) + 1)),
        *(_build_row([name, *cells]) for name, cells in result.rows.items()),
    ]
    return "\n".join(lines) + "\n"


def write_result(result: Result) -> int:
    """Write the page into campaigns/results/, print it, and return the exit status."""
    RESULTS.mkdir(exist_ok=True)
    page = build_page(result, datetime.now(UTC))
    (RESULTS / f"{result.name}.md").write_text(page, encoding="utf-8")
    return print_result(result)


def print_result(result: Result) -> int:
    """Print the page and nothing more, as of a trial, and return the exit status."""
    print(build_page(result, datetime.now(UTC)))
    return 1 if result.failures else 0


def _build_verdict(result: Result) -> str:
    if result.failures:
        return f"**failed** ({', '.join(result.failures)})"
    return f"**passed**, all {len(result.rows)} checks in every column"


def _build_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_clean_cell(cell) for cell in cells)} |"


def _clean_cell(text: str) -> str:
    """Keep a cell in its place, and the place of this checkout out of it."""
    one_line = " ".join(text.split()).replace(str(ROOT), ".").replace(str(Path.home()), "~")
    return one_line.replace("|", "\\|")[:160]
