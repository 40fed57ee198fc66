"""Answers in Anthropic's format, read by its own SDK."""

import json
from typing import Any

import pytest
from anthropic import APIStatusError, AsyncAnthropic, RateLimitError
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from proxy.simulator.server import RunningSimulator
from tests.simulator.asking import answer_of, body_of, status_of
from tests.simulator.native import TOOLS, USER, events_of, messages_plan

EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
TOOLS_AND_THOUGHTS = "sim-tools@2calls,3thoughts,4cached"


def test_a_message_is_what_the_sdk_calls_one() -> None:
    """A whole answer has the types of the SDK, and what came from a cache counts apart."""
    answer = Message.model_validate(answer_of(messages_plan(TOOLS_AND_THOUGHTS, tools=TOOLS)))
    assert [block.type for block in answer.content] == ["thinking", "tool_use", "tool_use"]
    assert answer.stop_reason == "tool_use"
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (2, 4)
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 3
    plain = messages_plan("sim-tools", tools=TOOLS)
    assert answer_of(plain)["usage"]["input_tokens"] == 6


def test_a_stream_says_the_same_as_a_message() -> None:
    """The events have the SDK's types, and the same order and counts as the whole answer."""
    events = events_of(messages_plan(TOOLS_AND_THOUGHTS, tools=TOOLS, stream=True))
    for event in events:
        if event["type"] != "ping":
            EVENT.validate_python(event)
    starts = [event for event in events if event["type"] == "content_block_start"]
    assert [event["index"] for event in starts] == [0, 1, 2]
    kinds = [event["content_block"]["type"] for event in starts]
    assert kinds == ["thinking", "tool_use", "tool_use"]
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    whole = answer_of(messages_plan(TOOLS_AND_THOUGHTS, tools=TOOLS))
    assert events[-2]["usage"] == whole["usage"]


def test_a_call_without_arguments_has_one_empty_delta() -> None:
    """Nothing but `partial_json: ""` is sent where there are no arguments."""
    events = events_of(messages_plan("sim-tools", tools=TOOLS[:1], stream=True))
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert deltas == [{"type": "input_json_delta", "partial_json": ""}]


def test_a_refusal_has_no_blocks() -> None:
    """A model that declines says so in `stop_details` alone, whole or streamed."""
    whole = answer_of(messages_plan("sim-refuse"))
    assert (whole["content"], whole["stop_reason"]) == ([], "refusal")
    assert whole["stop_details"]["explanation"] == "I cannot help with that."
    events = events_of(messages_plan("sim-refuse", stream=True))
    assert [event["type"] for event in events] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    assert events[1]["delta"]["stop_details"] == whole["stop_details"]


def test_a_limit_stops_with_max_tokens() -> None:
    """An answer that a limit has cut says so."""
    assert answer_of(messages_plan("sim-story", max_tokens=3))["stop_reason"] == "max_tokens"


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("u22-quota", 402, "billing_error"),
        ("u23-529", 529, "overloaded_error"),
        ("u24-500", 500, "api_error"),
        ("u25-401", 401, "authentication_error"),
        ("u26-404", 404, "not_found_error"),
        ("u27-context-length", 400, "invalid_request_error"),
    ],
)
def test_errors_have_anthropics_types(fault: str, status: int, kind: str) -> None:
    """A fault by status becomes Anthropic's error, typed by that status."""
    plan = messages_plan(f"sim-fault-{fault}")
    answer = answer_of(plan)
    assert (status_of(plan), answer["type"], answer["error"]["type"]) == (status, "error", kind)


def test_a_stream_can_fail_in_the_middle() -> None:
    """The event `error` comes after content, and nothing after it."""
    events = events_of(messages_plan("sim-fault-u20-error-later", stream=True))
    assert [event["type"] for event in events][-1] == "error"
    assert events[-1]["error"]["type"] == "overloaded_error"


def test_a_stream_can_be_cut_off() -> None:
    """A truncated stream has content, and neither a stop reason nor an end."""
    body = body_of(messages_plan("sim-fault-u10-eof-chunked", stream=True))
    assert b"text_delta" in body
    assert b"message_delta" not in body
    assert b"message_stop" not in body


def test_usage_can_be_missing_or_come_twice() -> None:
    """Faults of usage exist here too: none at all, or a wrong one before the right one."""
    missing = "sim-fault-u34-usage-missing"
    assert "usage" not in answer_of(messages_plan(missing))
    assert b'"usage"' not in body_of(messages_plan(missing, stream=True))
    events = events_of(messages_plan("sim-fault-u33-usage-twice", stream=True))
    counts = [event["usage"]["output_tokens"] for event in events if "usage" in event]
    assert len(counts) == 3
    assert counts[1] < counts[2]
    body = body_of(messages_plan("sim-fault-u33-usage-twice"))
    pairs = json.loads(body, object_pairs_hook=list)
    assert [name for name, _ in pairs].count("usage") == 2


async def test_the_sdk_streams_from_the_simulator(simulator: RunningSimulator) -> None:
    """Anthropic's client accumulates a stream with thoughts and calls to what was said whole."""
    async with AsyncAnthropic(
        base_url=simulator.url, api_key="sim-test-key", max_retries=0
    ) as client:
        asked: Any = {"model": TOOLS_AND_THOUGHTS, "max_tokens": 500, "messages": USER}
        async with client.messages.stream(**{**asked, "tools": TOOLS}) as stream:
            message = await stream.get_final_message()
        assert [block.type for block in message.content] == ["thinking", "tool_use", "tool_use"]
        call = message.content[2]
        assert call.type == "tool_use"
        assert call.input == {"city": "Lisbon"}
        with pytest.raises(RateLimitError):
            await client.messages.create(**{**asked, "model": "sim-fault-u21-429-bare"})
        with pytest.raises(APIStatusError, match="overloaded"):
            async with client.messages.stream(
                **{**asked, "model": "sim-fault-u20-error-later"}
            ) as stream:
                await stream.get_final_message()
        models = await client.models.list(limit=1)
        assert models.data[0].id == "sim-echo"
        count = await client.messages.count_tokens(model="sim-echo", messages=asked["messages"])
        assert count.input_tokens == 6
