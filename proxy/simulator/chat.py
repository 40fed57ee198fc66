"""Writes chat completions, whole and in chunks, in OpenAI's format."""

from itertools import zip_longest
from typing import Any

from proxy.simulator.ask import ChatAsk
from proxy.simulator.choice import Called, Choice, count_prompt, decide_choice
from proxy.simulator.draft import Draft
from proxy.simulator.knobs import Knobs

_FINGERPRINT = "fp_simulator"


def build_chat(ask: ChatAsk, base: str, knobs: Knobs, seed: int, created_at: int) -> Draft:
    """Return the good answer of the model `base` to `ask`."""
    prompt_tokens = count_prompt([message.text for message in ask.messages], ask.choices, knobs)
    choices = [decide_choice(ask, base, knobs, seed, index) for index in range(ask.choices)]
    completion_tokens = sum(choice.token_count for choice in choices)
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": min(knobs.cached or 0, prompt_tokens)},
        "completion_tokens_details": {
            "reasoning_tokens": sum(len(choice.thoughts) for choice in choices)
        },
    }
    frame: dict[str, Any] = {
        "id": f"chatcmpl-{seed:024x}",
        "object": "chat.completion.chunk",
        "created": created_at,
        "model": ask.model,
        "system_fingerprint": _FINGERPRINT,
        "choices": [],
    }
    draft = Draft(
        model=ask.model,
        created_at=created_at,
        knobs=knobs,
        streams=bool(ask.stream),
        usage=usage,
        choices=len(choices),
        token_chunks=completion_tokens,
        sends_usage_chunk=ask.wants_usage,
    )
    if draft.streams:
        if ask.wants_usage:
            frame["usage"] = None
        draft.opening_chunks = len(choices)
        draft.chunks = _build_chunks(frame, choices)
    else:
        draft.body = {
            **frame,
            "object": "chat.completion",
            "choices": [_build_choice(choice) for choice in choices],
            "usage": usage,
        }
    return draft


def _build_choice(choice: Choice) -> dict[str, Any]:
    text, refusal = (None, choice.text) if choice.is_refusal else (choice.text, None)
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": refusal}
    if choice.thoughts:
        message["reasoning_content"] = "".join(choice.thoughts)
    if choice.calls:
        message["content"] = None
        message["tool_calls"] = [_build_call(call) for call in choice.calls]
    return {
        "index": choice.index,
        "message": message,
        "logprobs": None,
        "finish_reason": choice.finish_reason,
    }


def _build_call(call: Called) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _build_chunks(frame: dict[str, Any], choices: list[Choice]) -> list[dict[str, Any]]:
    """Return role chunks first, then the choices' tokens in turn, then the finish chunks."""
    opening = {"role": "assistant", "content": "", "refusal": None}
    chunks = [_chunk(frame, choice, opening) for choice in choices]
    for turn in zip_longest(*[_deltas(choice) for choice in choices]):
        for choice, delta in zip(choices, turn, strict=True):
            if delta is not None:
                chunks.append(_chunk(frame, choice, delta))
    chunks += [_chunk(frame, choice, {}, choice.finish_reason) for choice in choices]
    return chunks


def _deltas(choice: Choice) -> list[dict[str, Any]]:
    name = "refusal" if choice.is_refusal else "content"
    deltas: list[dict[str, Any]] = [{"reasoning_content": token} for token in choice.thoughts]
    deltas += [{name: token} for token in choice.tokens]
    for index, call in enumerate(choice.calls):
        start = {
            "index": index,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        parts = [{"index": index, "function": {"arguments": token}} for token in call.tokens]
        deltas += [{"tool_calls": [part]} for part in (start, *parts)]
    return deltas


def _chunk(
    frame: dict[str, Any], choice: Choice, delta: dict[str, Any], finish_reason: str | None = None
) -> dict[str, Any]:
    """Return one chunk; every chunk of a stream has the same id, time and model."""
    part = {
        "index": choice.index,
        "delta": delta,
        "logprobs": None,
        "finish_reason": finish_reason,
    }
    return {**frame, "choices": [part]}
