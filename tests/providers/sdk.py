"""OpenAI's own accumulator, as its stream helper runs it over what a client receives."""

import json
from typing import Any

from openai._models import construct_type_unchecked
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from proxy.providers.quirks import open_repair
from proxy.wire.base import Ask
from proxy.wire.openai_stream import OpenAIStream
from tests.wire.chunks import chunk, event


def accumulate(values: list[dict[str, Any]], *, is_whole: bool = True) -> dict[str, Any]:
    """
    Return the first choice's message, and its finish reason, as the helper ends up with.

    Without `is_whole` it need not have come to its own end: the helper refuses one that is cut.
    """
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for value in values:
        # The SDK builds its events without validating them, and so does this.
        list(state.handle_chunk(construct_type_unchecked(value=value, type_=ChatCompletionChunk)))
    final = state.get_final_completion() if is_whole else state.current_completion_snapshot
    choice = final.choices[0]
    return choice.message.to_dict() | {"finish_reason": choice.finish_reason}


def repair(values: list[dict[str, Any]], quirk: str = "regular") -> list[dict[str, Any]]:
    """Return what a client receives of a provider's events, as decoded values."""
    reader = OpenAIStream(Ask("chat", "m", {}, streams=True), 1 << 20, open_repair(quirk))
    out = reader.feed(b"".join(event(value) for value in values)) + reader.finish()
    assert reader.error is None
    lines = [line[6:] for line in out.split(b"\n\n")[:-1]]
    assert lines.pop() == b"[DONE]"
    return [json.loads(line) for line in lines]


def deltas(*found: dict[str, Any], finish: str = "stop") -> list[dict[str, Any]]:
    """A stream of these deltas and its finish reason."""
    return [*(chunk(delta) for delta in found), chunk({}, finish)]
