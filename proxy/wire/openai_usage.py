"""OpenAI's `usage` object -> normalised token counts."""

import msgspec
from msgspec import Raw, Struct

from proxy.domain.usage import Usage


class _InputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(Struct):
    reasoning_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None


_decode = msgspec.json.Decoder(_Usage).decode


def parse_usage(raw: Raw | bytes) -> Usage | None:
    """
    Return the token counts in a `usage` object.

    Args:
        raw: the object's JSON; `completion_tokens` is absent for embeddings.

    Returns:
        Normalised counts, or None where the object is not one that can be billed from: a
        count that is negative, no integer, or missing.

    Source: wire-formats of OpenAI's API reference, DeepSeek's for `prompt_cache_hit_tokens`;
    tests/wire/test_openai_usage.py.
    """
    try:
        found = _decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    inputs = found.prompt_tokens_details or _InputDetails()
    outputs = found.completion_tokens_details or _OutputDetails()
    usage = Usage(
        input_tokens=found.prompt_tokens,
        output_tokens=found.completion_tokens or 0,
        cached_tokens=inputs.cached_tokens or found.prompt_cache_hit_tokens or 0,
        cache_write_tokens=inputs.cache_write_tokens or 0,
        reasoning_tokens=outputs.reasoning_tokens or 0,
    )
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )
    return usage if min(counts) >= 0 else None
