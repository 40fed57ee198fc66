"""`GET /providers`: how providers stand, by what their requests have shown."""

import msgspec
import pytest

from proxy.domain.catalog import Snapshot
from proxy.domain.errors import UpstreamTimeout
from proxy.domain.identity import Caller
from proxy.pipeline.board import Ticket
from tests.fakes.proxy_server import HASHER, KEY, build_provider
from tests.server.administration import Administered, administrating, build_catalog

pytestmark = pytest.mark.usefixtures("no_leaks")


def restrict(snapshot: Snapshot, *models: str) -> Snapshot:
    """Return it with a user key that may only ask for these names."""
    user = {HASHER.digest(KEY): Caller(HASHER.key_id(KEY), models=frozenset(models))}
    return msgspec.structs.replace(snapshot, callers={**snapshot.callers, **user})


def attempt(asked: Administered, name: str, *, is_good: bool) -> None:
    """Have an attempt at what a name stands for end well after a quarter of a second, or badly."""
    board = asked.server.runtime.board
    group = asked.server.runtime.snapshot.find_group(name)
    assert group is not None
    place, ticket = board.find_place(group.deployments[0]), Ticket()
    board.begin(place)
    if is_good:
        board.note_content(place, ticket, 0.25, streams=True)
        board.end(place, ticket, None, ttft_s=0.25)
    else:
        board.end(place, ticket, UpstreamTimeout())


async def test_a_provider_that_was_never_asked() -> None:
    """The body is the documented one, with nothing in it that nobody has seen."""
    provider = build_provider("http://127.0.0.1:1/v1", models=("m", "n"))
    async with administrating(build_catalog(provider)) as asked:
        status, body = await asked.ask("GET", "/providers", KEY)
    assert status == 200
    assert body == {
        "providers": [
            {
                "name": "up",
                "status": "unknown",
                "last_check": None,
                "response_time": None,
                "models": ["m", "n"],
                "circuit_breaker": {
                    "state": "closed",
                    "failure_count": 0,
                    "last_failure_time": None,
                },
                "reason": None,
                "since": None,
                "is_stale": True,
                "source": "none",
                "enabled": True,
            }
        ]
    }


async def test_what_attempts_have_shown_is_told() -> None:
    """A success makes it healthy, with its time; a failure degraded, and counted."""
    async with administrating() as asked:
        attempt(asked, "m", is_good=True)
        _, body = await asked.ask("GET", "/providers")
        up, other = body["providers"]
        assert (up["status"], up["response_time"]) == ("healthy", 0.25)
        assert up["last_check"] > 1_600_000_000
        assert other["status"] == "unknown"

        attempt(asked, "m", is_good=False)
        _, body = await asked.ask("GET", "/providers")
    up = body["providers"][0]
    assert (up["status"], up["response_time"]) == ("degraded", None)
    assert up["circuit_breaker"]["failure_count"] == 1
    assert up["circuit_breaker"]["last_failure_time"] > 1_600_000_000


async def test_the_worst_breaker_speaks_for_the_provider() -> None:
    """One of two open: degraded; both: unhealthy; an operator's order is told by its name."""
    async with administrating() as asked:
        asked.report("up/org/m:free", times=5)
        _, body = await asked.ask("GET", "/providers")
        up = body["providers"][0]
        assert (up["status"], up["circuit_breaker"]["state"]) == ("degraded", "open")
        asked.report("up/m", times=5)
        _, body = await asked.ask("GET", "/providers")
        assert body["providers"][0]["status"] == "unhealthy"
        await asked.ask("POST", "/admin/breakers/up/open")
        _, body = await asked.ask("GET", "/providers")
        assert body["providers"][0]["circuit_breaker"]["state"] == "forced_open"


async def test_a_key_that_is_held_makes_it_unhealthy() -> None:
    """Nothing can be asked with a key that was refused, whatever the models say."""
    async with administrating() as asked:
        asked.report("key:up", "hold", hold_s=60.0, cause="auth")
        _, body = await asked.ask("GET", "/providers")
    up = body["providers"][0]
    assert (up["status"], up["circuit_breaker"]["state"]) == ("unhealthy", "open")


async def test_a_provider_that_is_switched_off_says_why() -> None:
    """It is listed as disabled, with the reason that the configuration has."""
    provider = build_provider("http://127.0.0.1:1/v1", enabled=False, disabled_reason="no key")
    async with administrating(build_catalog(provider)) as asked:
        _, body = await asked.ask("GET", "/providers")
    (off,) = body["providers"]
    assert (off["status"], off["enabled"], off["reason"]) == ("disabled", False, "no key")


async def test_a_restricted_key_sees_what_it_may_ask_for() -> None:
    """Only the providers of its models, and of these only its models; an admin sees all."""
    snapshot = restrict(build_catalog(), "org/m:free", "nothing")
    async with administrating(snapshot) as asked:
        _, body = await asked.ask("GET", "/providers", KEY)
        _, everything = await asked.ask("GET", "/providers")
    assert [(each["name"], each["models"]) for each in body["providers"]] == [
        ("up", ["org/m:free"]),
        ("any", ["nothing"]),
    ]
    assert len(everything["providers"]) == 2
    assert everything["providers"][1]["models"] == ["*"]


async def test_health_counts_what_providers_are_like() -> None:
    """`/health` has the same judgement as numbers, and readiness stays what it was."""
    async with administrating() as asked:
        asked.report("up/m", times=5)
        asked.report("host:any", "hold", hold_s=60.0, cause="failures")
        _, body = await asked.ask("GET", "/health")
        assert (await asked.ask("GET", "/health/readiness"))[0] == 200
    counts = body["providers"]
    assert (counts["healthy"], counts["degraded"], counts["unhealthy"]) == (0, 1, 1)
    assert (counts["total"], counts["unknown"], body["status"]) == (2, 0, "healthy")


async def test_a_store_that_is_away_is_named() -> None:
    """Requests go on without it: `/health` and readiness are 200 and say what is missing."""
    async with administrating() as asked:
        assert (await asked.ask("GET", "/health/readiness"))[1] == {"status": "ready"}
        asked.state.find_degraded = lambda: ("redis",)
        status, ready = await asked.ask("GET", "/health/readiness")
        _, health = await asked.ask("GET", "/health")
    assert (status, ready) == (200, {"status": "ready", "degraded": ["redis"]})
    assert health["degraded"] == ["redis"]
