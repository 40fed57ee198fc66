"""Answers in Gemini's format, read by the types of its own SDK."""

import json
from typing import Any

import pytest
from google.genai.types import GenerateContentResponse

from proxy.simulator.signature import sign_thought
from tests.simulator.asking import answer_of, body_of, status_of
from tests.simulator.native import DECLARED, events_of, gemini_plan, gemini_stream

TOOLS_AND_THOUGHTS = "sim-tools@2calls,3thoughts,4cached"


def parts_of(answer: Any) -> Any:
    return answer["candidates"][0]["content"]["parts"]


def test_an_answer_is_what_the_sdk_calls_one() -> None:
    """A whole answer has the types of the SDK; thoughts count apart from what was said."""
    answer = answer_of(gemini_plan(TOOLS_AND_THOUGHTS, tools=DECLARED))
    read = GenerateContentResponse.model_validate(answer)
    assert [call.name for call in read.function_calls or ()] == ["now", "weather"]
    usage = answer["usageMetadata"]
    assert (usage["thoughtsTokenCount"], usage["cachedContentTokenCount"]) == (3, 4)
    assert usage["totalTokenCount"] == (
        usage["promptTokenCount"] + usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
    )


def test_calls_come_whole_and_the_first_is_signed() -> None:
    """In a stream each call is one part, without `args` if it has none; one has the signature."""
    events = events_of(gemini_stream(TOOLS_AND_THOUGHTS, tools=DECLARED))
    for event in events:
        GenerateContentResponse.model_validate(event)
    parts = [part for event in events for part in parts_of(event)]
    thoughts = "".join([part["text"] for part in parts if part.get("thought")])
    calls = [part for part in parts if "functionCall" in part]
    assert calls[0] == {
        "functionCall": {"name": "now"},
        "thoughtSignature": sign_thought(thoughts),
    }
    assert calls[1] == {"functionCall": {"name": "weather", "args": {"city": "Lisbon"}}}
    assert [event for event in events if "finishReason" in event["candidates"][0]] == events[-1:]
    whole = answer_of(gemini_plan(TOOLS_AND_THOUGHTS, tools=DECLARED))
    assert events[-1]["usageMetadata"] == whole["usageMetadata"]


def test_a_text_ends_with_an_empty_part() -> None:
    """Each token is a part of its own, and the finish reason rides on an empty one."""
    events = events_of(gemini_stream("sim-echo@2thoughts"))
    last = parts_of(events[-1])
    assert last[0]["text"] == ""
    assert "thoughtSignature" in last[0]
    said = [part["text"] for event in events for part in parts_of(event) if "thought" not in part]
    assert "".join(said) == "Is it sunny in Lisbon?"


def test_a_refusal_has_no_content() -> None:
    """A model that declines ends with SAFETY and nothing said, whole or streamed."""
    whole = answer_of(gemini_plan("sim-refuse"))["candidates"][0]
    (event,) = events_of(gemini_stream("sim-refuse"))
    for candidate in (whole, event["candidates"][0]):
        assert candidate["finishReason"] == "SAFETY"
        assert "content" not in candidate


def test_candidates_have_their_index() -> None:
    """Several candidates are told apart by their index, and each of them ends."""
    events = events_of(gemini_stream("sim-echo", generationConfig={"candidateCount": 2}))
    ends = [event["candidates"][0] for event in events if "finishReason" in event["candidates"][0]]
    assert [end["index"] for end in ends] == [0, 1]
    whole = answer_of(gemini_plan("sim-echo", generationConfig={"candidateCount": 2}))
    assert [candidate["index"] for candidate in whole["candidates"]] == [0, 1]


@pytest.mark.parametrize(
    ("fault", "status", "name"),
    [
        ("u21-429-bare", 429, "RESOURCE_EXHAUSTED"),
        ("u22-quota", 402, "RESOURCE_EXHAUSTED"),
        ("u23-503", 503, "UNAVAILABLE"),
        ("u24-500", 500, "INTERNAL"),
        ("u25-401", 400, "INVALID_ARGUMENT"),
        ("u26-404", 404, "NOT_FOUND"),
        ("u27-context-length", 400, "INVALID_ARGUMENT"),
    ],
)
def test_errors_have_googles_statuses(fault: str, status: int, name: str) -> None:
    """A fault by status becomes Google's error; a bad key is a 400 there."""
    plan = gemini_plan(f"sim-fault-{fault}")
    error = answer_of(plan)["error"]
    assert (status_of(plan), error["code"], error["status"]) == (status, status, name)


@pytest.mark.parametrize(
    ("fault", "delay"), [("u21-429-seconds", "2s"), ("u21-429-ms", "0.15s"), ("u21-429-date", "")]
)
def test_the_time_to_wait_is_in_the_body(fault: str, delay: str) -> None:
    """RetryInfo says in how many seconds to come back, and no header does."""
    plan = gemini_plan(f"sim-fault-{fault}")
    (detail,) = answer_of(plan)["error"]["details"]
    assert detail["@type"].endswith("RetryInfo")
    assert detail["retryDelay"].endswith(delay or "s")


def test_a_stream_can_fail_or_be_cut_off() -> None:
    """An error object ends a stream after content; a truncated one just ends."""
    events = events_of(gemini_stream("sim-fault-u20-error-later"))
    assert parts_of(events[0])
    assert events[-1]["error"]["status"] == "UNAVAILABLE"
    body = body_of(gemini_stream("sim-fault-u10-eof-chunked"))
    assert b'"text"' in body
    assert b"finishReason" not in body


def test_usage_can_be_missing_or_come_twice() -> None:
    """Faults of usage exist here too: none at all, or a wrong one before the right one."""
    missing = "sim-fault-u34-usage-missing"
    assert b"usageMetadata" not in body_of(gemini_plan(missing))
    assert b"usageMetadata" not in body_of(gemini_stream(missing))
    pairs = json.loads(body_of(gemini_plan("sim-fault-u33-usage-twice")), object_pairs_hook=list)
    assert [name for name, _ in pairs].count("usageMetadata") == 2
