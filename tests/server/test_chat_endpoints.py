"""Each path that goes to a provider, under each of its prefixes."""

from typing import Any

import aiohttp
import msgspec
import pytest
from yarl import URL

from tests.fakes.proxy_server import (
    ANSWER,
    AUTH,
    KEY,
    ProxyServer,
    build_chat,
    build_provider,
    build_snapshot,
    proxying,
    serving,
)
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering

pytestmark = [pytest.mark.usefixtures("no_leaks"), pytest.mark.both_connections]

COMPLETION = {"id": "cmpl-1", "object": "text_completion", "choices": [{"text": "x", "index": 0}]}
VECTORS = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": "AACAPw=="}]}
CASES = {
    "/chat/completions": (build_chat(), ANSWER),
    "/completions": ({"model": "m", "prompt": "hi"}, COMPLETION),
    "/embeddings": ({"model": "m", "input": "hi", "encoding_format": "base64"}, VECTORS),
}


MESSAGES = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x" * 397}]}


async def post(
    server: ProxyServer, path: str, body: Any, **headers: str
) -> tuple[int, dict[str, str], Any]:
    """Return (status, headers by their names in lower case, body); the path is sent as it is."""
    url = URL(f"http://127.0.0.1:{server.port}{path}", encoded=True)
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=data, headers={**AUTH, **headers}) as reply,
    ):
        found = {name.lower(): value for name, value in reply.headers.items()}
        return reply.status, found, await reply.json()


@pytest.mark.parametrize("prefix", ["/v1", "", "/openai/v1"])
@pytest.mark.parametrize("path", CASES)
async def test_each_operation_goes_to_its_own_path_upstream(path: str, prefix: str) -> None:
    """The provider is asked on the same path, and its answer comes back byte for byte."""
    ask, answer = CASES[path]
    script = answering(answer)
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"http://127.0.0.1:{server.port}{prefix}{path}", json=ask, headers=AUTH
            ) as reply,
        ):
            assert reply.status == 200
            assert await reply.read() == msgspec.json.encode(answer)
        (record,) = await server.observer.wait_for_records()
    assert script.requests[0][0] == f"POST /v1{path} HTTP/1.1"
    assert script.body() == ask
    assert record.endpoint == path


@pytest.mark.parametrize("operation", CASES)
@pytest.mark.parametrize("sent_model", ["other", None])
@pytest.mark.parametrize(
    ("written", "name"), [("m", "m"), ("a%20b", "a b"), ("org/m", "org/m"), ("org%2Fm", "org/m")]
)
async def test_the_deployment_in_the_path_is_the_model(
    operation: str, sent_model: str | None, written: str, name: str
) -> None:
    """Azure's clients name it there; what their body says of a model does not count."""
    ask, answer = CASES[operation]
    ask = {**ask, "model": sent_model} if sent_model else {k: ask[k] for k in ask if k != "model"}
    script = answering(answer)
    async with open_raw_upstream(script) as upstream:
        snapshot = build_snapshot(build_provider(upstream.url, models=("m", "a b", "org/m")))
        async with serving(snapshot) as server:
            path = f"/openai/deployments/{written}{operation}?api-version=2024-10-21"
            status, _, _ = await post(server, path, ask)
            (record,) = await server.observer.wait_for_records()
    assert status == 200
    assert script.body()["model"] == name
    assert (record.endpoint, record.alias) == (operation, name)


@pytest.mark.parametrize("path", ["m", "m/moderations", "m/messages"])
async def test_what_deployments_do_not_offer_is_not_found(path: str) -> None:
    """Other operations below a deployment are 404, and recorded as no path of ours."""
    async with serving(build_snapshot()) as server:
        status, _, body = await post(server, f"/openai/deployments/{path}", build_chat())
        (record,) = await server.observer.wait_for_records()
    assert (status, body["error"]["code"], record.endpoint) == (404, "not_found", "other")


async def test_a_body_that_is_no_object_is_told_as_such_with_a_deployment() -> None:
    """The model of the path does not hide what is wrong with the body."""
    async with serving(build_snapshot()) as server:
        status, _, body = await post(server, "/openai/deployments/m/chat/completions", b"[1]")
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")


REFUSALS: dict[str, tuple[dict[str, str], Any, int, str]] = {
    "key": ({"Authorization": "Bearer wrong"}, MESSAGES, 401, "authentication_error"),
    "two keys": ({"x-api-key": "other"}, MESSAGES, 400, "invalid_request_error"),
    "model": ({}, {**MESSAGES, "model": "none"}, 404, "not_found_error"),
    "kind": ({"Content-Type": "text/plain"}, MESSAGES, 415, "invalid_request_error"),
    "size": ({}, b"{" + b" " * 2000 + b"}", 413, "request_too_large"),
    "JSON": ({}, b"{", 400, "invalid_request_error"),
}


@pytest.mark.parametrize("path", ["/v1/messages", "/messages", "/v1/messages?beta=true"])
@pytest.mark.parametrize("case", REFUSALS)
async def test_refusals_speak_to_anthropics_clients(path: str, case: str) -> None:
    """Status, type and the request's id stand where their SDK looks for them."""
    headers, sent, status, kind = REFUSALS[case]
    async with serving(
        build_snapshot(build_provider("http://127.0.0.1:1"), max_body_bytes=1024)
    ) as s:
        got, found, body = await post(s, path, sent, **headers)
        (record,) = await s.observer.wait_for_records()
    assert (got, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert found["request-id"] == found["x-request-id"] == body["request_id"] == record.request_id
    assert record.endpoint == "/messages"


async def test_a_key_may_come_as_anthropics_clients_send_it() -> None:
    """`x-api-key` alone is enough."""
    async with serving(build_snapshot()) as server, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.port}/v1/messages"
        async with session.post(url, json=MESSAGES, headers={"x-api-key": KEY}) as reply:
            assert reply.status == 503  # known, and there is no provider


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/messages/count_tokens?beta=true"])
async def test_tokens_are_estimated_where_no_provider_counts_them(path: str) -> None:
    """A quarter of the prompt's bytes, rounded up; nobody is asked, and it is recorded."""
    script = answering(ANSWER)
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        status, headers, body = await post(server, path, MESSAGES)
        (record,) = await server.observer.wait_for_records()
    assert (status, body) == (200, {"input_tokens": 107})
    assert headers["request-id"] == record.request_id
    assert (record.endpoint, record.alias) == ("/messages/count_tokens", "m")
    assert (record.status, record.ending) == (200, "completed")
    assert (script.requests, record.attempts, record.usage) == ([], (), None)
