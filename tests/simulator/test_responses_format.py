"""Responses as OpenAI writes them, read by its own SDK."""

from typing import Any

import pytest
from openai.types.responses import Response

from proxy.simulator.responses_format import RESPONSES
from proxy.simulator.wire_format import Words
from tests.simulator.asking import body_of, status_of
from tests.simulator.native import events_of
from tests.simulator.responses import FUNCTIONS, read_answer, response_plan

TOOLS_AND_THOUGHTS = "sim-tools@2calls,3thoughts,4cached"
SHOWN: dict[str, Any] = {
    "reasoning": {"summary": "auto"},
    "include": ["reasoning.encrypted_content"],
}


def test_a_response_is_what_the_sdk_calls_one() -> None:
    """With items of each kind, usage with its details, and what was asked."""
    raw = read_answer(
        response_plan(TOOLS_AND_THOUGHTS, tools=FUNCTIONS, instructions="Be brief", **SHOWN)
    )
    answer = Response.model_validate(raw)
    assert [item.type for item in answer.output] == ["reasoning", "function_call", "function_call"]
    assert raw["output"][0]["summary"][0]["text"].startswith(" Let me")
    assert raw["output"][0]["encrypted_content"].startswith("gAAAA")
    assert len({item["id"] for item in raw["output"]}) == 3
    assert answer.usage is not None
    assert answer.usage.output_tokens_details.reasoning_tokens == 3
    assert answer.usage.input_tokens_details.cached_tokens == 4
    assert (answer.status, answer.instructions, len(answer.tools)) == ("completed", "Be brief", 2)


def test_thoughts_are_hidden_unless_they_are_asked_for() -> None:
    """An item says that there was one, and no more."""
    raw = read_answer(response_plan("sim-echo@3thoughts"))
    thought, message = raw["output"]
    assert thought["summary"] == []
    assert "encrypted_content" not in thought
    assert message["content"][0]["text"] == "Is it sunny in Lisbon?"


def test_a_limit_makes_a_response_incomplete() -> None:
    """And a model that declines says so in a part of its own."""
    raw = read_answer(response_plan("sim-story", max_output_tokens=3))
    assert (raw["status"], raw["incomplete_details"]) == (
        "incomplete",
        {"reason": "max_output_tokens"},
    )
    declined = read_answer(response_plan("sim-refuse"))
    assert declined["output"][0]["content"] == [
        {"type": "refusal", "refusal": "I cannot help with that."}
    ]


def test_tokens_are_counted_without_an_answer() -> None:
    """The number has a shape of its own."""
    plan = response_plan("sim-echo", "one two", path="/v1/responses/input_tokens")
    assert read_answer(plan) == {"object": "response.input_tokens", "input_tokens": 2}


@pytest.mark.parametrize("streams", [False, True])
def test_a_response_can_fail_with_status_200(streams: bool) -> None:
    """Whole, or in the event that ends its stream."""
    plan = response_plan("sim-fault-u19-failed", stream=streams)
    assert status_of(plan) == 200
    failed = events_of(plan)[-1]["response"] if streams else read_answer(plan)
    assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")


def test_errors_are_openais() -> None:
    """As an answer, or in an event."""
    status, headers, body = RESPONSES.build_error(429, Words("slow down", "requests"))
    assert (status, dict(headers)["content-type"]) == (429, "application/json")
    assert body.startswith(b'{"error":{"message":"slow down"')
    assert b"event: error\n" in RESPONSES.frame_error(Words("no", "server_error"))
    first = events_of(response_plan("sim-fault-u19-error-first", stream=True))[0]
    assert (first["type"], first["error"]["code"]) == ("error", "overloaded")


def test_a_broken_event_is_no_json() -> None:
    """It ends in the middle of a text."""
    stream = body_of(response_plan("sim-fault-u12-bad-json", stream=True))
    assert b'"delta":"oh\n\n' in stream
