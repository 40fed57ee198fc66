"""What deltas and messages say."""

import json
from typing import Any

import msgspec
import pytest

from proxy.wire.openai_said import Said, count_said_bytes, holds_content


def said(**members: Any) -> Said:
    return msgspec.json.decode(json.dumps(members), type=Said)


@pytest.mark.parametrize(
    ("members", "count"),
    [
        ({}, 0),
        ({"content": None}, 0),
        ({"content": ""}, 0),
        ({"content": "four"}, 4),
        ({"content": "h\u00e9\u2026"}, 6),
        ({"content": 'a"\n'}, 3),
        ({"reasoning": "abc"}, 3),
        ({"reasoning": "abc", "reasoning_content": "abc"}, 3),
        ({"content": "ab", "reasoning_content": "abc", "refusal": "d"}, 6),
        ({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"a":1}'}}]}, 7),
        ({"tool_calls": [{"id": "c"}, {"function": None}, {"function": {"arguments": None}}]}, 0),
        ({"tool_calls": None}, 0),
        ({"tool_calls": []}, 0),
        ({"tool_calls": "odd"}, 3),
        ({"function_call": {"arguments": "ab"}}, 2),
        ({"function_call": None}, 0),
        ({"content": [{"a": 1}]}, 9),
        ({"role": "assistant", "new": "member"}, 0),
    ],
    ids=str,
)
def test_what_was_said_is_counted_in_bytes_of_its_text(members: dict[str, Any], count: int) -> None:
    """Text, reasoning once, refusals and arguments count; names, ids and escapes do not."""
    assert count_said_bytes(said(**members)) == count


@pytest.mark.parametrize("nothing", [None, "", [], {}, False, 0])
@pytest.mark.parametrize("name", Said.__struct_fields__)
def test_what_is_empty_is_no_content(name: str, nothing: object) -> None:
    """No member holds content while there is nothing in it."""
    assert not holds_content(said(**{name: nothing}))
    assert holds_content(said(**{name: "x"}))
    assert holds_content(said(**{name: [0]}))
