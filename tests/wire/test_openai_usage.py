"""Tests of `proxy/wire/openai_usage.py`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.usage import Usage
from proxy.wire.openai_usage import MOST_TOKENS, parse_usage


def usage(**fields: Any) -> Usage | None:
    return parse_usage(json.dumps(fields).encode())


def test_openais_counts_are_taken_as_they_are() -> None:
    """Cached and written tokens are inside the prompt, reasoning is inside the completion."""
    assert usage(
        prompt_tokens=100,
        completion_tokens=50,
        total_tokens=150,
        prompt_tokens_details={"cached_tokens": 64, "cache_write_tokens": 8, "audio_tokens": 0},
        completion_tokens_details={"reasoning_tokens": 40, "audio_tokens": 0},
    ) == Usage(100, 50, 64, 8, 40)


def test_deepseek_names_its_cache_hits_otherwise() -> None:
    """`prompt_cache_hit_tokens` counts where there are no details."""
    found = usage(prompt_tokens=10, completion_tokens=1, prompt_cache_hit_tokens=8)
    assert found == Usage(10, 1, cached_tokens=8)


def test_perplexity_names_its_reasoning_otherwise() -> None:
    """`reasoning_tokens` at the top counts where there are no details."""
    assert usage(prompt_tokens=1, completion_tokens=9, reasoning_tokens=5) == Usage(
        1, 9, reasoning_tokens=5
    )


def test_embeddings_have_no_completion() -> None:
    """A missing completion count is 0 there, and unusable where there was something to say."""
    for missing in ({}, {"completion_tokens": None}):
        counts = json.dumps({"prompt_tokens": 7, "total_tokens": 7, **missing}).encode()
        assert parse_usage(counts, has_output=False) == Usage(7, 0)
        assert parse_usage(counts) is None


def test_an_explicit_zero_is_a_count() -> None:
    """Zero tokens are what the provider reports, not a missing report."""
    assert usage(prompt_tokens=0, completion_tokens=0, total_tokens=0) == Usage(0, 0)


@pytest.mark.parametrize("bad", [-1, 1.5, 10**18, 2**70, MOST_TOKENS + 1, "7", True, [], {}])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_a_count_that_is_none_makes_the_whole_unusable(name: str, bad: object) -> None:
    """Negative, broken, huge and mistyped counts are not billed from."""
    assert usage(**{"prompt_tokens": 1, "completion_tokens": 1, name: bad}) is None


@pytest.mark.parametrize(
    "raw", [b"{}", b"null", b"[]", b"5", b'""', b'{"completion_tokens":5}', b"{"]
)
def test_what_has_no_prompt_count_is_none(raw: bytes) -> None:
    """Without a prompt count there is nothing to bill from."""
    assert parse_usage(raw) is None


@pytest.mark.parametrize("bad", [-5, 1.5, "8", True, None, 2**70, [], {}])
def test_a_detail_that_is_no_count_spoils_nothing(bad: object) -> None:
    """A strange detail counts as 0 or as its total; the totals stay what they are."""
    found = usage(
        prompt_tokens=10,
        completion_tokens=5,
        prompt_tokens_details={"cached_tokens": bad},
        completion_tokens_details={"reasoning_tokens": bad},
        prompt_cache_hit_tokens=bad,
    )
    assert found is not None
    assert (found.input_tokens, found.output_tokens) == (10, 5)
    assert found.cached_tokens in (0, 10)
    assert found.reasoning_tokens in (0, 5)


@pytest.mark.parametrize("details", [None, [], 7, "x", {}, {"cached_tokens": None}])
def test_details_of_any_shape_are_survived(details: object) -> None:
    """Details that are no object are no details."""
    assert usage(
        prompt_tokens=1,
        completion_tokens=2,
        prompt_tokens_details=details,
        completion_tokens_details=details,
    ) == Usage(1, 2)


@given(
    st.binary()
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
        lambda value: json.dumps({"prompt_tokens": 1, "prompt_tokens_details": value}).encode()
    )
)
def test_nothing_raises(raw: bytes) -> None:
    """Any bytes give counts or None."""
    found = parse_usage(raw)
    assert found is None or found.input_tokens >= 0
