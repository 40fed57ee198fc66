"""Cohere's `usage` object -> normalised token counts."""

import msgspec
from msgspec import Raw, Struct

from proxy.domain.usage import Usage
from proxy.wire.openai_usage import MOST_TOKENS


class _Counts(Struct, gc=False):
    """Cohere writes counts as numbers that may have a point, such as `12.0`."""

    input_tokens: float | None = None
    output_tokens: float | None = None


class _Usage(Struct, gc=False):
    tokens: _Counts | None = None
    billed_units: _Counts | None = None
    cached_tokens: float | None = None


_decode = msgspec.json.Decoder(_Usage).decode


def parse_cohere_usage(raw: Raw | bytes, *, has_output: bool = True) -> Usage | None:
    """
    Return the token counts in a `usage` object, or in the `meta` of an answer with vectors.

    `tokens` is what the model has read and written, with Cohere's own template around the prompt;
    `billed_units` is less, and only looked at where there is nothing else.

    Args:
        raw: the object's JSON.
        has_output: what it counts has output; for vectors a count of the input is enough.

    Returns:
        Normalised counts, or None where the object has none. Cached tokens above the prompt's
        count as the prompt's, negative ones as none.

    Raises:
        ValueError: counts that cannot be billed from: negative, in parts, or beyond MOST_TOKENS
            of `openai_usage.py`.

    Source: wire-formats §3.3 and §6.2; tests/wire/test_cohere_usage.py.
    """
    found = _decode(raw)
    for counts in (found.tokens, found.billed_units):
        if counts is None or counts.input_tokens is None:
            continue
        if counts.output_tokens is None and has_output:
            continue
        inputs = _read(counts.input_tokens)
        return Usage(
            input_tokens=inputs,
            output_tokens=_read(counts.output_tokens or 0),
            cached_tokens=int(min(max(found.cached_tokens or 0, 0), inputs)),
        )
    return None


def _read(count: float) -> int:
    if not (0 <= count <= MOST_TOKENS and count == int(count)):
        raise ValueError("no count that an answer can have")
    return int(count)
