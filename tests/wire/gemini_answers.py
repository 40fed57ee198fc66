"""Answers of Gemini, written for tests; Google's own types can read each of them."""

import json
from typing import Any

from google.genai import types

from proxy.domain.errors import ProxyError
from proxy.domain.events import Event
from proxy.wire.gemini_events import GeminiEvents

USAGE = {
    "promptTokenCount": 29,
    "candidatesTokenCount": 15,
    "thoughtsTokenCount": 804,
    "totalTokenCount": 848,
}


def candidate(*parts: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    value: dict[str, Any] = {"index": 0, **more}
    if parts:
        value["content"] = {"role": "model", "parts": list(parts)}
    if finish is not None:
        value["finishReason"] = finish
    return value


def answer(*candidates: dict[str, Any], **more: Any) -> dict[str, Any]:
    value = {
        "candidates": list(candidates),
        "modelVersion": "gemini-3-flash",
        "responseId": "r1",
        **more,
    }
    types.GenerateContentResponse.model_validate(value)
    return value


def said(*parts: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """An answer of one candidate."""
    return answer(candidate(*parts, finish=finish), **more)


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"text": words, **more}


def call(name: str, args: Any = None, **more: Any) -> dict[str, Any]:
    inner = {"name": name} if args is None else {"name": name, "args": args}
    return {"functionCall": inner | {k: v for k, v in more.items() if k == "id"}} | {
        k: v for k, v in more.items() if k != "id"
    }


def stream(*answers: Any) -> bytes:
    """The events of a stream, as `alt=sse` has them."""
    return b"".join(
        b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\r\n\r\n"
        for value in answers
    )


def read(
    *pieces: bytes, choices: int = 1, max_event_bytes: int = 1 << 20
) -> tuple[list[Event], ProxyError | None]:
    """Return what a reader says of these pieces and the end of the body."""
    reader = GeminiEvents(choices, max_event_bytes)
    events = [event for piece in pieces for event in reader.feed(piece)]
    return events + reader.finish(), reader.error
