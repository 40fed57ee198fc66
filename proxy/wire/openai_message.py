"""An answer's events as one whole chat completion."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.events import Event, Finished
from proxy.wire.base import Ask
from proxy.wire.gathered_answer import GatheredChoice, gather_answer
from proxy.wire.json_text import build_object
from proxy.wire.new_id import build_id
from proxy.wire.openai_parts import (
    build_annotation,
    build_call,
    build_thinking_block,
    wants_function_call,
)
from proxy.wire.openai_usage import build_usage


class _LogProbs(Struct):
    content: list[Raw] | None = None
    refusal: list[Raw] | None = None


_encode = msgspec.json.encode
_decode_log_probs = msgspec.json.Decoder(_LogProbs).decode


def write_openai_answer(ask: Ask, events: Sequence[Event]) -> bytes:
    """
    Return the chat completion that the events of an answer come to.

    Args:
        ask: what was asked; it stands in for what the provider has not said of itself.
        events: all of them, in the order of `domain/events.py`.

    Source: wire-formats §2.3; tests/wire/test_openai_message.py.
    """
    answer = gather_answer(events)
    started = answer.started
    has_old = wants_function_call(ask)
    fields: dict[str, Raw | bytes] = {
        "id": _encode(started.id or build_id("chatcmpl-")),
        "object": b'"chat.completion"',
        "created": _encode(started.created or ask.asked_at),
        "model": _encode(started.model or ask.model),
        "choices": _encode(
            [_build_choice(*item, has_old_calls=has_old) for item in answer.choices.items()]
        ),
    }
    if answer.usage is not None:
        fields["usage"] = build_usage(answer.usage)
    return build_object(fields)


def join_log_probs(pieces: Iterable[Raw]) -> dict[str, list[Raw] | None] | None:
    """Return the log probabilities of a choice as one object, None where there are none."""
    joined: dict[str, list[Raw] | None] = {"content": None, "refusal": None}
    is_empty = True
    for piece in pieces:
        is_empty = False
        found = _decode_log_probs(piece)
        for name, tokens in (("content", found.content), ("refusal", found.refusal)):
            if tokens is not None:
                joined[name] = [*(joined[name] or ()), *tokens]
    return None if is_empty else joined


def read_reason(finished: Finished | None) -> str:
    """Return why a choice has ended; one without an end is refused before anybody writes it."""
    return "stop" if finished is None else finished.reason


def _build_choice(index: int, choice: GatheredChoice, *, has_old_calls: bool) -> dict[str, Any]:
    message, reason = _build_message(choice), read_reason(choice.finished)
    if has_old_calls and "tool_calls" in message:
        # The deprecated form has one call, and no id for it.
        message["function_call"] = message.pop("tool_calls")[0]["function"]
    if has_old_calls and reason == "tool_calls":
        reason = "function_call"
    return {
        "index": index,
        "message": message,
        "logprobs": join_log_probs(choice.log_probs),
        "finish_reason": reason,
    }


def _build_message(choice: GatheredChoice) -> dict[str, Any]:
    has_other = choice.calls or choice.refusal
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text or (None if has_other else ""),
        "refusal": choice.refusal or None,
    }
    thoughts = choice.thoughts
    if text := "".join(thought.text for thought in thoughts):
        message["reasoning_content"] = text
    blocks = [
        build_thinking_block(
            thought.text, thought.maker, thought.signature, is_redacted=thought.is_redacted
        )
        for thought in thoughts
        if thought.signature is not None
    ]
    if blocks:
        message["thinking_blocks"] = blocks
    if choice.calls:
        message["tool_calls"] = [
            build_call(call.id, call.name, call.arguments, call.signature) for call in choice.calls
        ]
    place = len(choice.text)
    cited = [build_annotation(citation, place) for citation in choice.citations]
    if annotations := [annotation for annotation in cited if annotation is not None]:
        message["annotations"] = annotations
    return message
