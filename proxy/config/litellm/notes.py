"""What of LiteLLM's configuration has no counterpart here, or not quite."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.config.problem import show_name


class Notes:
    """Collects what an operator must know; no note holds a value of the configuration."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    @property
    def lines(self) -> tuple[str, ...]:
        """Every note once, in the order in which they were made."""
        return tuple(self._lines)

    def add(self, place: str, what: str) -> None:
        """Note something about a place such as `router_settings.timeout`."""
        self._lines[f"{place}: {what}"] = None

    def add_rest(
        self, place: str, given: Mapping[str, Any], known: frozenset[str], why: Mapping[str, str]
    ) -> None:
        """Note every name of a section that is not `known`, with the reason that `why` has."""
        for name, value in given.items():
            if name not in known and value is not None:
                self.add(f"{place}.{name_key(name)}", why.get(name, "has no counterpart"))


def name_key(name: str) -> str:
    """Return a name as a note may show it: somebody's secret may stand in its place."""
    for part in filter(None, re.split(r"[/*:@ ]+", name)):
        shown = show_name(part)
        if shown.strip("'") != part:
            return shown
    return name
