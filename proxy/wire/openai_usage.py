"""OpenAI's `usage` object -> normalised token counts."""

import msgspec
from msgspec import Raw, Struct

from proxy.domain.usage import Usage

MOST_TOKENS = 1_000_000_000
"""No single answer can have consumed more: such a count is a fault, not a bill."""

_NOTHING = Raw(b"null")


class _Usage(Struct):
    prompt_tokens: int
    completion_tokens: int | None = None
    prompt_tokens_details: Raw = _NOTHING
    completion_tokens_details: Raw = _NOTHING
    prompt_cache_hit_tokens: Raw = _NOTHING
    reasoning_tokens: Raw = _NOTHING


class _InputDetails(Struct):
    cached_tokens: Raw = _NOTHING
    cache_write_tokens: Raw = _NOTHING


class _OutputDetails(Struct):
    reasoning_tokens: Raw = _NOTHING


_decode = msgspec.json.Decoder(_Usage).decode
_decode_inputs = msgspec.json.Decoder(_InputDetails).decode
_decode_outputs = msgspec.json.Decoder(_OutputDetails).decode
_decode_count = msgspec.json.Decoder(int).decode


def parse_usage(raw: Raw | bytes, *, has_output: bool = True) -> Usage | None:
    """
    Return the token counts in a `usage` object.

    Args:
        raw: the object's JSON.
        has_output: what it counts has output; for embeddings `completion_tokens` is absent.

    Returns:
        Normalised counts, or None where the object is not one that can be billed from: a
        count that is negative, no integer, missing or beyond MOST_TOKENS. A detail that is
        none of these only counts as 0; one that is larger than its total counts as the total.

    Source: wire-formats of OpenAI's API reference, DeepSeek's for `prompt_cache_hit_tokens`,
    Perplexity's for `reasoning_tokens`; tests/wire/test_openai_usage.py.
    """
    try:
        found = _decode(raw)
    except (ValueError, RecursionError):
        return None
    inputs, outputs = found.prompt_tokens, found.completion_tokens
    if outputs is None:
        if has_output:
            return None
        outputs = 0
    if not (0 <= inputs <= MOST_TOKENS and 0 <= outputs <= MOST_TOKENS):
        return None
    cached, written = _read_inputs(found.prompt_tokens_details)
    return Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        cached_tokens=min(inputs, cached or _read_count(found.prompt_cache_hit_tokens)),
        cache_write_tokens=min(inputs, written),
        reasoning_tokens=min(
            outputs,
            _read_reasoning(found.completion_tokens_details) or _read_count(found.reasoning_tokens),
        ),
    )


def _read_inputs(details: Raw) -> tuple[int, int]:
    """Return the tokens that were read from a cache and those that were written to it."""
    try:
        found = _decode_inputs(details)
    except (ValueError, RecursionError):
        return 0, 0
    return _read_count(found.cached_tokens), _read_count(found.cache_write_tokens)


def _read_reasoning(details: Raw) -> int:
    try:
        found = _decode_outputs(details)
    except (ValueError, RecursionError):
        return 0
    return _read_count(found.reasoning_tokens)


def _read_count(raw: Raw) -> int:
    if raw is _NOTHING:
        return 0
    try:
        return max(_decode_count(raw), 0)
    except (ValueError, RecursionError):
        return 0
