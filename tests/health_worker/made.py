"""Targets and readings of a test's choice."""

from typing import Any

from health_worker.targets import Target
from health_worker.verdict import ProbeResult
from proxy.domain.catalog import Provider, Snapshot
from proxy.domain.health import HealthState, ProbeReading
from proxy.domain.settings import Settings


def build_target(
    name: str = "p", *, is_local: bool = False, expected: tuple[str, ...] = (), **fields: Any
) -> Target:
    """A target at a provider of these fields."""
    provider = Provider(name, **{"type": "openai", "base_url": "https://x.example/v1", **fields})
    return Target(name, provider, expected, is_local=is_local)


def build_snapshot(*providers: Provider) -> Snapshot:
    """A snapshot of these providers, with nothing else in it."""
    return Snapshot(1, 0.0, Settings(), {p.name: p for p in providers}, {}, {})


def come_to(
    state: HealthState, took_s: float | None = None, *models: str, has_answered: bool = True
) -> ProbeResult:
    """What a probe comes to that speaks for this state."""
    return ProbeResult(ProbeReading(state, f"because {state}", models), took_s, has_answered)
