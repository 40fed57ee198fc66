"""The body of /health, readiness and uptime."""

from typing import Any, cast, get_args

import msgspec
import pytest
from msgspec.structs import replace

from proxy.domain.catalog import Provider
from proxy.domain.health import HealthState
from proxy.domain.service import ConfigStatus, ServiceStatus
from proxy.telemetry.health import UptimeTracker, build_health, is_ready, judge_health_worker
from proxy.telemetry.provider_status import ProviderStatus
from tests.telemetry.records import build_snapshot

OFF = Provider("off", "openai", "https://off.example", models=("x",), enabled=False)
EMPTY = Provider("empty", "openai", "https://empty.example")
WILD = Provider("wild", "openai", "https://wild.example", models=("*",))
START = 1_700_000_000.0


def build_status(**config: Any) -> ServiceStatus:
    """Return how a service stands that started at START with a routable provider."""
    uptime = UptimeTracker(START, is_routable=True).record()
    return ServiceStatus(ConfigStatus(7, START + 60, **config), uptime, 3, 2)


def test_exact_body() -> None:
    """The body is the union of the two that are documented, with what is unknown beside it."""
    snapshot = build_snapshot(*build_snapshot().providers.values(), OFF, version="2.0.0")
    uptime = UptimeTracker(START, is_routable=True)
    uptime.observe(START + 5000, is_routable=False)
    uptime.observe(START + 5005, is_routable=True)
    status = msgspec.structs.replace(build_status(), uptime=uptime.record())

    body = build_health(snapshot, status, START + 10_000.5)

    assert body == {
        "status": "healthy",
        "timestamp": START + 10_000.5,
        "providers": {
            "total": 2,
            "healthy": 2,
            "degraded": 0,
            "unhealthy": 0,
            "unknown": 2,
            "disabled": 1,
        },
        "degraded": [],
        "uptime": "99.95%",
        "uptime_s": 10_000.5,
        "last_check": "2023-11-14T23:36:45Z",
        "version": "2.0.0",
        "config": {
            "generation": 7,
            "loaded_at": "2023-11-14T22:14:20Z",
            "last_error": None,
        },
        "workers": {"total": 3, "ready": 2},
        "components": {
            "api_server": "healthy",
            "health_worker": "unknown",
            "metrics_collector": "healthy",
            "config_manager": "healthy",
        },
    }


def test_providers_are_counted_by_how_they_stand() -> None:
    """What is unknown counts as healthy too; stores that are away are named, and change nothing."""
    stands: dict[str, ProviderStatus] = {"alpha": "degraded", "beta": "unhealthy"}
    providers = (*build_snapshot().providers.values(), WILD, OFF)

    body = build_health(
        build_snapshot(*providers),
        build_status(),
        START,
        judge=lambda provider: stands.get(provider.name, "unknown"),
        degraded=("redis",),
    )

    assert body["providers"] == {
        "total": 3,
        "healthy": 1,
        "degraded": 1,
        "unhealthy": 1,
        "unknown": 1,
        "disabled": 1,
    }
    assert (body["status"], body["degraded"]) == ("healthy", ["redis"])


def test_a_check_that_is_known_is_the_last_one() -> None:
    """`last_check` is the time of the newest check of a provider, where one is known."""
    body = build_health(build_snapshot(), build_status(), START + 9.0, checked_at=START + 7.0)
    assert body["last_check"] == "2023-11-14T22:13:27Z"


def test_every_state_of_a_provider_is_counted_as_one_of_four() -> None:
    """A rejected key and a model that loads are unhealthy, a rate limit is degraded."""
    states: tuple[HealthState, ...] = get_args(HealthState)
    providers = [replace(WILD, name=state) for state in states]

    body = build_health(
        build_snapshot(*providers),
        build_status(),
        START,
        judge=lambda provider: cast(ProviderStatus, provider.name),
    )

    counts = body["providers"]
    assert (counts["total"], counts["disabled"]) == (7, 0)
    assert (counts["healthy"], counts["unknown"]) == (2, 1)
    assert (counts["degraded"], counts["unhealthy"]) == (2, 3)


def test_the_health_worker_is_a_component() -> None:
    """One that doubts itself, or is missed, is degraded; where there is none it is unknown."""
    body = build_health(build_snapshot(), build_status(), START, health_worker="degraded")
    assert body["components"]["health_worker"] == "degraded"
    assert body["status"] == "healthy"

    def judge(*, is_alive: bool, is_suspect: bool = False, is_missed: bool = True) -> object:
        return judge_health_worker(is_alive=is_alive, is_suspect=is_suspect, is_missed=is_missed)

    assert judge(is_alive=True) == ("healthy", ())
    assert judge(is_alive=True, is_suspect=True) == ("degraded", ())
    assert judge(is_alive=False) == ("degraded", ("health_stale",))
    assert judge(is_alive=False, is_missed=False) == ("unknown", ())


def test_no_provider_is_unhealthy() -> None:
    """Without anything to route to, the status is unhealthy and the uptime zero."""
    uptime = UptimeTracker(START, is_routable=False).record()
    status = msgspec.structs.replace(build_status(), uptime=uptime)

    body = build_health(build_snapshot(OFF, EMPTY), status, START)

    assert (body["status"], body["uptime"]) == ("unhealthy", "0.00%")
    assert body["providers"]["total"] == 0
    assert body["version"]


@pytest.mark.parametrize(("count", "words"), [(1, "(1 problem)"), (4, "(4 problems)")])
def test_what_is_wrong_with_an_edit_is_for_who_has_a_key(count: int, words: str) -> None:
    """A refused edit degrades; strangers get the number of its problems, others its text."""
    status = build_status(last_error="config.yaml:3: secret words", problem_count=count)

    hidden = build_health(build_snapshot(), status, START)
    told = build_health(build_snapshot(), status, START, tells_error=True)

    assert hidden["components"]["config_manager"] == "degraded"
    assert hidden["status"] == "healthy"
    assert words in hidden["config"]["last_error"]
    assert "secret" not in hidden["config"]["last_error"]
    assert told["config"]["last_error"] == "config.yaml:3: secret words"


def test_ready_needs_one_routable_deployment() -> None:
    """A listed model or a wildcard at an enabled provider makes ready, nothing else does."""
    assert is_ready(build_snapshot())
    assert is_ready(build_snapshot(WILD))
    assert not is_ready(build_snapshot(OFF))
    assert not is_ready(build_snapshot(EMPTY))


def test_uptime_is_rounded_down() -> None:
    """A hundredth of a percent of outage is never hidden by rounding."""
    uptime = UptimeTracker(START, is_routable=False)
    uptime.observe(START + 1, is_routable=True)

    status = msgspec.structs.replace(build_status(), uptime=uptime.record())
    body = build_health(build_snapshot(), status, START + 1_000_000)

    assert body["uptime"] == "99.99%"


def test_always_up_is_all_of_the_time() -> None:
    """Repeated observations of the same state change nothing about the share."""
    uptime = UptimeTracker(START, is_routable=True)
    for second in range(100):
        uptime.observe(START + second / 3, is_routable=True)

    assert uptime.share(START + 1000) == 1.0
    assert UptimeTracker(START, is_routable=True).share(START) == 1.0


def test_clock_set_back_gives_no_nonsense() -> None:
    """A wall clock that jumps back leaves the share between 0 and 1."""
    uptime = UptimeTracker(START, is_routable=True)
    uptime.observe(START + 100, is_routable=False)
    uptime.observe(START + 50, is_routable=True)

    assert uptime.share(START - 10) == 1.0
    assert 0.0 <= uptime.share(START + 200) <= 1.0


def test_uptime_goes_on_in_another_process() -> None:
    """What one process has seen is gone on from by the next, to the same share."""
    uptime = UptimeTracker(START, is_routable=False)
    uptime.observe(START + 25, is_routable=True)
    uptime.observe(START + 75, is_routable=False)
    uptime.observe(START + 90, is_routable=True)

    next_one = UptimeTracker.from_record(uptime.record())

    assert next_one.share(START + 100) == uptime.share(START + 100) == 0.6
    assert next_one.observed_at == START + 90
    assert next_one.record() == uptime.record()
