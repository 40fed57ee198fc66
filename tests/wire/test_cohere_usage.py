"""Tests of `proxy/wire/cohere_usage.py`."""

import json
from typing import Any

import pytest

from proxy.domain.usage import Usage
from proxy.wire.cohere_usage import parse_cohere_usage

TOKENS = {"input_tokens": 507, "output_tokens": 12}
BILLED = {"input_tokens": 12, "output_tokens": 12}


def parse(value: Any, *, has_output: bool = True) -> Usage | None:
    return parse_cohere_usage(json.dumps(value).encode(), has_output=has_output)


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        ({"tokens": TOKENS, "billed_units": BILLED}, Usage(507, 12)),
        ({"tokens": TOKENS, "cached_tokens": 500}, Usage(507, 12, cached_tokens=500)),
        ({"tokens": TOKENS, "cached_tokens": 9000}, Usage(507, 12, cached_tokens=507)),
        ({"tokens": TOKENS, "cached_tokens": -1}, Usage(507, 12)),
        ({"tokens": {"input_tokens": 5.0, "output_tokens": 2.0}}, Usage(5, 2)),
        ({"billed_units": BILLED}, Usage(12, 12)),
        ({"tokens": {"input_tokens": 5}, "billed_units": BILLED}, Usage(12, 12)),
        ({"tokens": {"output_tokens": 5}}, None),
        ({"tokens": None}, None),
        ({}, None),
    ],
)
def test_tokens_go_before_what_is_billed(value: Any, usage: Usage | None) -> None:
    """What the model has read counts; what Cohere bills only where nothing else is said."""
    assert parse(value) == usage


def test_vectors_have_no_output() -> None:
    """A count of the input alone is enough for them, and for nothing else."""
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 7}}
    assert parse(meta, has_output=False) == Usage(7, 0)
    assert parse(meta) is None


@pytest.mark.parametrize(
    "value",
    [
        {"tokens": {"input_tokens": -1, "output_tokens": 1}},
        {"tokens": {"input_tokens": 1.5, "output_tokens": 1}},
        {"tokens": {"input_tokens": 1, "output_tokens": 1e18}},
        {"tokens": {"input_tokens": "1", "output_tokens": 1}},
        {"tokens": []},
        [],
    ],
    ids=str,
)
def test_counts_that_cannot_be_are_an_error(value: Any) -> None:
    """Nothing can be billed from them."""
    with pytest.raises(ValueError):
        parse(value)
