"""How a provider stands, by what is seen of it in passing."""

from msgspec import Struct

from proxy.domain.catalog import Provider
from proxy.telemetry.provider_status import FRESH_S, Trouble, judge_provider

ALPHA = Provider("alpha", "openai", "https://alpha.example", models=("small", "large"))
NOW_AT = 1_700_000_000.0


class Seen(Struct, frozen=True):
    """A last attempt."""

    at: float = NOW_AT - 1.0
    response_time_s: float | None = 0.5
    is_good: bool = True


def judge(trouble: Trouble, seen: Seen | None = None, provider: Provider = ALPHA) -> str:
    """Return the status of a provider with two deployments."""
    return judge_provider(provider, 2, trouble, seen, NOW_AT)


def test_a_provider_that_was_never_asked_is_unknown() -> None:
    """Silence says nothing, and so does what was seen too long ago."""
    assert judge(Trouble()) == "unknown"
    assert judge(Trouble(), Seen(at=NOW_AT - FRESH_S - 1.0)) == "unknown"


def test_a_success_lately_is_healthy() -> None:
    """The last attempt decides, while no breaker says more."""
    assert judge(Trouble(), Seen()) == "healthy"
    assert judge(Trouble(), Seen(is_good=False, response_time_s=None)) == "degraded"


def test_open_breakers_degrade_and_all_of_them_end_it() -> None:
    """Some: degraded, whatever was seen. All, or the host or the key: unhealthy."""
    assert judge(Trouble(open=1), Seen()) == "degraded"
    assert judge(Trouble(half_open=2), Seen()) == "degraded"
    assert judge(Trouble(is_probed=True)) == "degraded"
    assert judge(Trouble(open=2), Seen()) == "unhealthy"
    assert judge(Trouble(is_barred=True), Seen()) == "unhealthy"


def test_a_provider_that_is_switched_off_is_disabled() -> None:
    """Nothing that was seen before changes that."""
    off = Provider("alpha", "openai", "https://alpha.example", models=("small",), enabled=False)
    assert judge(Trouble(open=2), Seen(), off) == "disabled"


def test_the_gauge_tells_the_worst() -> None:
    """Open is 1 and worse than half-open, which is 2."""
    assert Trouble().level == 0.0
    assert Trouble(half_open=1).level == Trouble(is_probed=True).level == 2.0
    assert Trouble(open=1, half_open=1).level == Trouble(is_barred=True).level == 1.0
