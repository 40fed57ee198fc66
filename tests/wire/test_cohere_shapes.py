"""Tests of `proxy/wire/cohere_shapes.py`."""

import pytest

from proxy.domain.events import FinishReason
from proxy.wire.cohere_shapes import decode_event, is_new, read_finish_reason


def test_unknown_members_are_passed_over() -> None:
    """Tomorrow's fields cost an event nothing."""
    event = decode_event(b'{"type":"message-end","new":[1],"delta":{"finish_reason":"X","a":{}}}')
    assert event.delta is not None
    assert (event.type, event.delta.finish_reason) == ("message-end", "X")


@pytest.mark.parametrize(
    ("data", "new"),
    [
        (b'{"type":"debug","delta":3}', True),
        (b'{"type":"content-delta","delta":3}', False),
        (b'{"delta":3}', False),
    ],
)
def test_only_a_type_that_is_not_known_is_new(data: bytes, new: bool) -> None:
    """An event that we know must have the shape that we know."""
    assert is_new(data) is new


@pytest.mark.parametrize(
    ("word", "has_calls", "reason"),
    [
        ("COMPLETE", False, "stop"),
        ("COMPLETE", True, "tool_calls"),
        ("STOP_SEQUENCE", False, "stop"),
        ("MAX_TOKENS", True, "length"),
        ("TOOL_CALL", True, "tool_calls"),
        ("TOOL_CALL", False, "stop"),
        ("ERROR_TOXIC", False, "content_filter"),
        ("ERROR_LIMIT", False, "length"),
        ("tomorrow's", False, "stop"),
    ],
)
def test_each_end_has_its_reason(word: str, has_calls: bool, reason: FinishReason) -> None:
    """Clients get the reason that they know for what Cohere says."""
    assert read_finish_reason(word, has_calls=has_calls) == reason
