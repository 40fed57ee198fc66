"""What a health worker would tell, made up by tests."""

import time

from proxy.domain.catalog import Provider
from proxy.domain.health import HealthNews, HealthState, HealthVerdict


def build_verdict(provider: Provider, state: HealthState = "healthy") -> HealthVerdict:
    """Return what is believed of a provider that was checked just now."""
    now_at = time.time()
    return HealthVerdict(
        provider=provider.name,
        address=provider.base_url,
        state=state,
        reason=f"it looks {state}",
        since_at=now_at - 60.0,
        checked_at=now_at,
        lives_s=180.0,
        response_time_s=0.2,
        models=("m", "unlisted"),
    )


def build_news(number: int, *verdicts: HealthVerdict, is_suspect: bool = False) -> HealthNews:
    """Return news of a health worker that lives another 15 seconds."""
    return HealthNews(1, number, verdicts, lives_s=15.0, is_suspect=is_suspect)
