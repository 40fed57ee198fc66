"""The application as a whole: every path, every method, every key, one error shape."""

from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request
from yarl import URL

from proxy.domain.catalog import Snapshot
from proxy.domain.identity import Caller
from proxy.server.app import build_app
from proxy.server.routes import Route
from proxy.server.state import ServerState, StillDesk
from tests.fakes.proxy_server import (
    ADMIN_KEY,
    AUTH,
    HASHER,
    KEY,
    ProxyServer,
    build_provider,
    build_runtime,
    build_snapshot,
    build_status,
    serving,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

MESSAGES = [f"{prefix}/messages{rest}" for prefix in ("/v1", "") for rest in ("", "/count_tokens")]
DEPLOYMENT = "/openai/deployments/m/chat/completions"
POSTS = [f"{prefix}/{path}" for prefix in ("/v1", "", "/openai/v1") for path in
         ("chat/completions", "completions", "embeddings")]  # fmt: skip
GENERATES = ["/v1/generate", "/generate"]
POSTS += [*MESSAGES, DEPLOYMENT, *GENERATES]
OLLAMAS = ["/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"]
POSTS += OLLAMAS
GETS = [
    *("/api/tags", "/api/version", "/api/ps"),
    "/v1/models",
    "/models",
    "/v1/models/m",
    "/models/m",
    "/openai/v1/models",
    "/openai/v1/models/m",
    "/openai/models",
    "/openai/models/m",
    "/metrics",
    "/providers",
    "/status",
    "/status/up",
]
PASSED = [f"{prefix}/{path}" for prefix in ("/v1", "", "/openai/v1") for path in
          ("audio/speech", "audio/transcriptions", "audio/translations", "images/generations",
           "images/edits", "images/variations", "moderations", "rerank")]  # fmt: skip
POSTS += [*PASSED, "/v2/rerank"]
POSTS += [f"{prefix}/{path}" for prefix in ("/v1", "", "/openai/v1", "/openai")
          for path in ("responses", "responses/input_tokens")]  # fmt: skip
ACCOUNTS = [f"{prefix}/{path}" for prefix in ("/v1", "", "/openai/v1", "/openai")
            for path in ("files", "files/{id}", "batches", "batches/{id}")]  # fmt: skip
"""What lies in a provider's account; here that is out of reach."""
KEPT = [f"{prefix}/responses/{{rest}}" for prefix in ("/v1", "", "/openai/v1", "/openai")]
"""Answers that were given before; here there were none."""
ADMIN = [
    "/admin/reload",
    "/admin/restart-workers",
    "/admin/config",
    "/admin/config/history",
    "/admin/config/diff",
]
ORDERS = ["/check", "/check/{name}", "/discover", "/cache/clear"]
"""What the health worker would have to do, and none is there."""
OWN_ADMIN = ["/admin/breakers", "/admin/events"]
"""What a process answers without its supervisor."""
OPEN = ["/health", "/health/liveness", "/health/liveliness", "/health/readiness"]


def build_catalog() -> Snapshot:
    """Return a snapshot with one provider that nobody asks, a user key and an admin key."""
    snapshot = build_snapshot(build_provider("http://127.0.0.1:1/v1"))
    admin = {HASHER.digest(ADMIN_KEY): Caller(HASHER.key_id(ADMIN_KEY), role="admin")}
    return msgspec.structs.replace(snapshot, callers={**snapshot.callers, **admin})


def list_routes() -> tuple[Route, ...]:
    """Return every route that the application registers."""
    runtime = build_runtime()
    state = ServerState(runtime, StillDesk(build_status()), lambda: (b"", ""))
    return build_app(state).routes.all


@pytest.fixture
async def server() -> AsyncIterator[ProxyServer]:
    """A server with that catalog."""
    async with serving(build_catalog()) as server:
        yield server


async def ask(
    server: ProxyServer, method: str, path: str, **headers: str
) -> tuple[int, dict[str, str], object]:
    """Return (status, headers by their names in lower case, decoded body or None)."""
    url = URL(f"http://127.0.0.1:{server.port}{path}", encoded=True)
    body = b"{}" if method in ("POST", "PUT", "PATCH", "DELETE") else None
    headers = {"Content-Type": "application/json", **headers} if "/admin" in path else headers
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, data=body) as answer,
    ):
        is_json = answer.content_type == "application/json" and method != "HEAD"
        found = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, found, await answer.json() if is_json else None


@pytest.mark.parametrize(
    ("route", "method"),
    [
        pytest.param(route, method, id=f"{method} {route.pattern}")
        for route in list_routes()
        for method in route.handlers
    ],
)
async def test_every_route_asks_for_the_key_of_its_level(
    server: ProxyServer, route: Route, method: str
) -> None:
    """All there are, by each method and with each kind of key: who may not is told so first."""
    path = route.pattern.replace("{id}", "m").replace("{path}", "keys")
    path = path.replace("{name}", "up").replace("{rest}", "m/chat/completions")
    for key, role in ((None, "nobody"), (KEY, "user"), (ADMIN_KEY, "admin")):
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        status, found, body = await ask(server, method, path, **headers)
        is_preflight = method == "OPTIONS" and route.access != "admin"
        if route.access == "open" or is_preflight:
            assert status in (200, 204)
        elif role == "nobody":
            assert status == 401
        elif route.access == "admin":
            # Here no supervisor is there that could be asked; and a difference asks for two names.
            known = {"POST": 503, "GET": 400 if path.endswith("diff") else 503}
            is_named = route.pattern in (*ADMIN, *ORDERS) and method in route.handlers
            granted = known["GET" if method == "HEAD" else method] if is_named else 404
            granted = 200 if route.pattern in OWN_ADMIN else granted
            assert status == {"user": 403, "admin": granted}[role]
        else:
            # What comes after the key: an answer, or a body that is no request of this path.
            unreached = (404, 502) if route.pattern in (*ACCOUNTS, *KEPT) else ()
            assert status in (200, 400, 415, *unreached)
        assert found["server"] == "llm-proxy-api"
        if body is not None and status >= 400:
            assert isinstance(body, dict)
            if route.pattern.startswith("/api/"):
                assert isinstance(body["error"], str)
                continue
            if path in MESSAGES:
                assert body.keys() == {"type", "error", "request_id"}
                assert found["request-id"] == found["x-request-id"] == body["request_id"]
            elif path in GENERATES:
                assert found["x-request-id"] == body["id"] and body["message"]
            else:
                assert body["error"].keys() == {"message", "type", "param", "code"}


def test_the_endpoints_of_this_file_are_all_there_are() -> None:
    """No path is forgotten, and none has another level: a new one must be put on a list."""
    named = {path.replace("/models/m", "/models/{id}") for path in POSTS + GETS + OPEN}
    named = {path.replace("/status/up", "/status/{name}") for path in named} - {DEPLOYMENT}
    named.add("/openai/deployments/{rest}")
    routes = list_routes()
    under_admin = {"/admin/breakers/{order}", "/admin", "/admin/{path}"}
    denied = {*ADMIN, *ORDERS, *OWN_ADMIN, *under_admin}
    named |= {*ACCOUNTS, *KEPT}
    assert {route.pattern for route in routes} == named | denied
    assert {route.pattern for route in routes if route.access == "open"} == set(OPEN)
    assert {route.pattern for route in routes if route.access == "admin"} == denied


@pytest.mark.parametrize("path", POSTS + GETS + OPEN)
async def test_the_wrong_method_is_405_with_the_right_ones(server: ProxyServer, path: str) -> None:
    """A method that a path does not take is 405 JSON, and `Allow` names what it takes."""
    right = "POST, OPTIONS" if path in POSTS else "GET, HEAD, OPTIONS"
    for method in ("DELETE", "PUT", "TRACE", "PROPFIND", "GET" if path in POSTS else "POST"):
        status, headers, body = await ask(server, method, path, **AUTH)
        assert status == 405
        assert isinstance(body, dict)
        error = body.get("error", body)
        error = body if isinstance(error, str) else error
        told = error.get("details", {}).get("error_code", error.get("code"))
        assert told == "method_not_allowed"
        assert headers["allow"] == right


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "TRACE"])
@pytest.mark.parametrize(
    "path",
    ["/", "/v2/chat/completions", "/v1", "/v1/chat", "/v1/models/", "//v1/models",
     "/v1/..;/admin", "/v1/%2e%2e/admin/keys", "/v1/models/..%2f..%2fadmin", "/V1/models",
     "/admin/../v1/models", "/admin//", "/administration", "/health/", "/metrics%2f",
     "/../../etc/passwd", "/openai/deployments/", "/openai/v1/messages",
     "/openai/deployments//chat/completions", "/openai/deployments/../chat/completions",
     "/.git/config", "/health.", "/docs", "/openapi.json"],
)  # fmt: skip
async def test_an_unknown_path_is_404_in_json(server: ProxyServer, path: str, method: str) -> None:
    """A path that does not exist is 404 in OpenAI's shape, with a request id, by any method."""
    status, headers, body = await ask(server, method, path, **AUTH)
    assert status == 404
    assert isinstance(body, dict)
    assert body["error"]["code"] == "not_found"
    assert headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/v1/v1/messages", "/v1"),
        ("/openai/openai/deployments/m/chat/completions", "/openai"),
        ("/v1/openai/deployments/m/chat/completions", "/v1"),
    ],
)
async def test_an_address_with_too_much_is_told_what_to_leave_out(
    server: ProxyServer, path: str, end: str
) -> None:
    """Anthropic's clients add `/v1` themselves, Azure's `/openai`: the 404 says so."""
    status, _, body = await ask(server, "POST", path, **AUTH)
    assert isinstance(body, dict)
    assert (status, body["error"]["code"]) == (404, "not_found")
    assert f"leave out the '{end}' at its end" in body["error"]["message"]


@pytest.mark.parametrize("path", POSTS + GETS + OPEN)
async def test_every_path_answers_a_preflight(server: ProxyServer, path: str) -> None:
    """OPTIONS of a browser is answered without a key, and not recorded."""
    status, headers, _ = await ask(
        server, "OPTIONS", path, Origin="https://page.example",
        **{"Access-Control-Request-Method": "POST"},
    )  # fmt: skip
    assert status == 204
    assert headers["access-control-allow-origin"] == "*"
    assert server.observer.records == []


@pytest.mark.parametrize("path", [*POSTS, *GETS, *OPEN, "/nowhere"])
async def test_every_answer_can_be_read_by_an_allowed_page(server: ProxyServer, path: str) -> None:
    """Errors and answers alike carry the cross-origin headers, and no version of any software."""
    method = "POST" if path in POSTS else "GET"
    _, headers, _ = await ask(server, method, path, Origin="https://page.example", **AUTH)
    assert headers["access-control-allow-origin"] == "*"
    assert headers["server"] == "llm-proxy-api"


async def test_a_name_that_is_no_model_is_not_found(server: ProxyServer) -> None:
    """Model ids are data: a path of files, a NUL or a long one is a model that does not exist."""
    for name in ("CON", "etc%2fpasswd", "%00", "a" * 4000, "%ff%fe"):
        status, _, body = await ask(server, "GET", f"/v1/models/{name}", **AUTH)
        assert status == 404
        assert isinstance(body, dict)
        assert body["error"]["code"] == "model_not_found"


async def test_a_route_without_a_handler_for_its_method_still_refuses() -> None:
    """What stands for all other methods of a route is a refusal; of administration, the key's."""
    for route in list_routes():
        path = route.pattern.replace("{id}", "m").replace("{path}", "keys")
        assert route.other_methods not in route.handlers.values()
        answer = await route.other_methods(make_mocked_request("BREW", path))
        assert answer.status == (401 if route.access == "admin" else 405)
