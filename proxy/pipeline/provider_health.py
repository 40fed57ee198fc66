"""
What is believed of each provider's health: the health worker's verdicts, and what requests show.

Routing asks it for an order among equals, `/status` and `/health` for what to tell. It bars nobody.
"""

from collections.abc import Callable, Iterable, Mapping

from proxy.domain.catalog import SIMULATOR_TYPE, Provider
from proxy.domain.health import HealthVerdict
from proxy.policy.recent_successes import RecentSuccesses
from proxy.policy.routing import HEALTH_RANKS, UNKNOWN_RANK
from proxy.stores.base import VerdictStore

_HEALTHY = HEALTH_RANKS["healthy"]


class ProviderHealth:
    """Ranks by provider, kept as verdicts come and go: a request only looks one up."""

    def __init__(self, verdicts: VerdictStore | None, read_clock_s: Callable[[], float]) -> None:
        """Begin with nothing known; `verdicts` None: there never will be."""
        self.verdicts = verdicts
        self.is_even = True
        """Every provider has the same rank (see `policy/routing.py`)."""
        self._read_clock_s = read_clock_s
        self._ranks: dict[str, int] = {}
        """Of providers with a verdict that says something."""
        self._successes: dict[str, RecentSuccesses] = {}

    def find_successes(self, name: str) -> RecentSuccesses:
        """Return what attempts at a provider have shown lately, to add to it."""
        successes = self._successes.get(name)
        if successes is None:
            successes = self._successes[name] = RecentSuccesses()
        return successes

    def find_verdict(self, provider: Provider) -> HealthVerdict | None:
        """Return what the health worker believes of a provider; None: nothing."""
        return None if self.verdicts is None else self.verdicts.find(provider)

    def is_vouched_for(self, name: str) -> bool:
        """Return whether requests of this process have just shown that a provider works."""
        successes = self._successes.get(name)
        return successes is not None and successes.is_enough(self._read_clock_s())

    def rank(self, provider: Provider) -> int:
        """
        Return how a provider stands among others; a bad verdict yields to successful requests.

        One that is never to be checked cannot show that it is healthy: that is not held against it.
        """
        rank = self._ranks.get(provider.name)
        if rank is None:
            return _HEALTHY if provider.probe.kind == "off" else UNKNOWN_RANK
        if rank > UNKNOWN_RANK and self.is_vouched_for(provider.name):
            return _HEALTHY
        return rank

    def refresh(self, names: Iterable[str], providers: Mapping[str, Provider]) -> None:
        """Take what is now believed of these providers; `providers` are all that there are."""
        before = dict(self._ranks)
        for name in names:
            provider = providers.get(name)
            verdict = None if provider is None else self.find_verdict(provider)
            if verdict is None or verdict.state == "unknown":
                self._ranks.pop(name, None)
            else:
                self._ranks[name] = HEALTH_RANKS[verdict.state]
        if self._ranks != before:
            self._weigh(providers)

    def apply(self, gone: Iterable[str], providers: Mapping[str, Provider]) -> None:
        """Forget what is known of providers that are gone or changed; these are there now."""
        for name in gone:
            self._successes.pop(name, None)
            self._ranks.pop(name, None)
        if self.verdicts is not None:
            self.verdicts.forget(gone)
        self._weigh(providers)

    def _weigh(self, providers: Mapping[str, Provider]) -> None:
        # Whom requests vouch for changes with time: those are even only where nobody needs it.
        self.is_even = not self._ranks or all(
            self._ranks.get(p.name) == _HEALTHY
            for p in providers.values()
            if p.enabled and p.type != SIMULATOR_TYPE and p.probe.kind != "off"
        )
