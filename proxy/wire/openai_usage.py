"""OpenAI's `usage` object -> normalised token counts, and back."""

import msgspec
from msgspec import Raw, Struct

from proxy.domain.usage import Usage

MOST_TOKENS = 1_000_000_000
"""No single answer can have consumed more: such a count is a fault, not a bill."""

_NOTHING = Raw(b"null")


class _Inputs(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Outputs(Struct):
    reasoning_tokens: int | None = None


class _Usage(Struct):
    """As nearly everybody sends it."""

    prompt_tokens: int
    completion_tokens: int | None = None
    prompt_tokens_details: _Inputs | None = None
    completion_tokens_details: _Outputs | None = None
    prompt_cache_hit_tokens: int | None = None
    reasoning_tokens: int | None = None


class _LooseInputs(Struct):
    cached_tokens: Raw = _NOTHING
    cache_write_tokens: Raw = _NOTHING


class _LooseOutputs(Struct):
    reasoning_tokens: Raw = _NOTHING


class _LooseUsage(Struct):
    """With details of any shape: each is read by itself."""

    prompt_tokens: int
    completion_tokens: int | None = None
    prompt_tokens_details: Raw = _NOTHING
    completion_tokens_details: Raw = _NOTHING
    prompt_cache_hit_tokens: Raw = _NOTHING
    reasoning_tokens: Raw = _NOTHING


_NO_INPUTS = _Inputs()
_NO_OUTPUTS = _Outputs()
_decode = msgspec.json.Decoder(_Usage).decode
_decode_loose = msgspec.json.Decoder(_LooseUsage).decode
_decode_inputs = msgspec.json.Decoder(_LooseInputs).decode
_decode_outputs = msgspec.json.Decoder(_LooseOutputs).decode
_decode_count = msgspec.json.Decoder(int).decode
_encode = msgspec.json.encode


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
    found = _read(raw)
    if found is None:
        return None
    inputs, outputs = found.prompt_tokens, found.completion_tokens
    if outputs is None:
        if has_output:
            return None
        outputs = 0
    if not (0 <= inputs <= MOST_TOKENS and 0 <= outputs <= MOST_TOKENS):
        return None
    details = found.prompt_tokens_details or _NO_INPUTS
    said = found.completion_tokens_details or _NO_OUTPUTS
    return Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        cached_tokens=_bound(details.cached_tokens, inputs)
        or _bound(found.prompt_cache_hit_tokens, inputs),
        cache_write_tokens=_bound(details.cache_write_tokens, inputs),
        reasoning_tokens=_bound(said.reasoning_tokens, outputs)
        or _bound(found.reasoning_tokens, outputs),
    )


def _bound(count: int | None, total: int) -> int:
    return min(count, total) if count and count > 0 else 0


def _read(raw: Raw | bytes) -> _Usage | None:
    """Return what can be read of the object, None without its totals."""
    try:
        return _decode(raw)
    except (ValueError, RecursionError):
        pass
    try:
        found = _decode_loose(raw)
    except (ValueError, RecursionError):
        return None
    return _Usage(
        found.prompt_tokens,
        found.completion_tokens,
        _read_inputs(found.prompt_tokens_details),
        _read_outputs(found.completion_tokens_details),
        _read_count(found.prompt_cache_hit_tokens),
        _read_count(found.reasoning_tokens),
    )


def _read_inputs(details: Raw) -> _Inputs | None:
    try:
        found = _decode_inputs(details)
    except (ValueError, RecursionError):
        return None
    return _Inputs(_read_count(found.cached_tokens), _read_count(found.cache_write_tokens))


def _read_outputs(details: Raw) -> _Outputs | None:
    try:
        found = _decode_outputs(details)
    except (ValueError, RecursionError):
        return None
    return _Outputs(_read_count(found.reasoning_tokens))


def _read_count(raw: Raw) -> int | None:
    try:
        return _decode_count(raw)
    except (ValueError, RecursionError):
        return None


def build_usage(usage: Usage) -> bytes:
    """Return token counts as OpenAI's `usage` object; the inverse of `parse_usage`."""
    return _encode(
        {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "prompt_tokens_details": {
                "cached_tokens": usage.cached_tokens,
                "cache_write_tokens": usage.cache_write_tokens,
            },
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        }
    )
