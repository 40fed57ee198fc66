"""
Which providers have series of their own: those of the configuration, and not too many found ones.

A series stays until the process ends. Pods come and go by the thousand, each under another name.
"""

from collections.abc import Mapping

from proxy.domain.catalog import Provider

MAX_FOUND = 2000
"""Found providers that have had series of their own since the start; all later ones are `other`."""


class KnownProviders:
    """Keeps count of the found providers that there have been."""

    def __init__(self, max_found: int = MAX_FOUND) -> None:
        self._max_found = max_found
        self._found: set[str] = set()

    def choose(self, providers: Mapping[str, Provider]) -> Mapping[str, Provider]:
        """Return those of a catalog that may be a label."""
        for name, provider in providers.items():
            if provider.found_by is not None and len(self._found) < self._max_found:
                self._found.add(name)
        if len(self._found) < self._max_found:
            return providers
        return {
            name: provider
            for name, provider in providers.items()
            if provider.found_by is None or name in self._found
        }
