"""The list of models, and each model by its name."""

import aiohttp
import pytest
from msgspec.structs import replace
from yarl import URL

from proxy.domain.identity import Caller
from tests.fakes.proxy_server import AUTH, HASHER, KEY, build_provider, build_snapshot, serving

pytestmark = pytest.mark.usefixtures("no_leaks")

SNAPSHOT = build_snapshot(
    build_provider("http://a.test/v1", name="a", models=("m", "org/model:7b")),
    build_provider("http://b.test/v1", name="b", type="openrouter", models=("*",)),
)


async def get(port: int, path: str, **more: str) -> tuple[int, dict[str, object]]:
    """Return (status, body); the path is sent as it is."""
    url = URL(f"http://127.0.0.1:{port}{path}", encoded=True)
    headers = {**AUTH, **more}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("prefix", ["/v1", "", "/openai/v1", "/openai"])
async def test_the_list_has_openais_shape(prefix: str) -> None:
    """Every name that can be asked for is listed, with the four fields that SDKs read."""
    snapshot = build_snapshot(build_provider("http://a.test/v1", models=("m", "n")))
    async with serving(snapshot, {}) as server:
        status, body = await get(server.port, prefix + "/models")
    assert status == 200
    assert body["object"] == "list"
    assert body["data"] == [
        {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "llm-proxy"}
        for name in ("m", "n")
    ]


@pytest.mark.parametrize("prefix", ["/v1", ""])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("m", "m"),
        ("org/model:7b", "org/model:7b"),
        ("org%2Fmodel:7b", "org/model:7b"),
        ("org%2fmodel%3A7b", "org/model:7b"),
        ("a/m", "a/m"),
        ("b/any/thing", "b/any/thing"),
        ("whatever", "whatever"),
    ],
)
async def test_a_model_is_found_by_every_spelling_of_its_name(
    prefix: str, path: str, name: str
) -> None:
    """Slashes in ids may come raw or encoded."""
    async with serving(SNAPSHOT, {}) as server:
        status, body = await get(server.port, f"{prefix}/models/{path}")
    assert (status, body["id"], body["object"]) == (200, name, "model")


async def test_an_unknown_model_is_not_found_in_openais_words() -> None:
    """404 `model_not_found`, with `param`."""
    snapshot = build_snapshot(build_provider("http://a.test/v1"))
    async with serving(snapshot, {}) as server:
        status, body = await get(server.port, "/v1/models/nope")
    assert status == 404
    assert body["error"] == {
        "message": "The model 'nope' does not exist.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


ALLOWED = frozenset(("m", "a/m", "a/none", "b/any/thing", "taken-by-b"))
LIMITED = replace(SNAPSHOT, callers={HASHER.digest(KEY): Caller("key_few", models=ALLOWED)})


async def test_a_key_lists_only_what_it_may_ask_for() -> None:
    """Its own names that are served, also those with a provider; no other name is shown."""
    async with serving(LIMITED, {}) as server:
        _, body = await get(server.port, "/v1/models")
    assert isinstance(body["data"], list)
    assert [model["id"] for model in body["data"]] == ["m", "a/m", "b/any/thing", "taken-by-b"]


@pytest.mark.parametrize("name", ["org/model:7b", "b/m", "whatever"])
async def test_a_forbidden_model_is_not_found(name: str) -> None:
    """By its name it is 404, in the words for a model that does not exist."""
    async with serving(SNAPSHOT, {}) as server:
        assert (await get(server.port, f"/v1/models/{name}"))[0] == 200
    async with serving(LIMITED, {}) as server:
        assert (await get(server.port, "/v1/models/a/m"))[0] == 200
        status, body = await get(server.port, f"/v1/models/{name}")
    assert status == 404
    assert body["error"] == {
        "message": f"The model '{name}' does not exist.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


VERSION = {"anthropic-version": "2023-06-01"}


async def test_anthropics_clients_get_their_shape() -> None:
    """List, one model and errors, where a request says `anthropic-version`."""
    async with serving(SNAPSHOT, {}) as server:
        _, listed = await get(server.port, "/v1/models?limit=1", **VERSION)
        _, shown = await get(server.port, "/v1/models/org%2Fmodel:7b", **VERSION)
        status, error = await get(server.port, "/v1/models?limit=x", **VERSION)
        records = await server.observer.wait_for_records(3)
    assert (listed["has_more"], listed["first_id"], listed["last_id"]) == (True, "m", "m")
    assert (shown["type"], shown["id"]) == ("model", "org/model:7b")
    assert (status, error["type"]) == (400, "error")
    assert {record.endpoint for record in records} == {"/models", "/models/{id}"}
