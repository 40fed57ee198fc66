"""What an endpoint raises becomes JSON, whatever it is."""

import logging

import aiohttp
import pytest
from aiohttp import web

from proxy.domain.errors import PermissionDenied
from proxy.pipeline.context import Runtime
from proxy.server.app import build_runner
from proxy.server.shape import shaped
from proxy.server.state import STATE, ServerState
from proxy.telemetry.health import UptimeTracker
from tests.fakes.proxy_server import (
    AUTH,
    HASHER,
    RecordingObserver,
    build_provider,
    build_snapshot,
    serving,
)

pytestmark = pytest.mark.usefixtures("no_leaks")


async def ask_endpoint_that_raises(error: Exception) -> tuple[int, dict[str, str]]:
    """Return (status, error object) of an endpoint that raises."""

    async def endpoint(request: web.Request) -> web.Response:
        raise error

    app = web.Application()
    runtime = Runtime(build_snapshot(), HASHER, {}, RecordingObserver())
    uptime = UptimeTracker(0.0, is_routable=True)
    app[STATE] = ServerState(runtime, 0.0, uptime, lambda: (b"", ""))
    app.router.add_get("/", shaped(endpoint))
    runner = build_runner(app, 0.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, (await answer.json())["error"]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (PermissionDenied(), 403, "permission_error"),
        (web.HTTPRequestEntityTooLarge(1, 2), 413, "invalid_request_error"),
        (web.HTTPBadRequest(), 400, "invalid_request_error"),
    ],
)
async def test_refusals_keep_their_status(error: Exception, status: int, kind: str) -> None:
    """Our errors and aiohttp's own are told in one shape."""
    found, body = await ask_endpoint_that_raises(error)
    assert (found, body["type"]) == (status, kind)


async def test_a_fault_of_ours_is_500_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A bug answers 500 JSON without its text, and the log has where it happened."""
    with caplog.at_level(logging.ERROR):
        status, body = await ask_endpoint_that_raises(RuntimeError("secret words"))
    assert (status, body["type"]) == (500, "internal_error")
    assert "secret words" not in body["message"]
    assert [record.name for record in caplog.records] == ["llm_proxy.server"]


async def test_what_the_pipeline_does_not_see_is_recorded_too() -> None:
    """Models, unknown paths and wrong methods each give one record; health and metrics none."""
    async with (
        serving(build_snapshot(build_provider("http://a.test/v1")), {}) as server,
        aiohttp.ClientSession() as session,
    ):
        for path, headers in (
            ("/v1/models", AUTH),
            ("/models/m", AUTH),
            ("/v1/models", {}),
            ("/nowhere", AUTH),
            ("/v1/embeddings", AUTH),
            ("/health", {}),
            ("/health/readiness", {}),
            ("/metrics", AUTH),
        ):
            url = f"http://127.0.0.1:{server.port}{path}"
            async with session.get(url, headers=headers) as answer:
                last_id = answer.headers["x-request-id"]
        records = server.observer.records
        assert [(r.endpoint, r.status, r.error_code) for r in records] == [
            ("/models", 200, None),
            ("/models/{id}", 200, None),
            ("/models", 401, "invalid_api_key"),
            ("other", 404, "not_found"),
            ("other", 405, "method_not_allowed"),
        ]
        assert last_id not in {record.request_id for record in records}
