"""Answers as events, and what clients of OpenAI's format make of them, for tests."""

import json
from collections.abc import Sequence
from typing import Any

from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Counted,
    Event,
    Finished,
    Said,
    Started,
)
from proxy.domain.usage import Usage
from tests.wire.chunks import DONE

STARTED = Started("a-1", "model-1", 1700000000)
COUNTED = Counted(Usage(40, 12, cached_tokens=8, cache_write_tokens=4, reasoning_tokens=3))
CALL: list[Event] = [
    CallStarted(0, "call_a", "weather"),
    CallArguments(0, '{"city":'),
    CallArguments(0, '"Oslo"}'),
    CallEnded(0),
]
TEXT: list[Event] = [STARTED, Said("Hi "), Said("there \u2013 é"), Finished("stop"), COUNTED]


def values(stream: bytes) -> list[Any]:
    """Return the decoded events of a stream that ends properly."""
    assert stream.endswith(DONE)
    lines = stream.removesuffix(DONE).split(b"\n\n")[:-1]
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def accumulate(stream: bytes) -> ChatCompletion:
    """Return what OpenAI's own stream helper makes of a stream, each chunk checked strictly."""
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for value in values(stream):
        list(state.handle_chunk(ChatCompletionChunk.model_validate(value)))
    return state.get_final_completion()


def with_calls(*more: Event) -> Sequence[Event]:
    """Return an answer that calls a tool, with these events before its calls."""
    return [STARTED, *more, *CALL, Finished("tool_calls"), COUNTED]
