"""Writes legacy text completions, whole and in chunks, in OpenAI's format."""

from itertools import zip_longest
from typing import Any

from proxy.domain.errors import InvalidRequest
from proxy.simulator.ask import MAX_CHOICES, CompletionAsk
from proxy.simulator.choice import Choice, count_prompt, cut_text, tell_story
from proxy.simulator.draft import Draft
from proxy.simulator.knobs import Knobs
from proxy.simulator.tokens import split_tokens


def build_completion(
    ask: CompletionAsk, base: str, knobs: Knobs, seed: int, created_at: int
) -> Draft:
    """Return the good answer of the model `base`; each prompt gets `n` choices, in order."""
    prompts = ask.prompts
    count = len(prompts) * ask.choices
    if count > MAX_CHOICES:
        raise InvalidRequest(
            f"'prompt' and 'n' ask for {count} choices; {MAX_CHOICES} is the most.", param="n"
        )
    prompt_tokens = count_prompt(prompts, count, knobs)
    choices = [
        _decide_choice(ask, prompts[index // ask.choices], base, knobs, seed, index)
        for index in range(count)
    ]
    completion_tokens = sum(choice.token_count for choice in choices)
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    frame: dict[str, Any] = {
        "id": f"cmpl-{seed:024x}",
        "object": "text_completion",
        "created": created_at,
        "model": ask.model,
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
        draft.chunks = _build_chunks(frame, choices)
    else:
        parts = [_part(choice, choice.text, choice.finish_reason) for choice in choices]
        draft.body = {**frame, "choices": parts, "usage": usage}
    return draft


def _decide_choice(
    ask: CompletionAsk, prompt: str, base: str, knobs: Knobs, seed: int, index: int
) -> Choice:
    text = prompt if base == "sim-echo" else tell_story(knobs, seed + index)
    tokens, reason = cut_text(text, ask.stops, ask.max_tokens)
    if ask.echo:
        tokens = (*split_tokens(prompt), *tokens)
    return Choice(index, tokens, reason)


def _build_chunks(frame: dict[str, Any], choices: list[Choice]) -> list[dict[str, Any]]:
    """Return the choices' tokens in turn; the finish reason rides on the last of each."""
    chunks = []
    for number, turn in enumerate(zip_longest(*[choice.tokens or ("",) for choice in choices])):
        for choice, token in zip(choices, turn, strict=True):
            if token is not None:
                is_last = number + 1 >= len(choice.tokens)
                part = _part(choice, token, choice.finish_reason if is_last else None)
                chunks.append({**frame, "choices": [part]})
    return chunks


def _part(choice: Choice, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {
        "text": text,
        "index": choice.index,
        "logprobs": None,
        "finish_reason": finish_reason,
    }
