"""An answer's events as the stream of a chat completion."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from proxy.domain.chat import Maker
from proxy.domain.events import (
    CallArguments,
    CallStarted,
    Cited,
    Counted,
    Event,
    Finished,
    LogProbs,
    Refused,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.new_id import build_id
from proxy.wire.openai_parts import (
    build_annotation,
    build_call,
    build_thinking_block,
    wants_function_call,
)
from proxy.wire.openai_stream import DONE_EVENT
from proxy.wire.openai_usage import build_usage

_ROLE = b'{"role":"assistant","content":"","refusal":null}'
_NOTHING = b"{}"
_NOT_FINISHED = b',"finish_reason":null}]}\n\n'
_SIGNING: Maker = "anthropic"
"""Whose thoughts are no good without their signature, so that both are shown as one block."""
_OLD = CallArguments | CallStarted | Finished
"""What the deprecated form of calls has other words for."""

_encode = msgspec.json.encode


class _Choice(Struct):
    """What has been sent of one choice."""

    text_length: int = 0
    blocks: int = 0
    annotations: int = 0


class OpenAIChunks:
    """
    The EventWriter (see `wire/dialect.py`) for clients of chat completions.

    Each event becomes a chunk of its own. Clients join the strings of all deltas member by
    member and find items of lists by their `index`: role, ids and names are sent once.

    Source: wire-formats §2.3; tests/wire/test_openai_chunks.py.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._head = b""
        """Of every chunk, up to its choices; made when there is something to send."""
        self._started = Started()
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._has_old_calls = wants_function_call(ask)

    def write(self, events: Sequence[Event]) -> bytes:
        """Return the chunks of events (see `wire/dialect.py`)."""
        out = []
        for event in events:
            if isinstance(event, Counted):
                self._usage = event.usage
            elif isinstance(event, Started):
                self._started = event
            else:
                choice = self._choices.get(event.choice)
                if choice is None:
                    choice = self._choices[event.choice] = _Choice()
                    out.append(self._build_chunk(event.choice, _ROLE))
                if self._has_old_calls and isinstance(event, _OLD):
                    out.append(self._write_old(event))
                else:
                    out.append(self._write(event, choice))
        return b"".join(out)

    def finish(self) -> bytes:
        """Return usage, if the client wants it, and the end (see `wire/dialect.py`)."""
        if self._usage is None or not self._ask.wants_usage:
            return DONE_EVENT
        usage = build_usage(self._usage)
        return self._find_head() + b'],"usage":' + usage + b"}\n\n" + DONE_EVENT

    def _write(self, event: Event, choice: _Choice) -> bytes:
        if isinstance(event, Said):
            choice.text_length += len(event.text)
            return self._build_chunk(event.choice, b'{"content":' + _encode(event.text) + b"}")
        if isinstance(event, CallArguments):
            piece = {"index": event.index, "function": {"arguments": event.text}}
            return self._build_delta(event.choice, {"tool_calls": [piece]})
        if isinstance(event, Thinking):
            return self._build_delta(event.choice, _build_thought(event, choice))
        if isinstance(event, ThoughtEnded):
            return self._end_thought(event, choice)
        if isinstance(event, CallStarted):
            call = build_call(event.id, event.name, "", event.signature)
            return self._build_delta(event.choice, {"tool_calls": [{"index": event.index, **call}]})
        if isinstance(event, Refused):
            return self._build_delta(event.choice, {"refusal": event.text})
        if isinstance(event, Cited):
            return self._cite(event, choice)
        if isinstance(event, LogProbs):
            end = b',"logprobs":' + bytes(event.raw) + _NOT_FINISHED
            return self._build_chunk(event.choice, _NOTHING, end)
        if isinstance(event, Finished):
            return self._finish(event.choice, event.reason)
        return b""

    def _write_old(self, event: CallArguments | CallStarted | Finished) -> bytes:
        """Return the chunk of an event for a client that knows one call, in `function_call`."""
        if isinstance(event, Finished):
            is_call = event.reason == "tool_calls"
            return self._finish(event.choice, "function_call" if is_call else event.reason)
        if event.index:
            return b""
        call = (
            {"arguments": event.text} if isinstance(event, CallArguments) else {"name": event.name}
        )
        return self._build_delta(event.choice, {"function_call": {"arguments": "", **call}})

    def _finish(self, choice: int, reason: str) -> bytes:
        end = b',"finish_reason":"' + reason.encode() + b'"}]}\n\n'
        return self._build_chunk(choice, _NOTHING, end)

    def _end_thought(self, event: ThoughtEnded, choice: _Choice) -> bytes:
        if event.signature is None:
            return b""
        redacted = event.is_redacted
        block = build_thinking_block("", event.maker, event.signature, is_redacted=redacted)
        index = choice.blocks
        choice.blocks += 1
        return self._build_delta(event.choice, {"thinking_blocks": [{"index": index, **block}]})

    def _cite(self, event: Cited, choice: _Choice) -> bytes:
        annotation = build_annotation(event.citation, choice.text_length)
        if annotation is None:
            return b""
        annotation["index"] = choice.annotations
        choice.annotations += 1
        return self._build_delta(event.choice, {"annotations": [annotation]})

    def _build_delta(self, choice: int, delta: Mapping[str, object]) -> bytes:
        return self._build_chunk(choice, _encode(delta))

    def _build_chunk(self, choice: int, delta: bytes, end: bytes = _NOT_FINISHED) -> bytes:
        return b'%b{"index":%d,"delta":%b%b' % (self._find_head(), choice, delta, end)

    def _find_head(self) -> bytes:
        if not self._head:
            self._head = build_chunk_head(
                self._ask, self._started, b"chat.completion.chunk", "chatcmpl-"
            )
        return self._head


def build_chunk_head(ask: Ask, started: Started, kind: bytes, id_prefix: str) -> bytes:
    """
    Return what all chunks of a stream begin with, up to and with the bracket of their choices.

    Args:
        ask: what was asked; it stands in for what the provider has not said.
        started: what the provider has said.
        kind: the value of `object`.
        id_prefix: what an id of ours begins with.
    """
    return b'data: {"id":%b,"object":"%b","created":%d,"model":%b,"choices":[' % (
        _encode(started.id or build_id(id_prefix)),
        kind,
        started.created or ask.asked_at,
        _encode(started.model or ask.model),
    )


def _build_thought(event: Thinking, choice: _Choice) -> dict[str, object]:
    delta: dict[str, object] = {"reasoning_content": event.text}
    if event.maker == _SIGNING:
        # Piece by piece, so that nothing has to be kept for the signature at the end.
        block = build_thinking_block(event.text, event.maker, None, is_redacted=False)
        delta["thinking_blocks"] = [{"index": choice.blocks, **block}]
    return delta
