"""Events of OpenAI's streams, written for tests."""

import json
from typing import Any

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def chunk(
    delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any
) -> dict[str, Any]:
    index = more.pop("index", 0)
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    } | more


def usage_chunk(**more: Any) -> dict[str, Any]:
    return chunk() | {"choices": [], "usage": USAGE} | more


ROLE = event(chunk({"role": "assistant", "content": "", "refusal": None}, usage=None))
HI = event(chunk({"content": "Hi"}, usage=None))
STOP = event(chunk({}, "stop", usage=None))
USAGE_EVENT = event(usage_chunk())
REGULAR = ROLE + HI + event(chunk({"content": " \u2013 é"})) + STOP
