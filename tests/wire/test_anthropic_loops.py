"""Tests of `proxy/wire/anthropic_loops.py`."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.wire.anthropic_loops import answers_foreign_call, lacks_thoughts
from proxy.wire.json_text import MAX_NAMES

USER = {"role": "user", "content": "Hi"}
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
THOUGHT = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}
HIDDEN = {"type": "redacted_thinking", "data": "ZGF0YQ=="}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}


def said(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


@pytest.mark.parametrize(
    ("messages", "lacks"),
    [
        ([USER, said(CALL), RESULT], True),
        ([USER, said({"type": "text", "text": "So."}, CALL), RESULT], True),
        ([USER, said(CALL), RESULT, {"role": "system", "content": "Hurry."}], True),
        ([USER, said(THOUGHT, CALL), RESULT], False),
        ([USER, said(HIDDEN, CALL), RESULT], False),
        ([USER, said(CALL), RESULT, said(THOUGHT, CALL), RESULT], False),
        ([USER, said(CALL), RESULT, said({"type": "text", "text": "4"}), USER], False),
        ([USER, {"role": "assistant", "content": "Ho"}, USER], False),
        ([USER], False),
        ([RESULT], False),
        ([], False),
        ("text", False),
        ([{"role": 4}], False),
    ],
)
def test_only_the_loop_that_goes_on_must_have_thoughts(messages: Any, lacks: bool) -> None:
    """Calls of turns that are over are of no matter, and neither is what cannot be read."""
    assert lacks_thoughts(Raw(json.dumps(messages).encode())) == lacks


@pytest.mark.parametrize(
    ("text", "is_foreign"),
    [
        (b'[{"type":"tool_result","tool_use_id":"toolu_1"}]', False),
        (b'[{"type":"tool_result","tool_use_id" :\n "toolu_1"}]', False),
        (b'[{"tool_use_id":"call_1"},{"tool_use_id":"toolu_1"}]', False),
        (b'[{"tool_use_id":"toolu_1"},{"tool_use_id":"call_1"}]', True),
        (b'[{"tool_use_id"', True),
        (b'[{"role":"user","content":"Hi"}]', False),
    ],
)
def test_the_last_result_tells_whose_call_it_was(text: bytes, is_foreign: bool) -> None:
    """Claude's own calls have ids of one form; any other may be another vendor's."""
    assert answers_foreign_call(Raw(text)) == is_foreign


def test_more_blocks_than_anybody_sends_are_not_taken_apart() -> None:
    """Of millions of empty blocks nothing is said: they would fill the memory."""
    call = b'{"role":"assistant","content":[{"type":"tool_use"}' + b",{}" * MAX_NAMES + b"]}"
    assert not lacks_thoughts(Raw(b"[" + call + b"]"))
    assert lacks_thoughts(Raw(b'[{"role":"assistant","content":[{"type":"tool_use"}]}]'))
