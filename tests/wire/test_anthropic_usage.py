"""Tests of `proxy/wire/anthropic_usage.py`."""

import json
from typing import Any

import pytest

from proxy.domain.usage import Usage
from proxy.wire.anthropic_usage import AnthropicUsage


def merge(*objects: Any) -> Usage | None:
    counts = AnthropicUsage()
    for value in objects:
        assert counts.take(json.dumps(value).encode())
    return counts.usage


def test_the_cache_counts_as_input() -> None:
    """Input is what is new, read from the cache and written to it; thoughts are part of output."""
    found = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 200,
        "cache_read_input_tokens": 3000,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 40},
        "service_tier": "standard",
    }
    assert merge(found) == Usage(3210, 50, 3000, 200, 40)


def test_counts_of_a_stream_are_cumulative() -> None:
    """The last count of each kind holds; what the end of a stream does not name is the start's."""
    start = {"input_tokens": 43, "cache_read_input_tokens": 7, "output_tokens": 1}
    assert merge(start) == Usage(50, 1, 7)
    assert merge(start, {"output_tokens": 30}, {"output_tokens": 48}) == Usage(50, 48, 7)
    assert merge(start, {"input_tokens": 61, "output_tokens": 48}) == Usage(68, 48, 7)
    end = {"output_tokens": 48, "input_tokens": None, "cache_read_input_tokens": None}
    assert merge(start, end) == Usage(50, 48, 7)


def test_compaction_is_paid_for_too() -> None:
    """Iterations that the totals leave out are added, an advisor's are not."""
    iterations = [
        {"type": "compaction", "input_tokens": 900, "output_tokens": 80},
        {"type": "message", "input_tokens": 100, "output_tokens": 20},
        {"type": "advisor_message", "input_tokens": 5000, "output_tokens": 5000},
    ]
    total = {"input_tokens": 100, "output_tokens": 20, "cache_read_input_tokens": 6}
    assert merge(total | {"iterations": iterations}) == Usage(1006, 100, 6)
    assert merge(total | {"iterations": []}) == merge(total) == Usage(106, 20, 6)
    assert merge(total | {"iterations": iterations[2:]}) == Usage(106, 20, 6)
    assert merge(total | {"iterations": [{"type": "message", "input_tokens": -9}]}) == merge(total)
    assert merge(total | {"iterations": "some"}) == merge(total)


def test_the_totals_hold_a_fallback_already() -> None:
    """Where another model stood in, the iterations are not added."""
    iterations = [
        {"type": "message", "input_tokens": 100, "output_tokens": 0},
        {"type": "fallback_message", "input_tokens": 100, "output_tokens": 20},
    ]
    found = {"input_tokens": 120, "output_tokens": 20, "iterations": iterations}
    assert merge(found) == Usage(120, 20)


@pytest.mark.parametrize(
    "found",
    [
        {"input_tokens": -1, "output_tokens": 2},
        {"input_tokens": 1.5, "output_tokens": 2},
        {"input_tokens": "1", "output_tokens": 2},
        {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": -2},
        {"input_tokens": 1, "output_tokens": 2_000_000_000},
        {"input_tokens": 2**80, "output_tokens": 1},
        [],
        None,
    ],
)
def test_what_cannot_be_billed_from_does_not_count(found: Any) -> None:
    """A count that cannot be true leaves all counts as they were."""
    counts = AnthropicUsage()
    assert not counts.take(json.dumps(found).encode())
    assert counts.usage is None
    assert counts.take(b'{"input_tokens": 3, "output_tokens": 4}')
    assert not counts.take(json.dumps(found).encode())
    assert counts.usage == Usage(3, 4)


@pytest.mark.parametrize("details", [None, [], {"thinking_tokens": -3}, {"thinking_tokens": "4"}])
def test_a_detail_that_cannot_be_read_is_passed_over(details: Any) -> None:
    """Thoughts that are not counted properly cost an answer nothing but that number."""
    found = {"input_tokens": 3, "output_tokens": 4, "output_tokens_details": details}
    assert merge(found) == Usage(3, 4)


def test_more_thoughts_than_output_are_all_of_it() -> None:
    """A part is never larger than the whole."""
    details = {"thinking_tokens": 9}
    found = {"input_tokens": 3, "output_tokens": 4, "output_tokens_details": details}
    assert merge(found) == Usage(3, 4, reasoning_tokens=4)


def test_half_of_the_counts_are_none() -> None:
    """There is no usage before both input and output are known."""
    assert merge({"input_tokens": 3}) is None
    assert merge({"output_tokens": 3}) is None
    assert merge({}) is None


def test_iterations_do_not_undo_what_was_counted_before() -> None:
    """What neither the totals nor the iterations of a later object name keeps its value."""
    first = {"input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 60}
    iterations = [{"type": "message", "output_tokens": 20}]
    assert merge(first, {"output_tokens": 20, "iterations": iterations}) == Usage(160, 20, 60)
