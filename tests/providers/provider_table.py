"""
The table of provider types in docs/providers.md, made from the rows.

`python -m tests.providers.provider_table` prints it, to be put between the marks.
"""

from collections.abc import Iterable
from pathlib import Path

from proxy.providers.azure import AZURE
from proxy.providers.kind import Kind
from proxy.providers.openai_compatible import KINDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "providers.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"

_COLUMNS = (
    *("type", "provider", "address", "key", "can", "renamed", "left out", "usage in streams"),
    *("`developer`", "repairs", "health path"),
)


def build_table(kinds: Iterable[Kind] = (*KINDS, AZURE)) -> str:
    """Return the table in Markdown, one row per type."""
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *(_row(kind) for kind in kinds)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def read_table() -> str:
    """Return the table that stands in the page."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def _row(kind: Kind) -> tuple[str, ...]:
    names = [_code(name) for name in kind.key_variables]
    key = ", ".join(names) + ("" if kind.needs_key else " (optional)" if names else "optional")
    return (
        _code(kind.type),
        kind.title,
        _code(kind.base_url) if kind.base_url else "`base_url` must be set",
        key,
        ", ".join(kind.operations),
        ", ".join(f"{_code(old)} → {_code(new)}" for old, new in kind.renames.items()) or "-",
        ", ".join(_code(name) for name in sorted(kind.drops)) or "-",
        "asked for" if kind.usage_in_streams == "ask" else "unasked",
        "as `system`" if kind.maps_developer_role else "as it is",
        _code(kind.quirk) if kind.quirk else "none: bytes pass",
        _code(kind.health_path) + (" in front of `/v1`" if kind.health_at_root else ""),
    )


def _code(text: str) -> str:
    return f"`{text}`"


if __name__ == "__main__":
    print(build_table(), end="")  # noqa: T201
