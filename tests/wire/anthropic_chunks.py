"""Events of Anthropic's streams, written for tests."""

import json
from typing import Any


def event(value: dict[str, Any]) -> bytes:
    """Return one event as Anthropic writes it, its name in a line of its own."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"event: {value['type']}\ndata: {text}\n\n".encode()


def start(**usage: Any) -> dict[str, Any]:
    counts = {"input_tokens": 12, "output_tokens": 1} | usage
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x"}
    more: dict[str, Any] = {
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": counts,
    }
    return {"type": "message_start", "message": message | more}


def block(index: int, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "content_block_start",
        "index": index,
        "content_block": {"type": kind} | more,
    }


def delta(index: int, kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind} | more}


def text(index: int, value: str) -> dict[str, Any]:
    return delta(index, "text_delta", text=value)


def arguments(index: int, value: str) -> dict[str, Any]:
    return delta(index, "input_json_delta", partial_json=value)


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def end(reason: str | None = "end_turn", usage: Any = None, **more: Any) -> dict[str, Any]:
    found = {"stop_reason": reason, "stop_sequence": None} | more
    counts = {"output_tokens": 48} if usage is None else usage
    return {"type": "message_delta", "delta": found, "usage": counts}


PING: dict[str, Any] = {"type": "ping"}
OVER: dict[str, Any] = {"type": "message_stop"}

HI = [
    start(),
    block(0, "text", text=""),
    PING,
    text(0, "Hi "),
    text(0, "ß é"),
    stop(0),
    end(),
    OVER,
]
TOOLS = [
    start(input_tokens=43, cache_read_input_tokens=7),
    block(0, "thinking", thinking="", signature=""),
    delta(0, "thinking_delta", thinking="Let me "),
    delta(0, "thinking_delta", thinking="see"),
    delta(0, "signature_delta", signature="c2ln"),
    stop(0),
    block(1, "redacted_thinking", data="ZGF0YQ=="),
    stop(1),
    block(2, "text", text=""),
    text(2, "Looking"),
    stop(2),
    block(3, "tool_use", id="toolu_1", name="find", input={}),
    arguments(3, ""),
    arguments(3, '{"a":'),
    arguments(3, "1}"),
    stop(3),
    PING,
    block(4, "tool_use", id="toolu_2", name="now", input={}),
    arguments(4, ""),
    stop(4),
    end("tool_use", {"input_tokens": 61, "output_tokens": 48}),
    OVER,
]


def stream(values: list[dict[str, Any]]) -> bytes:
    return b"".join(map(event, values))
