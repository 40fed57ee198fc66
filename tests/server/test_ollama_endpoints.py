"""What Ollama's clients ask of a server besides answers."""

from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from proxy.domain.catalog import ModelInfo
from proxy.domain.identity import Caller
from proxy.server.ollama_endpoints import MAX_SHOW_BYTES, OLLAMA_ENDPOINTS
from proxy.version import __version__
from tests.fakes.proxy_server import AUTH, HASHER, KEY, build_provider, build_snapshot, serving

pytestmark = pytest.mark.usefixtures("no_leaks")

INFO = {"m": ModelInfo(max_input_tokens=40_960)}
SNAPSHOT = build_snapshot(
    build_provider("http://a.test", name="a", models=("m", "n"), model_info=INFO),
    build_provider("http://b.test", name="b", models=("m",)),
)


async def ask(
    port: int, path: str, body: Any = None, headers: dict[str, str] = AUTH
) -> tuple[int, Any]:
    """Return (status, body): GET without a body, POST with one."""
    url = f"http://127.0.0.1:{port}{path}"
    method = "GET" if body is None else "POST"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


async def test_models_are_listed_and_shown() -> None:
    """Every name that can be asked for, also with a tag; what is known of it is told."""
    async with serving(SNAPSHOT, {}) as server:
        status, listed = await ask(server.port, "/api/tags")
        shown = [
            await ask(server.port, "/api/show", body)
            for body in ({"model": "m"}, {"name": "m:latest"}, {"model": "n"}, {"model": "a/m"})
        ]
    assert status == 200
    assert [each["name"] for each in listed["models"]] == ["m", "n"]
    first = listed["models"][0]
    assert (first["model"], first["size"], len(first["digest"])) == ("m", 0, 64)
    assert first["modified_at"] == "2023-11-14T22:13:20.000000Z"
    assert "tools" in first["capabilities"]
    assert [status for status, _ in shown] == [200] * 4
    assert shown[0] == shown[1]
    info = shown[0][1]["model_info"]
    assert info[f"{info['general.architecture']}.context_length"] == 40_960
    assert not any("context_length" in name for name in shown[2][1]["model_info"])


async def test_a_key_sees_its_own_models_only() -> None:
    """A name that it may not ask for does not exist for it, here as everywhere."""
    caller = Caller("k", models=frozenset(("n",)))
    snapshot = replace(SNAPSHOT, callers={HASHER.digest(KEY): caller})
    async with serving(snapshot, {}) as server:
        _, listed = await ask(server.port, "/api/tags")
        refused = await ask(server.port, "/api/show", {"model": "m"})
        unknown = await ask(server.port, "/api/show", {"model": "never"})
    assert [each["name"] for each in listed["models"]] == ["n"]
    for name, (status, answer) in {"m": refused, "never": unknown}.items():
        assert (status, answer["error"]) == (404, f"The model '{name}' does not exist.")
        assert answer["code"] == "model_not_found"


async def test_the_server_says_what_it_is() -> None:
    """Its own version, and no model that is loaded."""
    async with serving(SNAPSHOT, {}) as server:
        assert await ask(server.port, "/api/version") == (200, {"version": __version__})
        assert await ask(server.port, "/api/ps") == (200, {"models": []})


async def test_nothing_is_told_without_a_key() -> None:
    """Denied is the default, and the refusal is in Ollama's words."""
    async with serving(SNAPSHOT, {}) as server:
        for path in OLLAMA_ENDPOINTS:
            body = {"model": "m"} if path == "/api/show" else None
            status, answer = await ask(server.port, path, body, {})
            assert status == 401
            assert isinstance(answer["error"], str)


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ([], 400), ({"model": 3}, 400), ({"model": "x" * MAX_SHOW_BYTES}, 413)],
    ids=["no name", "a list", "a number", "too long"],
)
async def test_a_wrong_question_is_refused(body: Any, status: int) -> None:
    """What is no name is the client's mistake, and a long one is not read."""
    async with serving(SNAPSHOT, {}) as server:
        found, answer = await ask(server.port, "/api/show", body)
    assert found == status
    assert isinstance(answer["error"], str)
