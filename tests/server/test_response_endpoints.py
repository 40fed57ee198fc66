"""Responses asked for after they were given: from the store, or from who keeps them."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from msgspec.structs import replace

from proxy.domain.identity import Caller
from proxy.domain.settings import RateLimit
from proxy.domain.stored_response import StoredResponse
from tests.fakes.proxy_server import (
    AUTH,
    HASHER,
    KEY,
    ProxyServer,
    build_provider,
    build_snapshot,
    serving,
)
from tests.fakes.raw_upstream import RawUpstream, open_raw_upstream
from tests.fakes.upstream_scripts import Recorder, answering
from tests.wire.response_events import MESSAGE, response

pytestmark = pytest.mark.usefixtures("no_leaks")

ORGANIZATION = Caller("k").organization_id
BODY = msgspec.json.encode(response("completed", MESSAGE))
ITEMS = [{"id": f"i{number}", "role": "user", "content": "Hi"} for number in range(3)]
HERE = StoredResponse("resp_h", model="m", input=msgspec.json.encode(ITEMS), body=BODY)
THERE = StoredResponse("resp_t", provider="up", model="m")
HIDDEN = StoredResponse("resp_n", model="n", body=BODY)
FOREIGN = "other-organization"


@pytest.fixture
async def keeping() -> AsyncIterator[tuple[ProxyServer, Recorder]]:
    """Serve a provider that keeps responses, over a store with one of each."""
    script = answering({"id": "resp_t", "of": "the provider"})
    async with open_raw_upstream(script) as upstream, serving(build(upstream)) as server:
        for stored in (HERE, THERE, HIDDEN):
            server.runtime.responses.keep(ORGANIZATION, stored)
        server.runtime.responses.keep(FOREIGN, replace(HERE, id="resp_f"))
        yield server, script


def build(upstream: RawUpstream) -> Any:
    """Return a snapshot whose caller may ask for one of two models."""
    snapshot = build_snapshot(build_provider(upstream.url, models=("m", "n")))
    caller = Caller(HASHER.key_id(KEY), models=frozenset(("m",)))
    return replace(snapshot, callers={HASHER.digest(KEY): caller})


async def ask(
    server: ProxyServer, method: str, path: str, prefix: str = "/v1"
) -> tuple[int, dict[str, Any]]:
    url = f"http://127.0.0.1:{server.port}{prefix}/responses/{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=AUTH) as answer,
    ):
        assert answer.headers["x-request-id"].startswith("req_")
        return answer.status, await answer.json() if method != "HEAD" else {}


async def test_what_is_kept_here_is_shown_listed_and_deleted(
    keeping: tuple[ProxyServer, Recorder],
) -> None:
    """Nobody else is asked, and what is deleted is gone."""
    server, script = keeping
    for prefix in ("/v1", "", "/openai/v1", "/openai"):
        assert await ask(server, "GET", "resp_h", prefix) == (200, msgspec.json.decode(BODY))
    assert await ask(server, "HEAD", "resp_h") == (200, {})
    status, page = await ask(server, "GET", "resp_h/input_items?limit=2&order=asc")
    assert status == 200
    assert (page["data"], page["has_more"]) == (ITEMS[:2], True)
    gone = {"id": "resp_h", "object": "response", "deleted": True}
    assert await ask(server, "DELETE", "resp_h") == (200, gone)
    for method in ("GET", "DELETE"):
        assert (await ask(server, method, "resp_h"))[0] == 404
    assert not script.requests
    records = await server.observer.wait_for_records(9)
    assert {each.endpoint for each in records} == {"/responses/{rest}"}


async def test_what_a_provider_keeps_is_asked_of_it(
    keeping: tuple[ProxyServer, Recorder],
) -> None:
    """Only what is known of a query goes on; deleting it is known here as well."""
    server, script = keeping
    told = {"id": "resp_t", "of": "the provider"}
    assert await ask(server, "GET", "resp_t?include[]=a%26b&x=y") == (200, told)
    assert await ask(server, "GET", "resp_t/input_items?after=i1&order=asc&x=y") == (200, told)
    assert await ask(server, "DELETE", "resp_t") == (200, told)
    assert [line.rpartition(" ")[0] for line, _, _ in script.requests] == [
        "GET /v1/responses/resp_t?include[]=a%26b",
        "GET /v1/responses/resp_t/input_items?limit=20&order=asc&after=i1",
        "DELETE /v1/responses/resp_t",
    ]
    assert (await ask(server, "GET", "resp_t"))[0] == 404
    assert len(script.requests) == 3


async def test_what_the_provider_has_lost_is_forgotten_when_it_is_deleted() -> None:
    """Its 404 is ours, in our words."""
    script = answering({"error": {"message": "Response of account 123 not found."}}, 404)
    async with open_raw_upstream(script) as upstream, serving(build(upstream)) as server:
        server.runtime.responses.keep(ORGANIZATION, THERE)
        for method in ("GET", "DELETE", "GET"):
            status, body = await ask(server, method, "resp_t")
            assert (status, body["error"]["code"]) == (404, "response_not_found")
            assert "123" not in body["error"]["message"]
        assert len(script.requests) == 2


async def test_what_is_not_the_caller_s_does_not_exist(
    keeping: tuple[ProxyServer, Recorder],
) -> None:
    """Another organization's, that of a forbidden model, and what never was: one answer."""
    server, _ = keeping
    for path in ("{}", "{}/input_items"):
        told = set()
        for response_id in ("resp_f", "resp_n", "resp_x"):
            status, body = await ask(server, "GET", path.format(response_id))
            told.add((status, str(body).replace(response_id, "")))
        assert len(told) == 1
        assert told.pop()[0] == 404
    for response_id in ("resp_f", "resp_n"):
        assert (await ask(server, "DELETE", response_id))[0] == 404
        assert (await ask(server, "POST", f"{response_id}/cancel"))[0] == 404
    assert await server.runtime.responses.find(FOREIGN, "resp_f") is not None
    assert await server.runtime.responses.find(ORGANIZATION, "resp_n") is not None


@pytest.mark.parametrize(
    ("method", "path", "status", "param"),
    [
        ("POST", "resp_h/cancel", 400, None),
        ("GET", "resp_h?stream=true", 400, "stream"),
        ("GET", "resp_h/input_items?limit=1000", 400, "limit"),
        ("GET", "resp_t/input_items?order=up", 400, "order"),
        ("POST", "resp_h", 404, None),
        ("DELETE", "resp_h/input_items", 404, None),
        ("GET", "resp_h/other", 404, None),
        ("GET", "a%2Fb", 404, None),
        ("GET", "x" * 300, 404, None),
        ("GET", "%00", 404, None),
    ],
    ids=range(10),
)
async def test_what_cannot_be_done_is_refused(
    keeping: tuple[ProxyServer, Recorder], method: str, path: str, status: int, param: str | None
) -> None:
    """In OpenAI's shape, and no provider hears of it."""
    server, script = keeping
    found, body = await ask(server, method, path)
    assert (found, body["error"]["param"]) == (status, param)
    assert not script.requests


async def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    """What goes on to a provider counts against the key's rate; what is kept here does not."""
    script = answering({"id": "resp_t"})
    async with open_raw_upstream(script) as upstream:
        snapshot = build(upstream)
        settings = replace(snapshot.settings, rate_limit=RateLimit(1, 60.0))
        async with serving(replace(snapshot, settings=settings)) as server:
            for stored in (HERE, THERE):
                server.runtime.responses.keep(ORGANIZATION, stored)
            told = [(await ask(server, "GET", "resp_t"))[0] for _ in range(2)]
            assert told == [200, 429]
            assert (await ask(server, "GET", "resp_h"))[0] == 200
            url = f"{server.url}/responses/resp_t"
            async with (
                aiohttp.ClientSession() as session,
                session.get(url, headers=AUTH) as answer,
            ):
                assert int(answer.headers["retry-after"]) > 0
    assert len(script.requests) == 1
