"""Each fault inside a well-formed answer spoils the field that its row names, no other."""

import json
from typing import Any

import pytest

from tests.simulator.asking import (
    WEATHER,
    answer_of,
    body_of,
    chat_plan,
    chunks_of,
    plan_of,
    text_of,
)

OPTIONS: dict[str, Any] = {"stream_options": {"include_usage": True}, "stream": True}


def _usages(fault: str) -> list[dict[str, Any]]:
    chunks = chunks_of(chat_plan(f"sim-fault-{fault}", **OPTIONS))
    return [chunk["usage"] for chunk in chunks if chunk.get("usage")]


@pytest.mark.parametrize(
    ("fault", "count"),
    [
        ("u33-usage-negative", -5),
        ("u33-usage-huge", 10**18),
        ("u33-usage-float", 12.5),
        ("u33-usage-zero", 0),
    ],
)
def test_usage_lies(fault: str, count: float) -> None:
    """The last chunk, or the body, reports the absurd count for every kind of token."""
    (usage,) = _usages(fault)
    whole = answer_of(chat_plan(f"sim-fault-{fault}"))["usage"]
    for report in (usage, whole):
        names = ("prompt_tokens", "completion_tokens", "total_tokens")
        assert [report[name] for name in names] == [count] * 3


def test_usage_twice() -> None:
    """Two usage chunks contradict each other, the second is right; a body has it twice."""
    first, second = _usages("u33-usage-twice")
    assert first["total_tokens"] < second["total_tokens"]
    body = body_of(chat_plan("sim-fault-u33-usage-twice"))
    pairs = json.loads(body, object_pairs_hook=list)
    half, whole = [dict(value) for name, value in pairs if name == "usage"]
    assert half["total_tokens"] < whole["total_tokens"]


def test_usage_missing() -> None:
    """No chunk and no body mentions usage, though it was asked for."""
    assert b'"usage"' not in body_of(chat_plan("sim-fault-u34-usage-missing", **OPTIONS))
    assert b'"usage"' not in body_of(chat_plan("sim-fault-u34-usage-missing"))


def test_usage_on_the_finish_chunk() -> None:
    """The chunk with the finish reason has the usage, and no other chunk comes."""
    chunks = chunks_of(chat_plan("sim-fault-quirk-usage-on-finish", **OPTIONS))
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] > 0


def test_embeddings_lie_about_usage_too() -> None:
    """Usage faults reach embeddings, which count no completion."""
    body = json.dumps({"model": "sim-fault-u33-usage-negative", "input": "x"}).encode()
    usage = answer_of(plan_of(body, "/v1/embeddings"))["usage"]
    assert usage == {"prompt_tokens": -5, "total_tokens": -5}


def test_one_choice_stays_open() -> None:
    """Two choices come though one was asked for, and only the first finishes."""
    chunks = chunks_of(chat_plan("sim-fault-u35-choice-open", stream=True))
    finished = [c["choices"][0]["index"] for c in chunks if c["choices"][0]["finish_reason"]]
    assert finished == [0]
    assert text_of(chunks, 1)
    whole = answer_of(chat_plan("sim-fault-u35-choice-open"))
    assert [choice["finish_reason"] for choice in whole["choices"]] == ["stop", None]


def test_the_role_is_repeated() -> None:
    """Every chunk of the stream says `assistant`."""
    chunks = chunks_of(chat_plan("sim-fault-quirk-repeated-role", stream=True))
    assert {chunk["choices"][0]["delta"]["role"] for chunk in chunks} == {"assistant"}


def test_content_is_a_list_of_parts() -> None:
    """In chunks and bodies the text stands in a list of parts."""
    chunks = chunks_of(chat_plan("sim-fault-quirk-content-parts", stream=True))
    (part,) = chunks[1]["choices"][0]["delta"]["content"]
    whole = answer_of(chat_plan("sim-fault-quirk-content-parts"))
    (whole_part,) = whole["choices"][0]["message"]["content"]
    assert (part["type"], whole_part["type"]) == ("text", "text")
    assert whole_part["text"].startswith(part["text"])


def test_tool_calls_have_no_index() -> None:
    """Streamed tool calls lack their index; without tools there is nothing to spoil."""
    plan = chat_plan("sim-fault-quirk-tool-no-index", stream=True, tools=[WEATHER])
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks_of(plan)]
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert len(calls) > 2
    assert not any("index" in call for call in calls)
    refused = chat_plan("sim-fault-quirk-tool-no-index", stream=True)
    assert "offer a function" in answer_of(refused)["error"]["message"]
