"""The running process as plain HTTP clients and browsers meet it: keys, CORS, errors, health."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from proxy.version import __version__
from tests.end_to_end.served import (
    KEY,
    KEY_HEADER,
    ORIGIN,
    PROMPT,
    WRONG_KEY,
    ServedProxy,
    ServedSimulator,
    build_config,
    serving,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

CHAT = {"model": "sim-echo", "messages": [{"role": "user", "content": PROMPT}]}
POSTS = ["/chat/completions", "/completions", "/embeddings"]
GETS = ["/health", "/health/liveness", "/health/readiness", "/metrics", "/models", "/v1/models"]
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
async def http(served: ServedProxy) -> AsyncIterator[aiohttp.ClientSession]:
    """A plain client of the served proxy, without a key."""
    async with aiohttp.ClientSession(served.url) as session:
        yield session


async def read_error(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    """Return the error object of an answer, having held the answer to its shape."""
    body = await answer.json(content_type="application/json")
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    assert answer.headers["x-request-id"].startswith("req_")
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize(
    "headers",
    [
        BEARER,
        {"Authorization": f"bearer {KEY}"},
        {"X-API-Key": KEY},
        {"api-key": KEY},
        {KEY_HEADER: KEY},
        {KEY_HEADER.lower(): KEY},
    ],
    ids=["Bearer", "bearer", "X-API-Key", "api-key", "api_key_header", "in lower case"],
)
async def test_every_way_to_show_a_key(
    http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    """A key is taken from each of its headers, for chats, for models and for metrics."""
    async with http.post("/v1/chat/completions", json=CHAT, headers=headers) as answer:
        assert answer.status == 200
        assert (await answer.json())["choices"][0]["message"]["content"] == PROMPT
    for path in ("/v1/models", "/metrics"):
        async with http.get(path, headers=headers) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {WRONG_KEY}"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"Authorization": "Bearer "},
        {"X-API-Key": ""},
        {"X-API-Key": WRONG_KEY},
        {"X-API-Key": "k" * 5000},
        {"X-API-Key": "clé"},
    ],
    ids=[
        "none",
        "wrong bearer",
        "another scheme",
        "no scheme",
        "empty bearer",
        "empty",
        "wrong",
        "long",
        "not ASCII",
    ],
)
async def test_without_a_good_key_nothing_is_told(
    http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    """Every path that needs a key refuses with the same 401."""
    told = []
    for path in [*POSTS, *[f"/v1{post}" for post in POSTS]]:
        async with http.post(path, json=CHAT, headers=headers) as answer:
            assert answer.status == 401
            told.append(await read_error(answer))
    for path in ("/v1/models", "/v1/models/sim-echo", "/v1/models/unknown", "/metrics"):
        async with http.get(path, headers=headers) as answer:
            assert answer.status == 401
            told.append(await read_error(answer))
    assert [error for error in told if error != told[0]] == []
    assert (told[0]["type"], told[0]["code"]) == ("authentication_error", "invalid_api_key")


async def test_a_browsers_page_may_ask(http: aiohttp.ClientSession) -> None:
    """A preflight from a configured origin is allowed without a key, for the asked headers."""
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, x-stainless-os",
    }
    async with http.options("/v1/chat/completions", headers=asked) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert "x-stainless-os" in answer.headers["Access-Control-Allow-Headers"]
        assert int(answer.headers["Access-Control-Max-Age"]) > 0
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ORIGIN + ".evil.example"])
async def test_another_page_may_not(http: aiohttp.ClientSession, origin: str) -> None:
    """A foreign origin gets no allowance, neither before nor with its answer."""
    headers = {"Origin": origin, **BEARER}
    async with http.options("/v1/chat/completions", headers=headers) as answer:
        assert [name for name in answer.headers if name.lower().startswith("access-")] == []
    async with http.get("/v1/models", headers=headers) as answer:
        assert [name for name in answer.headers if name.lower().startswith("access-")] == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_page_may_read_answers_and_errors(
    http: aiohttp.ClientSession, stream: bool
) -> None:
    """Good answers, streams and errors of every kind can be read, with the request id exposed."""
    origin = {"Origin": ORIGIN}
    both = {**origin, **BEARER}
    answers: list[tuple[str, str, dict[str, str], int]] = [
        ("POST", "/v1/chat/completions", both, 200),
        ("POST", "/v1/chat/completions", origin, 401),
        ("GET", "/v1/models", both, 200),
        ("GET", "/v1/models/unknown", both, 404),
        ("GET", "/health", origin, 200),
        ("GET", "/nowhere", origin, 404),
        ("GET", "/v1/chat/completions", origin, 405),
    ]
    for method, path, headers, status in answers:
        body = {**CHAT, "stream": stream} if method == "POST" else None
        async with http.request(method, path, json=body, headers=headers) as answer:
            await answer.read()
            assert answer.status == status, path
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN, path
            assert "x-request-id" in answer.headers["Access-Control-Expose-Headers"], path
            assert answer.headers["Vary"] == "Origin", path


@pytest.mark.parametrize("path", [*POSTS, *[f"/v1{p}" for p in POSTS], *GETS])
async def test_options_needs_no_key_on_any_path(http: aiohttp.ClientSession, path: str) -> None:
    """OPTIONS is 204 without a body on every path that there is."""
    async with http.options(path) as answer:
        assert (answer.status, await answer.read()) == (204, b"")


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/v1/chat", "/v2/models", "/v1/models/", "//"])
async def test_an_unknown_path_is_a_json_404(http: aiohttp.ClientSession, path: str) -> None:
    """What is not there is told in the one shape of errors."""
    for method in ("GET", "POST"):
        async with http.request(method, path, headers=BEARER) as answer:
            assert answer.status == 404
            error = await read_error(answer)
            assert (error["type"], error["code"]) == ("invalid_request_error", "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        *[("GET", f"/v1{path}", "POST") for path in POSTS],
        ("DELETE", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/sim-echo", "GET"),
        ("POST", "/health", "GET"),
        ("POST", "/metrics", "GET"),
    ],
)
async def test_a_wrong_method_is_a_json_405(
    http: aiohttp.ClientSession, method: str, path: str, allowed: str
) -> None:
    """A path that does not take a method says so, and which one it takes."""
    async with http.request(method, path, headers=BEARER) as answer:
        assert answer.status == 405
        assert allowed in answer.headers["Allow"]
        assert (await read_error(answer))["code"] == "method_not_allowed"


async def test_an_unknown_model_is_a_404_as_openais(http: aiohttp.ClientSession) -> None:
    """The body is the one that clients of OpenAI know, with and without `/v1`."""
    for prefix in ("/v1", ""):
        async with http.get(f"{prefix}/models/no/such-model", headers=BEARER) as answer:
            assert answer.status == 404
            assert await read_error(answer) == {
                "message": "The model 'no/such-model' does not exist.",
                "type": "invalid_request_error",
                "param": "model",
                "code": "model_not_found",
            }


@pytest.mark.parametrize("path", ["team/fast", "team%2Ffast", "team%2ffast"])
async def test_a_models_slash_may_be_raw_or_encoded(http: aiohttp.ClientSession, path: str) -> None:
    """An id with a slash is found however the client writes it, with and without `/v1`."""
    for prefix in ("/v1", ""):
        url = URL(f"{prefix}/models/{path}", encoded=True)
        async with http.get(url, headers=BEARER) as answer:
            assert answer.status == 200
            assert (await answer.json())["id"] == "team/fast"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b'{"model": "sim-echo", "messages": [{"role": "user", "content": "\xff"}]}',
        b'{"model": "sim-echo", "messages": ' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"model": "sim-echo"}',
    ],
    ids=["empty", "half", "array", "string", "bad UTF-8", "deep", "no messages"],
)
async def test_a_bad_body_is_a_json_400(http: aiohttp.ClientSession, body: bytes) -> None:
    """A body that is no request is refused before any provider is asked."""
    headers = {**BEARER, "Content-Type": "application/json"}
    async with http.post("/v1/chat/completions", data=body, headers=headers) as answer:
        assert answer.status == 400
        assert (await read_error(answer))["type"] == "invalid_request_error"
        assert "x-llm-proxy-provider" not in answer.headers


async def test_a_compressed_body_is_refused(http: aiohttp.ClientSession) -> None:
    """A body in gzip is 415: nothing is unpacked."""
    headers = {**BEARER, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with http.post("/v1/chat/completions", data=b"\x1f\x8b", headers=headers) as answer:
        assert answer.status == 415
        assert (await read_error(answer))["code"] == "unsupported_encoding"


async def test_health(tmp_path: Path, simulator: ServedSimulator) -> None:
    """`/health` needs no key and tells counts and states, but no name of a provider."""
    # Of its own: what became of other tests' requests would be told too.
    with serving(tmp_path, build_config(simulator.port)) as served:
        async with aiohttp.ClientSession(served.url) as http, http.get("/health") as answer:
            assert answer.status == 200
            text = await answer.text()
            body = await answer.json()
    assert body["status"] == "healthy"
    assert body["providers"]["total"] == body["providers"]["healthy"] == 4
    assert (body["providers"]["degraded"], body["providers"]["unhealthy"]) == (0, 0)
    assert isinstance(body["timestamp"], float)
    assert body["uptime"] == "100.00%"
    assert body["last_check"].endswith("Z")
    assert body["version"] == __version__
    assert set(body["components"]) == {
        "api_server",
        "health_worker",
        "metrics_collector",
        "config_manager",
    }
    assert [name for name in ("local", "hasty", "locked", "simulator") if name in text] == []


async def test_liveness_and_readiness(http: aiohttp.ClientSession) -> None:
    """Both answer 200 without a key, for GET and for HEAD."""
    async with http.get("/health/liveness") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "alive"})
    async with http.get("/health/readiness") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ready"})
    for path in ("/health", "/health/liveness", "/health/readiness"):
        async with http.head(path) as answer:
            assert (answer.status, await answer.read()) == (200, b"")


async def test_metrics_count_what_was_asked(http: aiohttp.ClientSession) -> None:
    """With a key `/metrics` shows requests, tokens and durations by provider, and no prompt."""
    body = {**CHAT, "model": "local/sim-echo"}
    async with http.post("/v1/chat/completions", json=body, headers=BEARER) as answer:
        assert answer.status == 200
    async with http.get("/metrics", headers=BEARER) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = await answer.text()
    for family in ("requests_total", "tokens_total", "request_duration_seconds_count"):
        lines = [line for line in text.splitlines() if line.startswith(f"llm_proxy_{family}{{")]
        assert [line for line in lines if 'provider="local"' in line], family
    assert "marmalade" not in text


async def test_metrics_may_be_open_to_loopback(tmp_path: Path) -> None:
    """With `metrics_auth: false` a neighbour needs no key for `/metrics`, for the rest it does."""
    with serving(tmp_path, build_config(metrics_auth=False)) as served:
        async with aiohttp.ClientSession(served.url) as session:
            async with session.get("/metrics") as answer:
                assert answer.status == 200
            async with session.get("/v1/models") as answer:
                assert answer.status == 401


async def test_without_a_provider_it_serves_and_says_so(tmp_path: Path) -> None:
    """No provider: the process starts, is alive but not ready, and chats get 503."""
    config = build_config(providers=[])
    with serving(tmp_path, config, ready_path="/health/liveness") as served:
        async with aiohttp.ClientSession(served.url) as session:
            async with session.get("/health/readiness") as answer:
                assert answer.status == 503
                assert (await answer.json())["status"] == "not_ready"
            async with session.get("/health") as answer:
                assert (answer.status, (await answer.json())["status"]) == (200, "unhealthy")
            async with session.post("/v1/chat/completions", json=CHAT, headers=BEARER) as answer:
                assert answer.status == 503
                assert (await read_error(answer))["code"] == "no_healthy_provider"
