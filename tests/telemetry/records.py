"""Made-up records and catalogs that the telemetry tests share."""

from typing import Any

from proxy.domain.catalog import Deployment, Group, Provider, Snapshot
from proxy.domain.exchange import AttemptRecord, RequestRecord
from proxy.domain.health import HealthState, HealthVerdict
from proxy.domain.settings import Settings
from proxy.domain.usage import Usage

STARTED_AT = 1_700_000_000.25


def build_attempt(**changes: Any) -> AttemptRecord:
    """Return a successful attempt at `alpha/small`, changed where asked."""
    fields: dict[str, Any] = {
        "provider": "alpha",
        "model": "small",
        "outcome": "ok",
        "duration_s": 1.2,
        "first_byte_s": 0.3,
    }
    return AttemptRecord(**(fields | changes))


def build_record(**changes: Any) -> RequestRecord:
    """Return a completed stream of `alpha/small`, changed where asked."""
    fields: dict[str, Any] = {
        "request_id": "req_01890a5d-ac96-774b-bcce-b302099a8057",
        "started_at": STARTED_AT,
        "duration_s": 1.25,
        "endpoint": "/chat/completions",
        "status": 200,
        "ending": "completed",
        "streams": True,
        "alias": "chat",
        "provider": "alpha",
        "model": "small",
        "key_id": "key_0123456789ab",
        "organization_id": "default",
        "ttft_s": 0.5,
        "usage": Usage(100, 50, cached_tokens=20, reasoning_tokens=10),
        "attempts": (build_attempt(),),
        "route_reason": "priority",
        "route_order": ("alpha/small", "beta/small"),
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    return RequestRecord(**(fields | changes))


def build_snapshot(*providers: Provider, version: str = "") -> Snapshot:
    """Return a catalog of `providers`; without any, of `alpha` and `beta`."""
    if not providers:
        providers = (
            Provider("alpha", "openai", "https://alpha.example", models=("small", "large")),
            Provider("beta", "openai", "https://beta.example", models=("*",)),
        )
    groups = {
        model: Group(model, (Deployment(provider, model),))
        for provider in providers
        if provider.enabled
        for model in provider.models
        if model != "*"
    }
    return Snapshot(
        generation=1,
        created_at=STARTED_AT,
        settings=Settings(app_version=version),
        providers={provider.name: provider for provider in providers},
        groups=groups,
        callers={},
    )


def build_verdict(provider: str, state: HealthState) -> HealthVerdict:
    """Return what a health worker may believe of a provider since half a minute."""
    return HealthVerdict(
        provider=provider,
        address=f"https://{provider}.example",
        state=state,
        reason=f"it looks {state}",
        since_at=1_699_999_970.0,
        checked_at=1_699_999_990.0,
        lives_s=180.0,
        response_time_s=0.2,
        models=("small", "huge"),
    )
