"""
How a provider stands, from what is seen of it in passing: its breakers and its last attempt.

Pure: no probe runs here. `breaker_watch.py` and `server/provider_endpoints.py` ask it.
"""

from typing import Literal, Protocol

from msgspec import Struct

from proxy.domain.breaker import BreakerState
from proxy.domain.catalog import Provider

ProviderStatus = Literal["healthy", "degraded", "unhealthy", "unknown", "disabled"]
FRESH_S = 300.0
"""What was seen longer ago says nothing about now."""
BARRED: frozenset[BreakerState] = frozenset(("open", "forced_open"))
"""The states that let no request through."""


class Sighting(Protocol):
    """The last time that a provider answered or failed; `at` is epoch seconds."""

    @property
    def at(self) -> float:
        """When that was."""

    @property
    def response_time_s(self) -> float | None:
        """How long it took, if it answered."""

    @property
    def is_good(self) -> bool:
        """It answered."""


class Trouble(Struct):
    """How many of a provider's breakers are not closed; the host's and the key's stand apart."""

    open: int = 0
    half_open: int = 0
    is_barred: bool = False
    """Its host or its key is held: none of its deployments can be asked."""
    is_probed: bool = False
    """Its host or its key is being tried again."""

    @property
    def level(self) -> float:
        """What the gauge of breakers tells: 0 closed, 1 open, 2 half-open; open is worse."""
        if self.open or self.is_barred:
            return 1.0
        return 2.0 if self.half_open or self.is_probed else 0.0


def judge_provider(
    provider: Provider,
    deployments: int,
    trouble: Trouble,
    seen: Sighting | None,
    now_at: float,
) -> ProviderStatus:
    """
    Return how a provider stands.

    Args:
        provider: it.
        deployments: how many are known of it.
        trouble: how its breakers stand.
        seen: its last attempt, None if there was none.
        now_at: epoch seconds.
    """
    if not provider.enabled:
        return "disabled"
    if trouble.is_barred or 0 < deployments <= trouble.open:
        return "unhealthy"
    if trouble.level:
        return "degraded"
    if seen is None or now_at - seen.at > FRESH_S:
        return "unknown"
    return "healthy" if seen.is_good else "degraded"
