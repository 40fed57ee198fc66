"""What stands around every endpoint that the pipeline does not answer."""

import logging

import aiohttp
import pytest
from aiohttp import web

from proxy.domain.errors import BodyTooLarge, PermissionDenied
from proxy.server.runner import ServerRunner
from proxy.server.shape import Shape, Visit, shaped
from tests.fakes.proxy_server import (
    AUTH,
    HASHER,
    KEY,
    build_provider,
    build_runtime,
    build_snapshot,
    serving,
)
from tests.fakes.raw_client import build_head, build_request, connecting

pytestmark = pytest.mark.usefixtures("no_leaks")


async def ask_endpoint_that_raises(error: Exception) -> tuple[int, dict[str, str]]:
    """Return (status, error object) of an endpoint that raises."""

    async def endpoint(visit: Visit) -> web.Response:
        raise error

    runtime = build_runtime()
    runner = ServerRunner(shaped(endpoint, Shape("open", "/", "/"), runtime), runtime)
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
        (BodyTooLarge(), 413, "invalid_request_error"),
    ],
)
async def test_refusals_keep_their_status(error: Exception, status: int, kind: str) -> None:
    """What an endpoint refuses is told with its own status and type."""
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
        # Who asked is known where the route asks for a key, and it was one of ours.
        key_id = HASHER.key_id(KEY)
        assert [r.key_id for r in records] == [key_id, key_id, None, None, None]
        assert last_id not in {record.request_id for record in records}


async def test_an_unmet_expectation_is_417_everywhere() -> None:
    """Also paths that read no body refuse what they cannot do."""
    async with serving(build_snapshot(), {}) as server:
        head = build_head("Expect: 200-ok", line="GET /v1/models HTTP/1.1")
        async with connecting(server.port, head) as client:
            answer = await client.read_answer()
    assert (answer.status, answer.error["code"]) == (417, "expectation_failed")


async def test_a_body_that_nobody_reads_ends_the_connection() -> None:
    """Where the next request would begin is a guess while a large body may come: none is read."""
    async with serving(build_snapshot(), {}) as server:
        line = "POST /nowhere HTTP/1.1"
        head = build_head("Content-Length: 100000", "Expect: 100-continue", line=line)
        async with connecting(server.port, head) as client:
            answer = await client.read_answer()
            assert (answer.status, answer.headers["connection"]) == (404, "close")
        async with connecting(server.port, build_request(b"{}", line=line)) as client:
            assert "connection" not in (await client.read_answer()).headers
            await client.send(build_request(b"{}", line=line))
            assert (await client.read_answer()).status == 404
