"""Streams as the vendors' own SDKs read them: events, and what their accumulators make of them."""

import json
from collections.abc import Iterator
from typing import Any

from anthropic._models import construct_type_unchecked as construct_anthropic
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from openai._models import construct_type_unchecked
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

_STEPS = ("start", "delta", "stop")
_EVENTS = {f"{kind}_{step}" for kind in ("message", "content_block") for step in _STEPS}
"""What the SDK passes on to its accumulator; it drops all others."""
EVENT: Any = RawMessageStreamEvent


def values_of(body: bytes) -> Iterator[dict[str, Any]]:
    """Return the JSON of a stream's events or lines, without its terminator."""
    for line in body.split(b"\n"):
        value = line.removeprefix(b"data: ").strip()
        if value.startswith(b"{"):
            yield json.loads(value)


def accumulate_chat(body: bytes) -> Any:
    """Return the completion that OpenAI's stream helper ends up with."""
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for value in values_of(body):
        ChatCompletionChunk.model_validate(value)
        list(state.handle_chunk(construct_type_unchecked(value=value, type_=ChatCompletionChunk)))
    return state.current_completion_snapshot


def accumulate_message(body: bytes) -> Any:
    """Return the message that Anthropic's stream helper ends up with."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for value in values_of(body):
        if value["type"] in _EVENTS:
            event: Any = construct_anthropic(value=value, type_=EVENT)
            snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    return snapshot
