"""How a provider stands, by what is seen of it in passing."""

from typing import get_args

from msgspec import Struct

from proxy.domain.catalog import Provider
from proxy.domain.health import HealthState, HealthVerdict
from proxy.telemetry.provider_status import (
    FRESH_S,
    Evidence,
    Standing,
    Trouble,
    judge_provider,
)
from tests.telemetry.records import build_verdict

ALPHA = Provider("alpha", "openai", "https://alpha.example", models=("small", "large"))
NOW_AT = 1_700_000_000.0


class Seen(Struct, frozen=True):
    """A last attempt."""

    at: float = NOW_AT - 1.0
    response_time_s: float | None = 0.5
    is_good: bool = True


def stand(
    trouble: Trouble | None = None,
    seen: Seen | None = None,
    provider: Provider = ALPHA,
    *,
    verdict: HealthVerdict | None = None,
    is_vouched_for: bool = False,
) -> Standing:
    """Return how a provider with two deployments stands."""
    evidence = Evidence(2, trouble or Trouble(), seen, verdict, is_vouched_for)
    return judge_provider(provider, evidence, NOW_AT)


def judge(trouble: Trouble, seen: Seen | None = None, provider: Provider = ALPHA) -> str:
    """Return its status by what was seen alone."""
    return stand(trouble, seen, provider).status


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


def test_a_verdict_is_what_counts() -> None:
    """Its state, its reason and its times are told, whatever the last attempt was like."""
    for state in get_args(HealthState):
        verdict = build_verdict("alpha", state)
        told = stand(seen=Seen(is_good=False), verdict=verdict)
        if state == "unknown":
            assert (told.status, told.source) == ("degraded", "traffic")
            continue
        assert (told.status, told.source, told.reason) == (state, "probe", verdict.reason)
        assert (told.checked_at, told.since_at) == (verdict.checked_at, verdict.since_at)
        assert told.response_time_s == verdict.response_time_s


def test_requests_that_succeed_outweigh_a_bad_verdict() -> None:
    """It is healthy then, by its traffic, and the reason names what the check has said."""
    verdict = build_verdict("alpha", "unhealthy")
    told = stand(seen=Seen(), verdict=verdict, is_vouched_for=True)
    assert (told.status, told.source, told.checked_at) == ("healthy", "traffic", Seen().at)
    assert "unhealthy" in str(told.reason)
    good = stand(seen=Seen(), verdict=build_verdict("alpha", "healthy"), is_vouched_for=True)
    assert good.source == "probe"


def test_breakers_may_know_worse_and_never_better() -> None:
    """A good verdict hides no open breaker; a bad one is not mended by closed ones."""
    well, ill = build_verdict("alpha", "healthy"), build_verdict("alpha", "key_rejected")
    told = stand(Trouble(open=2), verdict=well)
    assert (told.status, told.source) == ("unhealthy", "traffic")
    assert "breaker" in str(told.reason)
    assert stand(Trouble(half_open=1), verdict=well).status == "degraded"
    assert stand(Trouble(open=2), verdict=ill).status == "key_rejected"
    assert stand(verdict=ill).status == "key_rejected"
    assert stand(Trouble(open=1), Seen(), verdict=ill, is_vouched_for=True).status == "degraded"
