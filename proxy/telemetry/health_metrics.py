"""What is counted of the health worker's verdicts, as this process hears them."""

from collections.abc import Callable, Mapping

from proxy.domain.health import HealthState, HealthVerdict
from proxy.telemetry import metric_table as table
from proxy.telemetry.metric_store import MetricStore, Number

HEALTH_CODES: Mapping[HealthState, int] = {
    "healthy": 0,
    "unknown": 1,
    "degraded": 2,
    "rate_limited": 3,
    "warming": 4,
    "key_rejected": 5,
    "unhealthy": 6,
}
"""What the gauge says of each state; the higher, the worse."""


class HealthMetrics:
    """Numbers of verdicts; a provider has its own from its first verdict on."""

    def __init__(
        self, store: MetricStore, may_be_label: Callable[[str], bool] = lambda name: True
    ) -> None:
        """Count in `store`, of the providers whose names may be a label there."""
        self._store = store
        self._may_be_label = may_be_label
        self._held = store.open_number(table.HEALTH_CACHE_SIZE)
        self._states: dict[str, HealthState] = {}
        self._levels: dict[str, Number] = {}
        self._changes: dict[tuple[str, HealthState], Number] = {}

    def take(self, verdicts: Mapping[str, HealthVerdict | None], *, held: int) -> None:
        """
        Tell what is now believed.

        Args:
            verdicts: of those of which something else may be believed than before; None: nothing.
            held: how many verdicts there are of all providers together.
        """
        self._held.set(float(held))
        for name, verdict in verdicts.items():
            if name not in self._levels and not self._may_be_label(name):
                continue
            after: HealthState = "unknown" if verdict is None else verdict.state
            if after != self._states.get(name, "unknown"):
                self._count(name, after)
            if verdict is not None or name in self._levels:
                self._states[name] = after
                self._find_level(name).set(float(HEALTH_CODES[after]))

    def _count(self, name: str, after: HealthState) -> None:
        number = self._changes.get((name, after))
        if number is None:
            number = self._store.open_number(table.HEALTH_CHANGES, name, after)
            self._changes[name, after] = number
        number.add(1.0)

    def _find_level(self, name: str) -> Number:
        number = self._levels.get(name)
        if number is None:
            number = self._levels[name] = self._store.open_number(table.PROVIDER_HEALTH, name)
        return number
