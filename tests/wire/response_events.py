"""Events of the Responses API, as OpenAI sends them."""

import json
from typing import Any

USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 2},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 14,
}
REASONING = {"id": "rs_1", "type": "reasoning", "summary": []}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "Hi thére"}],
}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "look",
    "arguments": '{"at":1}',
}


def response(status: str = "completed", *output: Any, **more: Any) -> dict[str, Any]:
    """Return a response object; its usage is told once it is over."""
    is_over = status not in ("in_progress", "queued")
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": None,
        "model": "m",
        "output": list(output),
        "store": True,
        "usage": USAGE if is_over else None,
    } | more


def event(kind: str, number: int = 0, **fields: Any) -> bytes:
    """Return one event."""
    data = {"type": kind, "sequence_number": number, **fields}
    encoded = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), encoded)


CREATED = event("response.created", response=response("in_progress"))
IN_PROGRESS = event("response.in_progress", 1, response=response("in_progress"))
THINKS = event("response.output_item.added", 2, output_index=0, item=REASONING)
OPENED = event(
    "response.output_item.added", 3, output_index=1, item=MESSAGE | {"content": []}
) + event(
    "response.content_part.added",
    4,
    item_id="msg_1",
    output_index=1,
    content_index=0,
    part={"type": "output_text", "annotations": [], "text": ""},
)
START = CREATED + IN_PROGRESS + THINKS + OPENED
"""All that comes before the first content."""


def said(text: str, number: int = 5) -> bytes:
    """Return an event that says more."""
    return event(
        "response.output_text.delta",
        number,
        item_id="msg_1",
        output_index=1,
        content_index=0,
        delta=text,
    )


ITEM_DONE = event("response.output_item.done", 8, output_index=1, item=MESSAGE)
COMPLETED = event("response.completed", 9, response=response("completed", REASONING, MESSAGE))
REGULAR = START + said("Hi ") + said("th\u00e9re", 6) + ITEM_DONE + COMPLETED
"""A whole stream."""
