"""Pieces of Cohere's answers, as its API writes them."""

import json
from typing import Any

ID = "c14c80c3-18eb-4519-9460-6c92edd8cfb4"
START: dict[str, Any] = {
    "type": "message-start",
    "id": ID,
    "delta": {"message": {"role": "assistant", "content": [], "tool_calls": []}},
}
USAGE: dict[str, Any] = {
    "billed_units": {"input_tokens": 3, "output_tokens": 11},
    "tokens": {"input_tokens": 9, "output_tokens": 11},
}


def stream(*events: dict[str, Any]) -> bytes:
    """Return the bytes of a stream of these events."""
    return b"".join(
        [b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events]
    )


def content(kind: str, text: str, name: str = "content-delta", index: int = 0) -> dict[str, Any]:
    """Return an event with a piece of text, or of a thought."""
    said = {kind: text, **({"type": kind} if name == "content-start" else {})}
    return {"type": name, "index": index, "delta": {"message": {"content": said}}}


def call(kind: str, index: int = 0, **function: Any) -> dict[str, Any]:
    """Return an event of a call."""
    called = {"function": function, **({"id": f"c{index}"} if kind.endswith("start") else {})}
    return {"type": kind, "index": index, "delta": {"message": {"tool_calls": called}}}


def end(reason: str | None = "COMPLETE", **more: Any) -> dict[str, Any]:
    """Return the last event."""
    return {"type": "message-end", "delta": {"finish_reason": reason, "usage": USAGE, **more}}


def whole(reason: str | None = "COMPLETE", **message: Any) -> dict[str, Any]:
    """Return a whole answer."""
    return {
        "id": ID,
        "message": {"role": "assistant", **message},
        "finish_reason": reason,
        "usage": USAGE,
    }
