"""Streamed responses, taken by OpenAI's own accumulator."""

from typing import Any

import pytest
from openai import omit
from openai._models import construct_type
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent

from tests.simulator.native import events_of
from tests.simulator.responses import FUNCTIONS, read_answer, response_plan

CASES: dict[str, dict[str, Any]] = {
    "text": {"model": "sim-echo"},
    "story": {"model": "sim-story", "max_output_tokens": 5},
    "refusal": {"model": "sim-refuse"},
    "calls": {"model": "sim-tools@3calls", "tools": FUNCTIONS},
    "thoughts": {"model": "sim-echo@3thoughts", "reasoning": {"summary": "auto"}},
    "hidden": {
        "model": "sim-echo@3thoughts",
        "include": ["reasoning.encrypted_content"],
    },
    "thinking calls": {
        "model": "sim-tools@2calls,3thoughts",
        "tools": FUNCTIONS,
        "reasoning": {"summary": "detailed"},
    },
    "json": {
        "model": "sim-echo",
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}},
    },
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_stream_says_the_same_as_a_whole_response(case: dict[str, Any]) -> None:
    """Every event is one of the SDK's, in an order that it takes; ids are other ones."""
    events = events_of(response_plan(**case, stream=True))
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=[], text_format=omit)
    for event in events:
        typed: Any = construct_type(type_=ResponseStreamEvent, value=event)
        assert type(typed).__name__ != "dict"
        state.handle_event(typed)
    told, whole = events[-1]["response"], read_answer(response_plan(**case))
    assert [without_ids(item) for item in told["output"]] == [
        without_ids(item) for item in whole["output"]
    ]
    for name in ("status", "usage", "incomplete_details"):
        assert told[name] == whole[name]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_item_is_opened_and_closed_once(case: dict[str, Any]) -> None:
    """Numbers go up one by one, and what was told in deltas is told whole when it is done."""
    events = events_of(response_plan(**case, stream=True))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == [
        "response.created",
        "response.in_progress",
    ]
    opened = [e for e in events if e["type"] == "response.output_item.added"]
    closed = [e for e in events if e["type"] == "response.output_item.done"]
    assert [e["output_index"] for e in opened] == list(range(len(opened)))
    assert [e["item"]["id"] for e in opened] == [e["item"]["id"] for e in closed]
    assert [e["item"] for e in closed] == events[-1]["response"]["output"]


def without_ids(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item without what the request's own bytes decide."""
    return {name: value for name, value in item.items() if name not in ("id", "call_id")}
