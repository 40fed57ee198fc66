"""Tests of `proxy/wire/gemini_usage.py`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.usage import Usage
from proxy.wire.gemini_usage import parse_gemini_usage


def parse(**counts: Any) -> Usage | None:
    return parse_gemini_usage(json.dumps(counts).encode())


def test_thoughts_are_added_to_what_is_said() -> None:
    """The counts of a recorded answer, 29 + 15 + 804 = 848, come out as OpenAI's would."""
    usage = parse(
        promptTokenCount=29, candidatesTokenCount=15, thoughtsTokenCount=804, totalTokenCount=848
    )
    assert usage == Usage(29, 819, reasoning_tokens=804)
    assert usage.total_tokens == 848


def test_thoughts_that_are_counted_among_the_candidates_are_not_added_again() -> None:
    """Where prompt and candidates are the total already, thoughts are within."""
    usage = parse(
        promptTokenCount=29, candidatesTokenCount=819, thoughtsTokenCount=804, totalTokenCount=848
    )
    assert usage == Usage(29, 819, reasoning_tokens=804)


def test_without_a_total_thoughts_are_taken_to_stand_outside() -> None:
    """Google's own convention counts unless the total tells otherwise."""
    usage = parse(promptTokenCount=1, candidatesTokenCount=2, thoughtsTokenCount=3)
    assert usage == Usage(1, 5, reasoning_tokens=3)


def test_what_tools_put_in_counts_as_the_prompts() -> None:
    """Tokens of Google's own tools are input; the check for thoughts knows them, too."""
    outside = parse(
        promptTokenCount=10,
        toolUsePromptTokenCount=5,
        candidatesTokenCount=7,
        thoughtsTokenCount=3,
        totalTokenCount=25,
    )
    assert outside == Usage(15, 10, reasoning_tokens=3)
    inside = parse(
        promptTokenCount=10,
        toolUsePromptTokenCount=5,
        candidatesTokenCount=7,
        thoughtsTokenCount=3,
        totalTokenCount=22,
    )
    assert inside == Usage(15, 7, reasoning_tokens=3)


def test_cached_tokens_are_part_of_the_prompt() -> None:
    """They are within the prompt's count, and never more than it."""
    usage = parse(promptTokenCount=10, cachedContentTokenCount=8, candidatesTokenCount=1)
    assert usage == Usage(10, 1, cached_tokens=8)
    assert parse(promptTokenCount=10, cachedContentTokenCount=80) == Usage(10, 0, cached_tokens=10)
    assert parse(promptTokenCount=10, cachedContentTokenCount=-1) == Usage(10, 0)


@pytest.mark.parametrize("counts", [{}, {"trafficType": "ON_DEMAND"}, {"totalTokenCount": 3}])
def test_early_events_may_have_no_counts_yet(counts: dict[str, Any]) -> None:
    """An object without a prompt's count is no fault, and no usage."""
    assert parse(**counts) is None


def test_a_missing_count_is_zero() -> None:
    """JSON of Google leaves out what is 0: an answer that was refused has no candidates."""
    assert parse(promptTokenCount=4, totalTokenCount=4) == Usage(4, 0)


@pytest.mark.parametrize(
    "counts",
    [
        {"promptTokenCount": -1},
        {"promptTokenCount": 1, "candidatesTokenCount": -1},
        {"promptTokenCount": 1, "thoughtsTokenCount": -5, "candidatesTokenCount": 9},
        {"promptTokenCount": 9, "toolUsePromptTokenCount": -5, "candidatesTokenCount": 9},
        {"promptTokenCount": "1"},
        {"promptTokenCount": 1.5},
        {"promptTokenCount": 10**10},
        {"promptTokenCount": 1, "candidatesTokenCount": 10**10},
        {"candidatesTokenCount": 5},
    ],
)
def test_counts_that_cannot_be_billed_from_are_refused(counts: dict[str, Any]) -> None:
    """Negative, fractional, huge or lone counts raise, so that they are marked and estimated."""
    with pytest.raises(ValueError):
        parse(**counts)


_COUNTS = st.one_of(st.none(), st.integers(-5, 2_000_000_000))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: _COUNTS
            for name in (
                *("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"),
                *("toolUsePromptTokenCount", "cachedContentTokenCount", "totalTokenCount"),
            )
        },
    )
)
def test_whatever_is_counted_details_fit_into_their_totals(counts: dict[str, Any]) -> None:
    """A usage that is returned is one that can be billed from."""
    try:
        usage = parse(**counts)
    except ValueError:
        return
    if usage is not None:
        assert 0 <= usage.cached_tokens <= usage.input_tokens
        assert 0 <= usage.reasoning_tokens <= usage.output_tokens
