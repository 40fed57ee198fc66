"""
A provider as `/status`, `/providers` and the health worker's own API list it.

Pure; the first six fields are those of the API's documentation, in its order.
"""

from collections.abc import Collection

from proxy.domain.breaker import BreakerReport
from proxy.domain.catalog import Provider
from proxy.telemetry.provider_status import Standing


def build_provider_item(
    provider: Provider,
    models: Collection[str],
    standing: Standing,
    breaker: BreakerReport | None,
    *,
    now_at: float,
    cache_ttl_s: float,
    tells_reason: bool = True,
) -> dict[str, object]:
    """
    Return one item.

    Args:
        provider: it.
        models: those of it that who asks may know of.
        standing: how it stands (see `judge_provider`).
        breaker: the worst of its circuit breakers, None if none was heard of.
        now_at: epoch seconds.
        cache_ttl_s: a last check that is older than this is stale; so is none at all.
        tells_reason: whether who asks may know of every model, which a reason may name.
    """
    checked_at = standing.checked_at
    is_told = tells_reason or not provider.enabled
    return {
        "name": provider.name,
        "status": standing.status,
        "last_check": checked_at,
        "response_time": standing.response_time_s,
        "models": models,
        "circuit_breaker": {
            "state": "closed" if breaker is None else breaker.state,
            "failure_count": 0 if breaker is None else breaker.failure_count,
            "last_failure_time": None if breaker is None else breaker.last_failure_time,
        },
        "reason": standing.reason if is_told else None,
        "since": standing.since_at,
        "is_stale": checked_at is None or now_at - checked_at > cache_ttl_s,
        "source": standing.source,
        "enabled": provider.enabled,
    }
