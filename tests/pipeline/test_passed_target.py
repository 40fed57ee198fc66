"""Where what passes may go: by its model, or by the account that is meant."""

from typing import Any

import pytest

from proxy.domain.catalog import Provider
from tests.fakes.proxy_server import build_provider, build_snapshot, serving
from tests.fakes.raw_client import RawAnswer, build_head, exchange
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import Recorder, answering

pytestmark = pytest.mark.usefixtures("no_leaks")

EMPTY: dict[str, Any] = {"object": "list", "data": []}


async def _list(script: Recorder, query: str, *fields: str, **types: str) -> RawAnswer:
    """Ask for files where these providers of these types are, all at one address."""
    async with open_raw_upstream(script) as upstream:
        providers: list[Provider] = [
            build_provider(upstream.url, name=name, type=type_) for name, type_ in types.items()
        ]
        async with serving(build_snapshot(*providers)) as server:
            head = build_head(
                "Connection: close",
                *fields,
                content_type=None,
                line=f"GET /v1/files{query} HTTP/1.1",
            )
            (answer,) = await exchange(server.port, head)
            return answer


@pytest.mark.parametrize(
    ("query", "fields", "types", "provider"),
    [
        ("", (), {"one": "openai", "other": "deepseek"}, "one"),
        ("?provider=two", (), {"one": "openai", "two": "openai"}, "two"),
        ("", ("x-llm-proxy-provider: two",), {"one": "openai", "two": "openai"}, "two"),
    ],
    ids=["the only one", "by query", "by header"],
)
async def test_an_account_is_the_only_one_or_the_one_that_is_named(
    query: str, fields: tuple[str, ...], types: dict[str, str], provider: str
) -> None:
    """Providers that offer no files do not count."""
    answer = await _list(answering(EMPTY), query, *fields, **types)
    assert (answer.status, answer.headers["x-llm-proxy-provider"]) == (200, provider)


@pytest.mark.parametrize(
    ("query", "types", "words"),
    [
        ("", {"one": "openai", "two": "openai"}, "name one"),
        ("?provider=three", {"one": "openai"}, "No provider of this name offers files"),
        (
            "?provider=two",
            {"one": "openai", "two": "deepseek"},
            "No provider of this name offers files",
        ),
        ("", {"two": "deepseek"}, "No provider offers files"),
    ],
    ids=["several", "unknown", "not offered", "nobody"],
)
async def test_an_account_that_is_not_clear_is_a_400(
    query: str, types: dict[str, str], words: str
) -> None:
    """No account is guessed, and a name that is none says no more than that."""
    script = answering(EMPTY)
    answer = await _list(script, query, **types)
    assert answer.status == 400
    assert words in answer.error["message"]
    assert script.requests == []


async def test_of_a_query_only_what_is_a_lists_goes_on() -> None:
    """Known names go on, encoded; all others, and the provider's name, stay here."""
    script = answering(EMPTY)
    query = "?limit=2&after=file-a%26b&provider=one&api-version=1&purpose=x&evil=%0d%0aA:b"
    await _list(script, query, one="openai")
    assert script.requests[0][0] == ("GET /v1/files?after=file-a%26b&limit=2&purpose=x HTTP/1.1")


async def test_a_query_that_is_too_long_is_a_400() -> None:
    """No value goes on that is longer than ids are."""
    answer = await _list(answering(EMPTY), "?after=" + "a" * 300, one="openai")
    assert (answer.status, answer.error["param"]) == (400, "after")


async def test_an_account_has_a_breaker_of_its_own() -> None:
    """What is recorded of it has the operation as its model."""
    script = answering(EMPTY)
    async with open_raw_upstream(script) as upstream:
        provider = build_provider(upstream.url, name="one", type="openai")
        async with serving(build_snapshot(provider)) as server:
            head = build_head(content_type=None, line="GET /v1/batches HTTP/1.1")
            await exchange(server.port, head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            (record,) = await server.observer.wait_for_records()
    assert (record.provider, record.model, record.alias) == ("one", "batches", None)
