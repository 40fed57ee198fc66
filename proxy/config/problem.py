"""
What is wrong with a configuration, where it stands, and how to mend it.

Every module of `config/` reports in these words; `cli` and `wiring` print them. No
message ever holds a value of the configuration: a key may have slipped into any of them.
"""

import re
from collections.abc import Iterable

from msgspec import Struct

ENVIRONMENT = "environment"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,79}\Z")
_KEY_LIKE = re.compile(r"(?i)\A(sk|xai|gsk|pplx|key)[-_]|[0-9a-z]{24}")


class Place(Struct, frozen=True):
    """
    Where a value came from: a file's line and column (from 1), or a variable.

    `variable` names the variable of the environment or of a `.env` file; line 0 means
    the file as a whole.
    """

    source: str
    line: int = 0
    column: int = 0
    variable: str = ""

    @property
    def is_variable(self) -> bool:
        """The value came from the environment or from `.env`."""
        return bool(self.variable)

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}:{self.column}" if self.line else self.source
        return f"{place}: {self.variable}" if self.variable else place


DEFAULT_PLACE = Place("default")


class Problem(Struct, frozen=True):
    """One thing that is wrong, or worth a warning."""

    place: Place
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}: {self.mend}"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def show_name(name: str) -> str:
    """Return a key's name in quotes, or words for it where it might itself be a secret."""
    if _NAME.match(name) and not _KEY_LIKE.search(name):
        return f"'{name}'"
    return "(name not shown)"


def suggest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was most likely meant to be, or None."""
    # Imported here because only a configuration with a mistake in it needs it.
    from difflib import get_close_matches

    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name.lower()[:80], by_lower, n=1, cutoff=0.7)
    return by_lower[close[0]] if close else None
