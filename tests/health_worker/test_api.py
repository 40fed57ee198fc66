"""The health worker's own API: the same paths, bodies and rules as on the proxy's port."""

import pytest
from structlog.testing import capture_logs

from health_worker.api_breakers import ToldBreakers
from proxy.domain.errors import ProxyError
from proxy.domain.event import Event
from proxy.domain.service_errors import HealthWorkerUnavailable
from tests.fakes.proxy_server import KEY
from tests.health_worker.serving_api import PlayedWorker, restrict, serving_api
from tests.server.news import build_verdict

pytestmark = pytest.mark.usefixtures("no_leaks")

FIELDS = ["name", "status", "last_check", "response_time", "models", "circuit_breaker"]
OWN_FIELDS = ["reason", "since", "is_stale", "source", "enabled"]


async def test_status_lists_what_is_believed() -> None:
    """Every provider and every watched endpoint, with the documented fields first."""
    worker = PlayedWorker()
    worker.believe(up="degraded", watched="healthy")
    async with serving_api(worker) as asked:
        status, body, headers = await asked.ask("GET", "/status", KEY)
    assert status == 200
    assert list(body["providers"][0]) == FIELDS + OWN_FIELDS
    assert [(p["name"], p["status"], p["models"]) for p in body["providers"]] == [
        ("up", "degraded", ["m", "n"]),
        ("any", "unknown", ["*"]),
        ("watched", "healthy", ["w"]),
    ]
    assert headers["Cache-Control"] == "no-store"


async def test_one_target_has_its_own_status() -> None:
    """With the models that it lists itself; an unknown name is 404."""
    worker = PlayedWorker()
    worker.believe(up="healthy")
    async with serving_api(worker) as asked:
        status, up, _ = await asked.ask("GET", "/status/up", KEY)
        assert (await asked.ask("GET", "/status/watched", KEY))[0] == 200
        for path in ("/status/nobody", "/status/", "/status/up/x", "/nowhere", "/status/{name}"):
            assert (await asked.ask("GET", path, KEY))[0] == 404
    assert (status, up["name"], up["models_seen"]) == (200, "up", ["m", "unlisted"])


async def test_a_restricted_key_sees_what_it_may_ask_for() -> None:
    """Only the providers of its models, and nothing that is only watched."""
    worker = PlayedWorker()
    worker.snapshot = restrict(worker.snapshot, frozenset(("m",)))
    worker.believe(up="healthy", any="healthy")
    async with serving_api(worker) as asked:
        _, body, _ = await asked.ask("GET", "/status", KEY)
        _, up, _ = await asked.ask("GET", "/status/up", KEY)
        hidden = [(await asked.ask("GET", f"/status/{n}", KEY))[:2] for n in ("any", "watched")]
        nobody = (await asked.ask("GET", "/status/nobody", KEY))[:2]
        _, everything, _ = await asked.ask("GET", "/status")
    assert [(p["name"], p["models"]) for p in body["providers"]] == [("up", ["m"])]
    assert (up["models_seen"], up["reason"]) == (["m"], None)
    assert hidden == [nobody, nobody]
    assert len(everything["providers"]) == 3


async def test_orders_answer_with_what_they_have_come_to() -> None:
    """A check of all or of one, a search, and forgetting: message, time, providers."""
    worker = PlayedWorker()
    worker.summary = {"found": 2}
    async with serving_api(worker) as asked:
        status, one, _ = await asked.ask("POST", "/check/up")
        _, every, _ = await asked.ask("POST", "/check")
        _, search, _ = await asked.ask("POST", "/discover")
        _, cleared, _ = await asked.ask("POST", "/cache/clear")
        assert (await asked.ask("POST", "/check/nobody"))[0] == 404
    assert (status, [p["status"] for p in one["providers"]]) == (200, ["healthy"])
    assert one["timestamp"] >= one["providers"][0]["last_check"]
    assert every["message"] == "3 of 3 providers checked."
    assert search["discovery"] == {"found": 2}
    assert {p["status"] for p in cleared["providers"]} == {"unknown"}
    assert worker.orders == [("check", ("up",)), ("check", ()), ("discover", ()), ("clear", ())]


@pytest.mark.parametrize("path", ["/check", "/check/up", "/discover", "/cache/clear"])
async def test_orders_are_for_administrators(path: str) -> None:
    """Without a key 401, with a user's 403, by another method 405; nothing is done."""
    worker = PlayedWorker()
    async with serving_api(worker) as asked:
        assert (await asked.ask("POST", path, None))[0] == 401
        status, body, _ = await asked.ask("POST", path, KEY)
        assert (await asked.ask("GET", path, KEY))[0] == 403
        other, _, headers = await asked.ask("GET", path)
    assert (status, body["detail"]) == (403, body["error"]["message"])
    assert (other, headers["Allow"]) == (405, "POST")
    assert worker.orders == []


@pytest.mark.parametrize("path", ["/status", "/status/up", "/providers", "/metrics"])
async def test_reading_takes_any_key(path: str) -> None:
    """Without one 401; HEAD is as good as GET."""
    async with serving_api(PlayedWorker()) as asked:
        assert (await asked.ask("GET", path, None))[0] == 401
        assert (await asked.ask("GET", path, "wrong"))[0] == 401
        assert (await asked.ask("HEAD", path, KEY))[0] == 200
        assert (await asked.ask("POST", path))[0] == 405


async def test_health_is_open_and_tells_counts_only() -> None:
    """The body of the proxy's `/health`, without a name in it."""
    worker = PlayedWorker()
    worker.believe(up="key_rejected")
    async with serving_api(worker) as asked:
        status, body, _ = await asked.ask("GET", "/health", None)
        worker.is_leading, worker.is_suspect = False, True
        _, suspect, _ = await asked.ask("GET", "/health", None)
    assert status == 200
    assert body["providers"] == {
        "total": 2,
        "healthy": 1,
        "degraded": 0,
        "unhealthy": 1,
        "unknown": 1,
        "disabled": 0,
    }
    assert body["components"]["health_worker"] == "healthy"
    assert (body["is_leading"], body["is_suspect"]) == (True, False)
    assert suspect["components"]["health_worker"] == "degraded"
    assert (suspect["is_leading"], suspect["is_suspect"]) == (False, True)
    assert "up" not in body["providers"]
    assert "workers" not in body


async def test_one_that_hears_of_no_leader_says_that_it_is_no_help() -> None:
    """Standing by is healthy while another one leads, and else degraded: nobody probes."""
    worker = PlayedWorker()
    found = []
    for is_told in (True, False):
        async with serving_api(worker, is_told=is_told) as asked:
            for worker.is_leading in (False, True):
                _, body, _ = await asked.ask("GET", "/health", None)
                found.append(body["components"]["health_worker"])
    assert found == ["healthy", "healthy", "degraded", "healthy"]


async def test_one_that_stands_by_tells_what_the_leader_says() -> None:
    """Its own beliefs count for nothing while another one probes."""
    worker = PlayedWorker()
    worker.believe(up="unhealthy")
    worker.is_leading = False
    told = {"up": build_verdict(worker.snapshot.providers["up"], "warming")}
    async with serving_api(worker, told=told) as asked:
        _, up, _ = await asked.ask("GET", "/status/up", KEY)
    assert up["status"] == "warming"


async def test_breakers_are_shown_and_know_worse() -> None:
    """As far as workers have told of them."""
    breakers, worker = ToldBreakers(lambda: 1000.0), PlayedWorker()
    worker.believe(up="healthy")
    data = b'{"id":"host:up","provider":"up","after":"open","cause":"failures","worker":0}'
    breakers.take([Event("breaker", 999.0, data)])
    async with serving_api(worker, breakers) as asked:
        _, up, _ = await asked.ask("GET", "/status/up", KEY)
    assert (up["status"], up["circuit_breaker"]["state"]) == ("unhealthy", "open")
    assert up["circuit_breaker"]["last_failure_time"] == 999.0


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (HealthWorkerUnavailable("nobody leads"), "health_worker_unavailable"),
        (TimeoutError(), "internal_error"),
        (ValueError("a fault of ours"), "internal_error"),
    ],
)
async def test_what_cannot_be_done_is_an_error_in_one_shape(fault: Exception, code: str) -> None:
    """Of a fault of ours nothing is told."""
    worker = PlayedWorker()
    worker.fault = fault
    # Unconfigured, structlog would print every local value: the keys of this test too.
    with capture_logs():
        async with serving_api(worker) as asked:
            status, body, _ = await asked.ask("POST", "/check")
    assert body["error"]["code"] == code
    assert body["detail"] == body["error"]["message"]
    assert status == (fault.status if isinstance(fault, ProxyError) else 500)
    assert "fault of ours" not in body["detail"]
