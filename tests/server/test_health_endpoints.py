"""Health for machines and people."""

import aiohttp
import msgspec
import pytest

from proxy.server.state import StillDesk
from tests.fakes.proxy_server import AUTH, build_provider, build_snapshot, build_status, serving

pytestmark = pytest.mark.usefixtures("no_leaks")

GOOD = build_snapshot(build_provider("http://a.test/v1"))
NOTHING = build_snapshot()


async def get(port: int, path: str, **headers: str) -> tuple[int, str, bytes]:
    """Return (status, content type, body)."""
    url = f"http://127.0.0.1:{port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, answer.content_type, await answer.read()


async def test_health_is_always_200_and_readiness_tells_the_truth() -> None:
    """Without any provider `/health` says unhealthy with 200, readiness is 503."""
    async with serving(NOTHING) as server:
        status, _, body = await get(server.port, "/health")
        assert status == 200
        assert b'"status":"unhealthy"' in body
        assert (await get(server.port, "/health/readiness"))[0] == 503
        assert (await get(server.port, "/health/liveness"))[0] == 200


async def test_a_server_with_a_provider_is_ready() -> None:
    """One provider is enough for readiness; the body counts it."""
    async with serving(GOOD, {}) as server:
        assert (await get(server.port, "/health/readiness"))[0] == 200
        _, _, body = await get(server.port, "/health")
    assert b'"total":1' in body


async def test_metrics_need_a_key() -> None:
    """Metrics name providers: any key of ours opens them, none does not."""
    async with serving(GOOD, {}) as server:
        assert (await get(server.port, "/metrics"))[0] == 401
        assert await get(server.port, "/metrics", **AUTH) == (200, "text/plain", b"metrics")


async def test_metrics_may_be_opened_to_this_machine() -> None:
    """With `metrics_auth: false` a scraper on loopback needs no key."""
    snapshot = build_snapshot(build_provider("http://a.test/v1"), metrics_auth=False)
    async with serving(snapshot, {}) as server:
        assert (await get(server.port, "/metrics"))[0] == 200


@pytest.mark.parametrize(
    "header",
    [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Real-IP",
        "Via",
        "Origin",
    ],
)
async def test_what_comes_for_others_opens_no_metrics(header: str) -> None:
    """A proxy or a browser on this machine comes from loopback: whoever it asks for needs a key."""
    snapshot = build_snapshot(build_provider("http://a.test/v1"), metrics_auth=False)
    async with serving(snapshot, {}) as server:
        forwarded = {header: "127.0.0.1"}
        assert (await get(server.port, "/metrics", **forwarded))[0] == 401
        assert (await get(server.port, "/metrics", **forwarded, **AUTH))[0] == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LocalHost:8000", 200),
        ("127.0.0.1", 200),
        ("127.9.9.9:1", 200),
        ("[::1]", 200),
        ("[::1]:8000", 200),
        ("evil.test", 401),
        ("evil.test:8000", 401),
        ("localhost.evil.test", 401),
        ("10.0.0.1:8000", 401),
        ("[2001:db8::1]:8000", 401),
    ],
)
async def test_metrics_are_opened_by_a_name_of_this_machine(host: str, status: int) -> None:
    """A page in a browser here, whose host's name was led here, is asked for a key."""
    snapshot = build_snapshot(build_provider("http://a.test/v1"), metrics_auth=False)
    async with serving(snapshot, {}) as server:
        assert (await get(server.port, "/metrics", Host=host))[0] == status


async def test_health_names_nobody() -> None:
    """Counts and states only: no provider, model or host, and no software but our version."""
    async with serving(GOOD, {}) as server:
        _, _, body = await get(server.port, "/health")
    for word in (b"a.test", b'"up"', b'"m"', b"aiohttp", b"ython"):
        assert word not in body


def build_refused() -> StillDesk:
    """Return a desk of a service whose newest edit was refused."""
    status = build_status(7)
    config = msgspec.structs.replace(
        status.config, last_error="config.yaml:3:1: the words", problem_count=2
    )
    return StillDesk(msgspec.structs.replace(status, config=config, workers=4, ready_workers=3))


@pytest.mark.parametrize(
    ("headers", "is_told"),
    [({}, False), ({"Authorization": "Bearer wrong"}, False), (AUTH, True)],
    ids=["stranger", "wrong key", "key"],
)
async def test_what_is_wrong_with_an_edit_is_told_to_who_has_a_key(
    headers: dict[str, str], is_told: bool
) -> None:
    """Everybody sees that the newest edit is not in force; its words need a key of ours."""
    async with serving(GOOD, {}, build_refused()) as server:
        status, _, body = await get(server.port, "/health", **headers)
    health = msgspec.json.decode(body)
    assert status == 200
    assert health["config"]["generation"] == 7
    assert health["workers"] == {"total": 4, "ready": 3}
    assert health["components"]["config_manager"] == "degraded"
    assert (b"the words" in body) == is_told
    assert is_told or "(2 problems)" in health["config"]["last_error"]


async def test_two_different_keys_are_none() -> None:
    """A request with two keys learns what a stranger learns: `/health` answers all the same."""
    headers = {**AUTH, "X-API-Key": "another-key-of-this-request"}
    async with serving(GOOD, {}, build_refused()) as server:
        status, _, body = await get(server.port, "/health", **headers)
    assert status == 200
    assert b"the words" not in body


@pytest.mark.parametrize(
    ("service_drains", "process_drains", "others", "expected"),
    [
        (True, False, 2, 503),
        (False, True, 0, 503),
        (False, True, 2, 200),
        (False, False, 1, 200),
    ],
)
async def test_a_service_that_drains_is_not_ready(
    service_drains: bool, process_drains: bool, others: int, expected: int
) -> None:
    """Readiness goes first; a process that ends while others serve does not speak for itself."""
    status = msgspec.structs.replace(
        build_status(), is_draining=service_drains, ready_workers=others
    )
    async with serving(GOOD, {}, StillDesk(status)) as server:
        server.runtime.is_draining = process_drains
        found, _, body = await get(server.port, "/health/readiness")
    assert found == expected
    assert (b'"draining"' in body) == (expected == 503)
