"""
How a provider stands: by what the health worker believes, and by what is seen of it in passing.

Pure: no probe runs here. `breaker_watch.py`, `provider_item.py` and the health worker ask it.
"""

from typing import Literal, Protocol

from msgspec import Struct, field

from proxy.domain.breaker import BreakerState
from proxy.domain.catalog import Provider
from proxy.domain.health import HealthState, HealthVerdict
from proxy.policy.routing import HEALTH_RANKS

ProviderStatus = HealthState | Literal["disabled"]
StatusSource = Literal["probe", "traffic", "none"]
"""`probe`: the health worker has said it. `traffic`: requests have shown it. `none`: nobody has."""
FRESH_S = 300.0
"""What was seen longer ago says nothing about now."""
LAST_FAILED = "its last attempt has failed"
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


CALM = Trouble()
"""All breakers are closed."""


class Evidence(Struct, frozen=True):
    """What speaks for and against a provider; with nothing of it nobody has ever asked."""

    deployments: int = 0
    """How many are known of it."""
    trouble: Trouble = field(default_factory=lambda: CALM)
    seen: Sighting | None = None
    """Its last attempt."""
    verdict: HealthVerdict | None = None
    """What the health worker believes of it."""
    is_vouched_for: bool = False
    """Requests have just succeeded there often enough to outweigh a bad verdict."""


class Standing(Struct, frozen=True):
    """How a provider stands, who says so, and what of it can be told; times are epoch seconds."""

    status: ProviderStatus
    source: StatusSource
    reason: str | None = None
    checked_at: float | None = None
    since_at: float | None = None
    response_time_s: float | None = None


def judge_provider(provider: Provider, evidence: Evidence, now_at: float) -> Standing:
    """
    Return how a provider stands.

    The health worker's verdict counts, if there is one, with two exceptions: a bad one yields to
    requests that succeed, and any yields to circuit breakers that know worse. Without a verdict
    it is what requests have shown.
    """
    if not provider.enabled:
        return Standing("disabled", "none", provider.disabled_reason)
    verdict = evidence.verdict
    if verdict is None or verdict.state == "unknown":
        return _judge_traffic(evidence, now_at)
    rank = HEALTH_RANKS[verdict.state]
    is_vetoed = evidence.is_vouched_for and rank > HEALTH_RANKS["unknown"]
    if evidence.trouble.level:
        shown = _judge_traffic(evidence, now_at)
        knows_worse = shown.status != "disabled" and HEALTH_RANKS[shown.status] > rank
        if is_vetoed or knows_worse:
            return shown
    if is_vetoed:
        reason = f"requests succeed, although its check says: {verdict.state}, {verdict.reason}"
        return _see(evidence.seen, "healthy", reason)
    return Standing(
        verdict.state,
        "probe",
        verdict.reason or None,
        verdict.checked_at,
        verdict.since_at,
        verdict.response_time_s,
    )


def _judge_traffic(evidence: Evidence, now_at: float) -> Standing:
    trouble, seen = evidence.trouble, evidence.seen
    if trouble.is_barred:
        return _see(seen, "unhealthy", "the circuit breaker of its host or its key is open")
    if 0 < evidence.deployments <= trouble.open:
        return _see(seen, "unhealthy", "all of its circuit breakers are open")
    if trouble.level:
        return _see(seen, "degraded", "some of its circuit breakers are not closed")
    if seen is None:
        return Standing("unknown", "none")
    if now_at - seen.at > FRESH_S:
        return _see(seen, "unknown", None)
    return _see(seen, "healthy", None) if seen.is_good else _see(seen, "degraded", LAST_FAILED)


def _see(seen: Sighting | None, status: ProviderStatus, reason: str | None) -> Standing:
    if seen is None:
        return Standing(status, "traffic", reason)
    return Standing(status, "traffic", reason, seen.at, None, seen.response_time_s)
