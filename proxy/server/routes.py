"""
Which paths there are, what each takes, and who may ask it: the one place where they are kept.

A route has an access level, or it cannot be made. `app.py` adds them all, `dispatch.py` finds
the one for a request by the path as it was sent: nothing is decoded before it is compared.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote

from aiohttp import web
from msgspec import Struct

from proxy.policy.access import Access

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PARAMETER = re.compile(r"\{[a-z]+\}$")
_TRICKS = re.compile(r"[;\\#]|^/|//|%2e|%5c|(?:^|/)\.{1,2}(?:/|$)", re.IGNORECASE)


class Route(Struct, frozen=True):
    """
    One path: its pattern, who may ask it, and what answers each of its methods.

    `other_methods` answers all the rest. A pattern that ends with `{name}` takes any text there.
    """

    pattern: str
    access: Access
    handlers: Mapping[str, Handler]
    other_methods: Handler


class Routes:
    """All routes of the server."""

    def __init__(self) -> None:
        self._exact: dict[str, Route] = {}
        self._prefixes: list[tuple[str, Route]] = []

    def add(self, route: Route) -> None:
        """
        Add a route.

        Raises:
            ValueError: there is one with that pattern.
        """
        if any(route.pattern == known.pattern for known in self.all):
            raise ValueError(f"the route '{route.pattern}' was added already")
        if _PARAMETER.search(route.pattern):
            self._prefixes.append((_PARAMETER.sub("", route.pattern), route))
        else:
            self._exact[route.pattern] = route

    @property
    def all(self) -> tuple[Route, ...]:
        """Every route there is."""
        return (*self._exact.values(), *(route for _, route in self._prefixes))

    def find(self, path: str) -> Route | None:
        """Return the route for a path as it was sent, None if there is none."""
        route = self._exact.get(path)
        if route is not None:
            return route
        for prefix, candidate in self._prefixes:
            rest = path[len(prefix) :] if path.startswith(prefix) else ""
            if rest:
                return None if _is_trick(rest) else candidate
        return None


def read_parameter(pattern: str, path: str) -> str:
    """Return what stands for the pattern's `{name}` in a path, decoded; "" if it has none."""
    prefix = _PARAMETER.sub("", pattern)
    return "" if prefix == pattern else unquote(path[len(prefix) :])


def _is_trick(rest: str) -> bool:
    # Slashes may come encoded, and must not hide what they stand between.
    return _TRICKS.search(rest.replace("%2f", "/").replace("%2F", "/")) is not None
