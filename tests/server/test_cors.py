"""Which pages may read an answer."""

import pytest

from proxy.server.cors import build_cors_headers, build_preflight_headers

PAGE = "https://page.example"


def test_any_page_may_read_where_every_origin_is_allowed() -> None:
    """`*` allows every page, never with credentials, and shows our headers to it."""
    headers = build_cors_headers(PAGE, ("*",))
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "x-llm-proxy-provider" in headers["Access-Control-Expose-Headers"]
    assert "x-ratelimit-remaining-requests" in headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in headers


def test_a_listed_page_may_read_and_caches_are_told() -> None:
    """A listed origin is named, and the answer varies with it."""
    headers = build_cors_headers(PAGE, (PAGE,))
    assert headers["Access-Control-Allow-Origin"] == PAGE
    assert headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", [None, "https://other.example", "null", PAGE + ".evil.example"])
def test_no_other_page_may(origin: str | None) -> None:
    """An origin that is not on the list, or none at all, gets no header."""
    assert not build_cors_headers(origin, (PAGE,))
    assert not build_preflight_headers(origin, "authorization", (PAGE,))


def test_a_preflight_names_methods_and_headers() -> None:
    """A browser's question is answered with the methods, the headers it asked for and an age."""
    headers = build_preflight_headers(PAGE, "authorization, x-stainless-lang", ("*",))
    assert headers["Access-Control-Allow-Headers"] == "authorization, x-stainless-lang"
    assert "POST" in headers["Access-Control-Allow-Methods"]
    assert int(headers["Access-Control-Max-Age"]) > 0
