"""Who is who in the campaign of the health worker: providers, routes, and how they can be."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from tests.canaries import ADMIN_KEY, CLIENT_KEY, PROVIDER_KEY

WATCHED, ALONE = "watched", "alone"
FLEETS = (WATCHED, ALONE)
"""Two fleets of proxies, alike in all but that health workers tell the first of them something."""
KEYS: Mapping[str, str] = {WATCHED: PROVIDER_KEY, ALONE: PROVIDER_KEY.replace("91be", "47d2")}
"""What each fleet asks providers with, by which they know whose request it is."""
SECRETS = (CLIENT_KEY, ADMIN_KEY, *KEYS.values())

PROVIDERS = tuple(f"provider-{number:02d}" for number in range(50))
INTERVAL_S, TRANSITION_S, JITTER = 5.0, 2.0, 0.2
"""Seconds between two probes: of one that is well, of one of which it is not clear; plus minus."""
LIVES_S = 3 * INTERVAL_S
LEASE_S = 10.0
COOLDOWN_S = 30.0
PROBE_TIMEOUT_S = 5.0
CACHE_TTL_S = 2 * INTERVAL_S
BREAKER_S = 5.0
"""`circuit_breaker_timeout`."""


class Route(Struct, frozen=True):
    """One model, by the name of its route, and the equal providers behind it."""

    model: str
    strategy: str
    providers: tuple[str, ...]


def _route(model: str, strategy: str, *numbers: int) -> Route:
    return Route(model, strategy, tuple(PROVIDERS[number] for number in numbers))


MISJUDGED = (PROVIDERS[5], PROVIDERS[7], PROVIDERS[9])
"""Whose probes fail although they answer every request: each fails in another way."""
FLAPPING = (PROVIDERS[13], PROVIDERS[15])
DYING_BUSY = PROVIDERS[11]
BUSY = (
    _route("steady-one", "weighted", 0, 1),
    _route("steady-two", "priority", 2, 3, 4),
    _route("misjudged-one", "weighted", 5, 6),
    _route("misjudged-two", "weighted", 7, 8),
    _route("misjudged-three", "weighted", 9, 10),
    _route("dying", "weighted", 11, 12),
    _route("flapping-one", "weighted", 13, 14),
    _route("flapping-two", "weighted", 15, 16),
)
QUIET = tuple(
    _route(f"quiet-{number:02d}", "priority", 18 + 2 * number, 19 + 2 * number)
    for number in range(16)
)
"""Routes that are asked now and then; the first of the two providers gets all there is."""
DYING_QUIET = tuple(route.providers[0] for route in QUIET[:8])
DYING = (DYING_BUSY, *DYING_QUIET)
ROUTES = (*BUSY, *QUIET)

SLOW = tuple(route.providers[0] for route in ROUTES)
ALWAYS_WELL = tuple(
    name for name in PROVIDERS[:48] if name not in (*SLOW, *DYING, *FLAPPING, *MISJUDGED)
)
"""To whom nothing is done that is not done to all."""

Manner = str
"""
How a provider is, for requests and for probes: `well`, or `down` (it reads and resets); for probes
alone `deaf` (resets), `limited` (429), `broken` (503) and `slow` (SLOW_S).
"""
MANNERS = ("well", "down", "deaf", "limited", "broken", "slow")
MISJUDGED_MANNERS: Mapping[str, Manner] = dict(
    zip(MISJUDGED, ("deaf", "limited", "broken"), strict=True)
)
SLOW_S = 2.5
"""Longer than a probe may take before its provider counts as slow, shorter than its clock."""


class Counts(Struct, frozen=True):
    """What the providers have counted; times are of the monotonic clock, which processes share."""

    probes: Mapping[str, Sequence[float]]
    """By provider: when each probe came."""
    chats: Mapping[str, Mapping[str, int]]
    """By fleet, then by provider: requests for completions since the start."""
    connections: int
    """That are open now."""
    by_strangers: int
    """Requests under a key of neither fleet, and probes of the fleet that has no health worker."""


def list_models(provider: str) -> list[str]:
    """Return the models of a provider; one that no route leads to has one all the same."""
    models = [route.model for route in ROUTES if provider in route.providers]
    return models or [f"{provider}-model"]


def build_config(fleet: str, address: str, ports: Sequence[int], redis_url: str) -> str:
    """Return the text of a fleet's configuration; each proxy is told its own port besides."""
    config: dict[str, Any] = {
        "workers": 1,
        "api_keys": [CLIENT_KEY],
        "admin_keys": [ADMIN_KEY],
        "redis_url": redis_url,
        "circuit_breaker_timeout": BREAKER_S,
        "health_check_interval": INTERVAL_S,
        "health_check_timeout": PROBE_TIMEOUT_S,
        "health_check_cache_ttl": CACHE_TTL_S,
        "drain_timeout": 10,
        "routes": [
            {
                "alias": route.model,
                "strategy": route.strategy,
                "targets": [{"provider": name, "model": route.model} for name in route.providers],
            }
            for route in ROUTES
        ],
        "providers": [
            {
                "name": name,
                "type": "openai_compatible",
                "base_url": f"http://{address}:{port}/v1",
                "api_key": KEYS[fleet],
                "models": list_models(name),
                "max_retries": 0,
            }
            for name, port in zip(PROVIDERS, ports, strict=True)
        ],
    }
    return json.dumps(config, indent=1)
