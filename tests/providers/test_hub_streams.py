"""
Streams of OpenAI's format as they may come, for clients of Anthropic's, responses and completions.

Each is put together by chance from what servers of that format send, cut off or broken at times.
The chances are the same in each run.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from proxy.domain.exchange import Operation
from proxy.providers.registry import find_type
from proxy.wire.dialects import find_dialect
from tests.wire import responses_client
from tests.wire.anthropic_client import split_events
from tests.wire.chunks import DONE, event
from tests.wire.splits import cut, read_all

STREAMS = 250
EVENTS: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4},
}
BEGUN = {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}
SECOND = {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}
DELTAS: list[Any] = [
    *({"role": "assistant"}, {"content": "é\n"}, {"content": ""}, {"content": None}, {}, []),
    *({"reasoning_content": "r"}, {"reasoning": "r"}, {"refusal": "no"}),
    {"content": [{"type": "text", "text": "x"}]},
    *({"tool_calls": [BEGUN]}, {"tool_calls": [SECOND]}),
    {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
    {"tool_calls": [{"index": 5, "id": "c", "function": {"name": "h", "arguments": {"x": 1}}}]},
    {"tool_calls": [{"index": 7, "id": "a", "function": {"name": "twin", "arguments": "{}"}}]},
    *({"tool_calls": [{"id": "z", "function": {"name": "k"}}]}, {"tool_calls": [None, {}]}),
    {"function_call": {"name": "old", "arguments": "{}"}},
    {"annotations": [{"url_citation": {"url": "http://a.example"}}, {"x": 1}]},
    {"thinking_blocks": [{"type": "thinking", "thinking": "T", "signature": "s"}]},
    {"thinking_blocks": [{"type": "redacted_thinking", "data": "d"}], "content": "c"},
]
REASONS = ["stop", "stop", "length", "tool_calls", "content_filter", "function_call", "odd", None]


def chunk(*choices: Any, **more: Any) -> bytes:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return event({**head, "choices": choices, **more})


def draw(chance: random.Random) -> bytes:
    """Return a stream, whole or not."""
    events = []
    for _ in range(chance.randint(0, 8)):
        choice: dict[str, Any] = {"index": 0, "delta": chance.choice(DELTAS), "finish_reason": None}
        if chance.random() < 0.1:
            choice["logprobs"] = {"content": [chance.choice([None, {}, {"token": "a"}])]}
        events.append(chunk(choice))
    if chance.random() < 0.9:
        reason = chance.choice(REASONS)
        events.append(chunk({"index": 0, "delta": {}, "finish_reason": reason}))
    if chance.random() < 0.5:
        events.append(chunk(usage=USAGE))
    if chance.random() < 0.1:
        error = event({"error": {"message": "boom", "type": "server_error"}})
        events.insert(chance.randint(0, len(events)), error)
    stream = b"".join(events) + (DONE if chance.random() < 0.7 else b"")
    return stream[: chance.randint(0, len(stream))] if chance.random() < 0.2 else stream


def receive(operation: Operation, stream: bytes, **asked: Any) -> tuple[bytes, bool]:
    """Return what the client gets, and whether it is an answer that ended well."""
    body = json.dumps({"model": "m", "stream": True, **asked}).encode()
    ask = find_dialect(operation).parse_ask(operation, body, {})
    reader = find_type("deepseek").open_stream(ask, 1 << 20)
    out = read_all(reader, cut(stream, list(range(0, len(stream), 50))))
    return out, reader.error is None


def draw_streams(seed: int) -> Iterator[tuple[bytes, random.Random]]:
    chance = random.Random(seed)
    for _ in range(STREAMS):
        yield draw(chance), chance


@pytest.mark.parametrize("seed", range(3))
def test_blocks_come_in_order_or_not_at_all(seed: int) -> None:
    """Whatever comes, blocks do not overlap, and only an answer that is whole has an end."""
    ends = 0
    for stream, chance in draw_streams(seed):
        omitted = {"type": "adaptive", "display": "omitted"}
        thinking = chance.choice([None, {"type": "adaptive"}, omitted])
        out, is_good = receive(
            "messages",
            stream,
            max_tokens=9,
            messages=[{"role": "user", "content": "hi"}],
            thinking=thinking,
        )
        values = split_events(out)
        kinds = [value["type"] for value in values]
        assert (kinds[-1:] == ["message_stop"]) == is_good, stream
        ends += is_good
        check_order(values)
        if not is_good:
            continue
        begun = [value["content_block"] for value in values if "content_block" in value]
        calls = [block["id"] for block in begun if block["type"] == "tool_use"]
        assert len(set(calls)) == len(calls)
        assert calls or values[-2]["delta"]["stop_reason"] != "tool_use", stream
    assert STREAMS / 3 < ends < STREAMS


def check_order(values: list[dict[str, Any]]) -> None:
    """Each block opens and closes once, one after the other, between the message's own events."""
    place, is_open = -1, False
    for position, value in enumerate(values):
        EVENTS.validate_python(value)
        kind = value["type"]
        assert (kind == "message_start") == (position == 0)
        if kind == "content_block_start":
            place += 1
            assert (value["index"], is_open) == (place, False)
            is_open = True
        elif kind.startswith("content_block"):
            assert (value["index"], is_open) == (place, True)
            is_open = kind != "content_block_stop"
        elif kind in ("message_delta", "message_stop"):
            assert (is_open, position) == (False, len(values) - 1 - (kind == "message_delta"))


@pytest.mark.parametrize("seed", range(3))
def test_completions_end_once_or_not_at_all(seed: int) -> None:
    """Whatever comes, the terminator stands behind an answer that is whole, and nowhere else."""
    for stream, chance in draw_streams(seed):
        is_asked = chance.random() < 0.5
        options = {"include_usage": True} if is_asked else None
        out, is_good = receive("completions", stream, prompt="hi", stream_options=options)
        assert out.count(DONE) == is_good
        values = [
            json.loads(line[6:]) for line in out.split(b"\n\n") if line.startswith(b"data: {")
        ]
        assert len({(value["id"], value["created"], value["model"]) for value in values}) <= 1
        counted = [value for value in values if value.get("usage")]
        assert len(counted) == (is_asked and is_good)


@pytest.mark.parametrize("seed", range(3))
def test_items_come_in_order_or_not_at_all(seed: int) -> None:
    """Whatever comes, what begins in a response ends in it, and its end is an answer's alone."""
    ends = 0
    for stream, chance in draw_streams(seed):
        reasoning = chance.choice([None, {"effort": "low"}, {"effort": "low", "summary": "auto"}])
        out, is_good = receive("responses", stream, input="hi", reasoning=reasoning)
        events = responses_client.split_events(out)
        ends += is_good
        if is_good:
            response = responses_client.check_invariants(events)
            calls = [item["call_id"] for item in response["output"] if "call_id" in item]
            assert len(set(calls)) == len(calls)
        else:
            kinds = {event["type"] for event in events}
            assert not kinds & {"response.completed", "response.incomplete"}, stream
    assert STREAMS / 3 < ends < STREAMS
