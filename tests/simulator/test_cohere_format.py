"""Answers in Cohere's format."""

import json
from typing import Any

import pytest

from proxy.simulator.cohere_format import COHERE
from proxy.simulator.generator import build_plan
from tests.simulator.asking import NOW, answer_of, body_of, status_of
from tests.simulator.native import COHERES, cohere_plan, events_of

TOOLS_AND_THOUGHTS = "sim-tools@2calls,3thoughts,4cached"


def kinds_of(events: list[Any]) -> list[str]:
    """Return the types of events, each run of the same one once."""
    kinds = [event["type"] for event in events]
    return [kind for place, kind in enumerate(kinds) if place == 0 or kinds[place - 1] != kind]


def test_a_stream_begins_and_ends_all_that_is_in_it() -> None:
    """A block of text stands between its start and its end, and the message around it."""
    events = events_of(cohere_plan("sim-echo", stream=True))
    assert kinds_of(events) == [
        *("message-start", "content-start", "content-delta", "content-end", "message-end"),
    ]
    deltas = [event["delta"] for event in events if event["type"] == "content-delta"]
    said = "".join([delta["message"]["content"]["text"] for delta in deltas])
    assert said == "Is it sunny in Lisbon?"
    assert events[-1]["delta"]["finish_reason"] == "COMPLETE"
    assert events[0]["id"] == events[-1]["id"]


def test_thoughts_and_calls_are_events_of_their_own() -> None:
    """A call without arguments has no delta; usage comes with the end."""
    events = events_of(cohere_plan(TOOLS_AND_THOUGHTS, stream=True, tools=COHERES))
    assert kinds_of(events) == [
        *("message-start", "content-start", "content-delta", "content-end"),
        *("tool-call-start", "tool-call-end"),
        *("tool-call-start", "tool-call-delta", "tool-call-end", "message-end"),
    ]
    starts = [event for event in events if event["type"] == "tool-call-start"]
    assert [event["index"] for event in starts] == [0, 1]
    pieces = [
        event["delta"]["message"]["tool_calls"] for event in events if "call-d" in event["type"]
    ]
    arguments = "".join([piece["function"]["arguments"] for piece in pieces])
    assert json.loads(arguments) == {"city": "Lisbon"}
    end = events[-1]["delta"]
    whole = answer_of(cohere_plan(TOOLS_AND_THOUGHTS, tools=COHERES))
    assert end["finish_reason"] == whole["finish_reason"] == "TOOL_CALL"
    assert end["usage"] == whole["usage"]
    assert end["usage"]["cached_tokens"] == 4
    assert end["usage"]["billed_units"]["input_tokens"] < end["usage"]["tokens"]["input_tokens"]


def test_a_whole_answer_says_the_same() -> None:
    """A call without arguments has the text null for them."""
    message = answer_of(cohere_plan(TOOLS_AND_THOUGHTS, tools=COHERES))["message"]
    assert message["content"] == [{"type": "thinking", "thinking": " Let me see"}]
    arguments = [call["function"]["arguments"] for call in message["tool_calls"]]
    assert arguments == ["null", '{"city":"Lisbon"}']


def test_a_limit_cuts_a_call() -> None:
    """What has come of its arguments is told."""
    events = events_of(cohere_plan("sim-tools", stream=True, tools=COHERES[1:], max_tokens=2))
    pieces = [
        event["delta"]["message"]["tool_calls"] for event in events if "call-d" in event["type"]
    ]
    assert [piece["function"]["arguments"] for piece in pieces] == ["{"]
    assert events[-1]["delta"]["finish_reason"] == "MAX_TOKENS"


def test_vectors_stand_by_their_type() -> None:
    """As many as there were texts, with what is billed."""
    body = {"model": "sim-embed", "input_type": "search_query", "texts": ["a", "b"]}
    asked = json.dumps(body | {"embedding_types": ["float"], "output_dimension": 8}).encode()
    plan = build_plan("POST", "/v2/embed", asked, created_at=NOW, face="http")
    answer = answer_of(plan)
    assert [len(vector) for vector in answer["embeddings"]["float"]] == [8, 8]
    assert answer["meta"]["billed_units"] == {"input_tokens": 2}


@pytest.mark.parametrize(
    ("fault", "status", "word"),
    [
        ("u21-429-seconds", 429, "Too many requests"),
        ("u22-quota", 402, "payment method"),
        ("u25-401", 401, "invalid api token"),
        ("u27-context-length", 400, "too many tokens"),
    ],
)
def test_an_error_is_nothing_but_words(fault: str, status: int, word: str) -> None:
    """There is no code in it."""
    plan = cohere_plan(f"sim-fault-{fault}")
    assert status_of(plan) == status
    answer = answer_of(plan)
    assert set(answer) == {"id", "message"} and word in answer["message"]


def test_a_stream_that_fails_says_so_at_its_end() -> None:
    """Its last event has an error, and a reason that is none."""
    last = events_of(cohere_plan("sim-fault-u20-error-later", stream=True))[-1]
    assert last["type"] == "message-end"
    assert last["delta"]["error"] and last["delta"]["finish_reason"] == "ERROR"


def test_a_broken_event_never_ends() -> None:
    """It is cut in the middle of a text."""
    assert COHERE.broken_frame.startswith(b"event: content-delta\ndata: {")
    with pytest.raises(ValueError):
        json.loads(COHERE.broken_frame.partition(b"data: ")[2])


def test_whether_a_key_is_good_can_be_asked() -> None:
    """By a POST without a body."""
    plan = build_plan("POST", "/v1/check-api-key", b"", created_at=NOW, face="http")
    assert body_of(plan) == b'{"valid":true}'
    wrong = build_plan("GET", "/v1/check-api-key", b"", created_at=NOW, face="http")
    assert status_of(wrong) == 405
