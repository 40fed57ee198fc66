"""The application as a whole: every path, every method, one error shape."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.fakes.proxy_server import AUTH, ProxyServer, build_provider, build_snapshot, serving

pytestmark = pytest.mark.usefixtures("no_leaks")

POSTS = [f"{prefix}/{path}" for prefix in ("/v1", "") for path in
         ("chat/completions", "completions", "embeddings")]  # fmt: skip
GETS = ["/v1/models", "/models", "/v1/models/m", "/models/m", "/metrics"]
OPEN = ["/health", "/health/liveness", "/health/liveliness", "/health/readiness"]


@pytest.fixture
async def server() -> AsyncIterator[ProxyServer]:
    """A server with one provider that nobody asks."""
    async with serving(build_snapshot(build_provider("http://127.0.0.1:1/v1"))) as server:
        yield server


async def ask(
    server: ProxyServer, method: str, path: str, **headers: str
) -> tuple[int, dict[str, str], object]:
    """Return (status, headers by their names in lower case, decoded body or None)."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, f"http://127.0.0.1:{server.port}{path}", headers=headers, data=b"{}"
        ) as answer,
    ):
        is_json = answer.content_type == "application/json"
        found = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, found, await answer.json() if is_json else None


@pytest.mark.parametrize("path", POSTS + GETS)
async def test_nothing_is_told_without_a_key(server: ProxyServer, path: str) -> None:
    """Every path but health answers 401 in OpenAI's shape to who has no key."""
    status, _, body = await ask(server, "POST" if path in POSTS else "GET", path)
    assert status == 401
    assert isinstance(body, dict)
    assert body["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("path", OPEN)
async def test_health_is_open(server: ProxyServer, path: str) -> None:
    """Health needs no key."""
    status, _, body = await ask(server, "GET", path)
    assert status == 200
    assert isinstance(body, dict)


@pytest.mark.parametrize("path", POSTS + GETS + OPEN)
async def test_the_wrong_method_is_405_with_the_right_ones(server: ProxyServer, path: str) -> None:
    """A method that a path does not take is 405 JSON, and `Allow` names what it takes."""
    status, headers, body = await ask(server, "DELETE", path, **AUTH)
    assert status == 405
    assert isinstance(body, dict)
    assert body["error"]["code"] == "method_not_allowed"
    assert headers["allow"]


@pytest.mark.parametrize("path", ["/", "/v2/chat/completions", "/v1", "/v1/chat", "/v1/models/"])
async def test_an_unknown_path_is_404_in_json(server: ProxyServer, path: str) -> None:
    """A path that does not exist is 404 in OpenAI's shape, with a request id."""
    status, headers, body = await ask(server, "GET", path, **AUTH)
    assert status == 404
    assert isinstance(body, dict)
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("path", POSTS + GETS + OPEN)
async def test_every_path_answers_a_preflight(server: ProxyServer, path: str) -> None:
    """OPTIONS of a browser is answered without a key."""
    status, headers, _ = await ask(
        server, "OPTIONS", path, Origin="https://page.example",
        **{"Access-Control-Request-Method": "POST"},
    )  # fmt: skip
    assert status == 204
    assert headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", [*POSTS, *GETS, *OPEN, "/nowhere"])
async def test_every_answer_can_be_read_by_an_allowed_page(server: ProxyServer, path: str) -> None:
    """Errors and answers alike carry the cross-origin headers, and no version of any software."""
    method = "POST" if path in POSTS else "GET"
    _, headers, _ = await ask(server, method, path, Origin="https://page.example", **AUTH)
    assert headers["access-control-allow-origin"] == "*"
    assert headers["server"] == "llm-proxy-api"
