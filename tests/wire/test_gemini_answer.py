"""Tests of `proxy/wire/gemini_answer.py`."""

import json

import pytest
from google.genai import types

from proxy.wire.gemini_answer import decode_answer, has_failed, read_finish_reason

FAILED = {
    *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"),
    *("MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE"),
}
LENGTH = {"MAX_TOKENS", "CONTINUATION"}
STOPS = {"STOP", "OTHER", "FINISH_REASON_UNSPECIFIED", "PUP_LIMITED_DISABLED"}


@pytest.mark.parametrize("word", [reason.value for reason in types.FinishReason])
def test_each_finish_reason_that_google_knows_is_mapped(word: str) -> None:
    """Limits are `length`, filters `content_filter`; all else has stopped, maybe to call tools."""
    reason = read_finish_reason(word, has_calls=False)
    if word in LENGTH:
        assert reason == "length"
    elif word in FAILED | STOPS:
        assert reason == "stop"
        assert read_finish_reason(word, has_calls=True) == "tool_calls"
    else:
        assert reason == read_finish_reason(word, has_calls=True) == "content_filter"
    assert has_failed(word) is (word in FAILED)


def test_a_reason_that_is_not_known_is_a_stop() -> None:
    """Google may add words, and says that it does."""
    assert read_finish_reason("SOMETHING_NEW", has_calls=False) == "stop"
    assert read_finish_reason("IMAGE_SOMETHING_NEW", has_calls=False) == "content_filter"
    assert not has_failed("SOMETHING_NEW")


def test_what_is_not_read_does_no_harm() -> None:
    """Members and kinds of parts that are not known are passed over."""
    value = {
        "new": 1,
        "candidates": [
            {
                "new": [],
                "content": {"role": 5, "parts": [{"new": {}}, {"inlineData": {"data": "x"}}]},
                "safetyRatings": "odd",
            }
        ],
    }
    answer = decode_answer(json.dumps(value).encode())
    assert answer.candidates is not None and answer.candidates[0].content is not None
    parts = answer.candidates[0].content.parts
    assert parts is not None and len(parts) == 2
