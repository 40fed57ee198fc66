"""Requests about responses that a provider keeps."""

import pytest

from proxy.domain.catalog import Provider
from proxy.domain.secret import Secret
from proxy.providers.kept_request import build_bare_request
from proxy.providers.registry import find_keeper, find_kind, known_types

PROVIDER = Provider("it", "openai", "https://it.example/v1", api_key=Secret("sk-canary"))


def test_a_bare_request_has_the_key_and_no_body() -> None:
    """Its query stands behind the one that the address has."""
    for url, query, whole in (
        ("https://it.example/r", "", "https://it.example/r"),
        ("https://it.example/r", "a=1", "https://it.example/r?a=1"),
        ("https://it.example/r?v=2", "a=1", "https://it.example/r?v=2&a=1"),
    ):
        request = build_bare_request(PROVIDER, "DELETE", url, query, ("X-Key", "k"))
        assert (request.method, request.url, request.body) == ("DELETE", whole, b"")
        assert request.headers["X-Key"] == "k"
        assert "Content-Type" not in request.headers


def test_who_has_the_responses_api_keeps_responses() -> None:
    """And nobody else does."""
    keepers = {name for name in known_types() if find_keeper(name) is not None}
    assert keepers == {"openai", "azure", "grok", "simulator"}
    for name in keepers:
        kind = find_kind(name)
        assert kind is not None
        assert "responses" in kind.operations


@pytest.mark.parametrize(
    ("base_url", "type_name", "version", "url"),
    [
        ("https://api.openai.com/v1", "openai", None, "https://api.openai.com/v1/responses/r/x"),
        ("https://a.example", "azure", None, "https://a.example/openai/v1/responses/r/x"),
        (
            "https://a.example",
            "azure",
            "2025-04-01-preview",
            "https://a.example/openai/responses/r/x?api-version=2025-04-01-preview",
        ),
    ],
)
def test_a_kept_response_is_asked_for_where_it_was_made(
    base_url: str, type_name: str, version: str | None, url: str
) -> None:
    """Below the path of all responses, with the key as the type sends it."""
    provider = Provider("it", type_name, base_url, api_key=Secret("sk-canary"), api_version=version)
    keeper = find_keeper(type_name)
    assert keeper is not None
    request = keeper.build_kept_request(provider, "GET", "/r/x", "")
    assert request.url == url
    assert any("sk-canary" in value for value in request.headers.values())
