"""A provider as it is listed."""

from msgspec.structs import replace

from proxy.domain.breaker import BreakerReport
from proxy.domain.catalog import Provider
from proxy.telemetry.provider_item import build_provider_item
from proxy.telemetry.provider_status import Standing
from tests.telemetry.test_provider_status import ALPHA, NOW_AT


def test_the_documented_fields_come_first_and_exactly() -> None:
    """Six as they are printed in the API's documentation, then ours."""
    standing = Standing("degraded", "probe", "slow", NOW_AT - 5.0, NOW_AT - 60.0, 2.5)
    breaker = BreakerReport("alpha/small", "open", "failures", 5, NOW_AT, 9.0, 1, 5, 5, 0, 0)
    item = build_provider_item(
        ALPHA, ("small",), standing, breaker, now_at=NOW_AT, cache_ttl_s=30.0
    )
    assert list(item.items()) == [
        ("name", "alpha"),
        ("status", "degraded"),
        ("last_check", NOW_AT - 5.0),
        ("response_time", 2.5),
        ("models", ("small",)),
        (
            "circuit_breaker",
            {"state": "open", "failure_count": 5, "last_failure_time": NOW_AT},
        ),
        ("reason", "slow"),
        ("since", NOW_AT - 60.0),
        ("is_stale", False),
        ("source", "probe"),
        ("enabled", True),
    ]


def test_what_was_checked_long_ago_or_never_is_stale() -> None:
    """Older than the cache's time, or without a check; a breaker nobody has heard of is closed."""

    def build(checked_at: float | None) -> dict[str, object]:
        standing = Standing("healthy", "traffic", None, checked_at)
        return build_provider_item(ALPHA, (), standing, None, now_at=NOW_AT, cache_ttl_s=30.0)

    assert build(NOW_AT - 30.0)["is_stale"] is False
    assert build(NOW_AT - 31.0)["is_stale"] is True
    assert build(None)["is_stale"] is True
    assert build(None)["circuit_breaker"] == {
        "state": "closed",
        "failure_count": 0,
        "last_failure_time": None,
    }


def test_a_reason_is_for_who_may_know_every_model() -> None:
    """It may name models that a restricted key is not to learn of; why it is off is for all."""

    def build(provider: Provider) -> object:
        standing = Standing("healthy", "probe", "does not list huge")
        return build_provider_item(
            provider, (), standing, None, now_at=NOW_AT, cache_ttl_s=30.0, tells_reason=False
        )["reason"]

    assert build(ALPHA) is None
    assert build(replace(ALPHA, enabled=False)) == "does not list huge"
