"""`/status` and the orders to the health worker, as clients meet them."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from proxy.domain.catalog import Snapshot
from proxy.domain.health import HealthNews, HealthOrder, HealthState
from proxy.pipeline.board import Ticket
from proxy.stores.memory_verdicts import MemoryVerdicts
from proxy.telemetry.order_words import SUSPECT
from tests.fakes.proxy_server import KEY, build_provider
from tests.server.administration import Administered, administrating, build_catalog
from tests.server.news import build_news, build_verdict
from tests.server.test_provider_endpoints import restrict

pytestmark = pytest.mark.usefixtures("no_leaks")


class PlayedWorker:
    """A health worker that a test plays: it finds every provider in the state that was set."""

    def __init__(self, asked: Administered, verdicts: MemoryVerdicts) -> None:
        self.asked = asked
        self.verdicts = verdicts
        self.state: HealthState = "healthy"
        self.is_suspect = False
        self.orders: list[tuple[HealthOrder, tuple[str, ...]]] = []
        self.summary: Mapping[str, Any] = {}
        self._number = 0

    def tell(self, build: Callable[[int], HealthNews]) -> None:
        """Tell news, numbered."""
        self._number += 1
        self.verdicts.take(build(self._number))

    def tell_states(self, **states: HealthState) -> None:
        """Tell verdicts of providers by their names."""
        providers = self.asked.server.runtime.snapshot.providers
        found = [build_verdict(providers[name], state) for name, state in states.items()]
        self.tell(lambda number: build_news(number, *found))

    async def give(self, order: HealthOrder, names: Sequence[str], by: str) -> Mapping[str, Any]:
        """Do what is ordered; who asks is told without his key."""
        self.orders.append((order, tuple(names)))
        assert by.startswith("POST /")
        if self.is_suspect:
            self.tell(lambda number: build_news(number, is_suspect=True))
        elif order == "check":
            providers = self.asked.server.runtime.snapshot.providers
            meant = names or [p.name for p in providers.values() if p.enabled]
            self.tell_states(**dict.fromkeys(meant, self.state))
        elif order == "clear":
            self.tell(lambda number: HealthNews(1, number, lives_s=15.0, is_cleared=True))
        return self.summary


@asynccontextmanager
async def watching(snapshot: Snapshot | None = None) -> AsyncIterator[PlayedWorker]:
    """Serve a catalog beside a played health worker."""
    verdicts = MemoryVerdicts()
    async with administrating(snapshot, verdicts=verdicts) as asked:
        worker = asked.state.health_orders = PlayedWorker(asked, verdicts)
        yield worker
        await verdicts.close()


async def test_status_lists_what_is_believed() -> None:
    """Each provider with its verdict; one without is unknown; the same as `/providers` says."""
    async with watching() as worker:
        worker.tell_states(up="key_rejected")
        status, body = await worker.asked.ask("GET", "/status", KEY)
        _, providers = await worker.asked.ask("GET", "/providers", KEY)
    up, other = body["providers"]
    assert status == 200
    assert (up["name"], up["status"], up["source"]) == ("up", "key_rejected", "probe")
    assert (up["reason"], up["response_time"]) == ("it looks key_rejected", 0.2)
    assert (up["is_stale"], up["last_check"] - up["since"]) == (False, 60.0)
    assert (other["status"], other["source"], other["is_stale"]) == ("unknown", "none", True)
    assert providers == body


async def test_one_provider_has_its_own_status() -> None:
    """Not in a list, and with the models that it lists itself; another name is 404."""
    async with watching() as worker:
        worker.tell_states(up="healthy")
        status, up = await worker.asked.ask("GET", "/status/up", KEY)
        unknown, error = await worker.asked.ask("GET", "/status/nobody", KEY)
    assert (status, up["name"], up["status"]) == (200, "up", "healthy")
    assert up["models_seen"] == ["m", "unlisted"]
    assert (unknown, error["error"]["code"]) == (404, "not_found")


async def test_a_restricted_key_learns_of_no_other_provider() -> None:
    """What it has nothing to do with is not found, as if it were not there."""
    async with watching(restrict(build_catalog(), "m")) as worker:
        worker.tell_states(up="healthy", any="healthy")
        _, body = await worker.asked.ask("GET", "/status", KEY)
        _, up = await worker.asked.ask("GET", "/status/up", KEY)
        hidden = await worker.asked.ask("GET", "/status/any", KEY)
        nobody = await worker.asked.ask("GET", "/status/nobody", KEY)
    assert [each["name"] for each in body["providers"]] == ["up"]
    assert (up["models"], up["models_seen"], up["reason"]) == (["m"], ["m"], None)
    assert hidden == nobody
    assert hidden[0] == 404


async def test_a_check_answers_with_what_it_has_found() -> None:
    """Of all, or of one: message, time, and the providers as they stand then."""
    async with watching() as worker:
        worker.state = "degraded"
        status, body = await worker.asked.ask("POST", "/check")
        assert (status, body["message"]) == (200, "2 of 2 providers checked.")
        assert [each["status"] for each in body["providers"]] == ["degraded"] * 2
        assert body["timestamp"] >= body["providers"][0]["last_check"]
        worker.state = "healthy"
        _, body = await worker.asked.ask("POST", "/check/up")
        assert (await worker.asked.ask("POST", "/check/nobody"))[0] == 404
    assert [(each["name"], each["status"]) for each in body["providers"]] == [("up", "healthy")]
    assert worker.orders == [("check", ()), ("check", ("up",))]


async def test_what_cannot_be_checked_is_said() -> None:
    """A provider that is switched off, and a health worker that doubts itself."""
    off = build_provider("http://127.0.0.1:1/v1", name="off", enabled=False)
    async with watching(build_catalog(off)) as worker:
        _, body = await worker.asked.ask("POST", "/check")
        assert "0 of 1 provider checked" in body["message"]
        assert body["providers"][0]["status"] == "disabled"
        worker.is_suspect = True
        _, body = await worker.asked.ask("POST", "/check")
    assert body["message"] == SUSPECT


async def test_the_cache_can_be_cleared_and_providers_searched_for() -> None:
    """Then each provider is unknown; of a search its summary is told."""
    async with watching() as worker:
        worker.tell_states(up="unhealthy", any="healthy")
        _, body = await worker.asked.ask("POST", "/cache/clear")
        assert {each["status"] for each in body["providers"]} == {"unknown"}
        worker.summary = {"found": 3, "added": ["x"]}
        status, body = await worker.asked.ask("POST", "/discover")
    assert (status, body["discovery"]) == (200, {"found": 3, "added": ["x"]})
    assert "3 found" in body["message"]


@pytest.mark.parametrize("path", ["/check", "/check/up", "/discover", "/cache/clear"])
async def test_without_a_health_worker_it_is_said_how_to_have_one(path: str) -> None:
    """503 with a code of its own, for administrators; a user's key is not enough to be told."""
    async with administrating() as asked:
        status, body = await asked.ask("POST", path)
        assert (await asked.ask("POST", path, KEY))[0] == 403
    assert (status, body["error"]["code"]) == (503, "health_worker_unavailable")
    assert body["detail"] == body["error"]["message"]


async def test_health_tells_of_the_health_worker() -> None:
    """Unknown before it is heard of, then healthy; what it says counts among the providers."""
    async with watching() as worker:
        _, before = await worker.asked.ask("GET", "/health")
        worker.tell_states(up="warming", any="rate_limited")
        _, after = await worker.asked.ask("GET", "/health")
        worker.tell(lambda number: build_news(number, is_suspect=True))
        _, suspect = await worker.asked.ask("GET", "/health")
    assert before["components"]["health_worker"] == "unknown"
    assert (after["components"]["health_worker"], after["degraded"]) == ("healthy", [])
    assert (after["providers"]["unhealthy"], after["providers"]["degraded"]) == (1, 1)
    assert suspect["components"]["health_worker"] == "degraded"


async def test_health_says_when_a_provider_was_last_checked() -> None:
    """`last_check` is the newest check that was heard of, to the second."""
    async with watching() as worker:
        worker.tell_states(up="healthy")
        _, health = await worker.asked.ask("GET", "/health")
        _, up = await worker.asked.ask("GET", "/status/up", KEY)
    told_at = datetime.fromisoformat(health["last_check"]).timestamp()
    assert told_at == int(up["last_check"])


async def test_i32_a_health_worker_that_falls_silent_is_missed() -> None:
    """Its last word grows old: `/health` and readiness say `health_stale`, with status 200."""
    async with watching() as worker:
        worker.tell_states(up="healthy")
        worker.tell(lambda number: HealthNews(1, number, lives_s=0.0))
        status, health = await worker.asked.ask("GET", "/health")
        ready, readiness = await worker.asked.ask("GET", "/health/readiness")
    assert (status, health["components"]["health_worker"]) == (200, "degraded")
    assert health["degraded"] == ["health_stale"]
    assert (ready, readiness) == (200, {"status": "ready", "degraded": ["health_stale"]})


async def test_i33_requests_know_better_than_a_check() -> None:
    """After five that succeed a provider counts as healthy, and it is said why (I33)."""
    async with watching() as worker:
        worker.tell_states(up="unhealthy")
        board, snapshot = worker.asked.server.runtime.board, worker.asked.server.runtime.snapshot
        group = snapshot.groups["m"]
        for _ in range(5):
            place = board.find_place(group.deployments[0])
            board.begin(place)
            board.note_content(place, Ticket(), 0.25, streams=True)
            board.end(place, Ticket(), None, ttft_s=0.25)
        _, up = await worker.asked.ask("GET", "/status/up", KEY)
    assert (up["status"], up["source"], up["response_time"]) == ("healthy", "traffic", 0.25)
    assert "unhealthy" in up["reason"]
