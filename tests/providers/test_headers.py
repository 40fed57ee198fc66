"""Tests of `proxy/providers/headers.py`."""

from typing import Literal

import pytest

from proxy.domain.catalog import Provider
from proxy.domain.secret import Secret
from proxy.providers.headers import AUTHORIZATION, build_headers, build_key_header

PROVIDER = Provider("it", "openai", "https://it.example")


def test_a_head_is_built_from_nothing() -> None:
    """It says what is sent, what may come back, who asks, and what the caller gives; no more."""
    headers = build_headers(PROVIDER, ("X-Key", "k"), {"traceparent": "t"}, streams=False)
    assert headers.pop("User-Agent").startswith("llm-proxy-api/")
    assert headers == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "traceparent": "t",
        "X-Key": "k",
    }


def test_a_stream_is_asked_for_as_one() -> None:
    """What is to come back is said in `Accept`; without a key no header has one."""
    headers = build_headers(PROVIDER, None, {}, streams=True)
    assert headers["Accept"] == "text/event-stream"
    assert set(headers) == {"Content-Type", "Accept", "Accept-Encoding", "User-Agent"}


def test_the_operators_own_headers_win() -> None:
    """None is sent twice, however its name is written."""
    provider = Provider("it", "openai", "https://it.example", headers={"x-KEY": "own", "A": "b"})
    headers = build_headers(provider, ("X-Key", "k"), {}, streams=False)
    assert headers["x-KEY"] == "own" and headers["A"] == "b" and "X-Key" not in headers


@pytest.mark.parametrize(
    ("auth", "name", "expected"),
    [
        (None, "x-api-key", ("x-api-key", "k")),
        ("header", "x-api-key", ("x-api-key", "k")),
        ("bearer", "x-api-key", ("Authorization", "Bearer k")),
        (None, AUTHORIZATION, ("Authorization", "Bearer k")),
    ],
)
def test_a_key_goes_where_its_type_wants_it(
    auth: Literal["header", "bearer"] | None, name: str, expected: tuple[str, str]
) -> None:
    """Into the type's own header, or as a bearer's where that is configured; no key, no header."""
    provider = Provider("it", "anthropic", "https://it.example", api_key=Secret("k"), auth=auth)
    assert build_key_header(provider, name) == expected
    assert build_key_header(PROVIDER, name) is None
