"""Gemini's `usageMetadata` object -> normalised token counts."""

import msgspec
from msgspec import Raw, Struct

from proxy.domain.usage import Usage
from proxy.wire.openai_usage import MOST_TOKENS


class _Usage(Struct, rename="camel", gc=False):
    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    thoughts_token_count: int | None = None
    total_token_count: int | None = None


_decode = msgspec.json.Decoder(_Usage).decode


def parse_gemini_usage(raw: Raw | bytes) -> Usage | None:
    """
    Return the token counts in a `usageMetadata` object.

    Thoughts are counted beside the candidates' tokens; some backends count them among them,
    which the total tells: then they are not added again.

    Args:
        raw: the object's JSON. Counts of 0 are left out of it.

    Returns:
        Normalised counts, or None where the object has none yet, as in the first events of
        some streams. A detail that is larger than its total counts as the total.

    Raises:
        ValueError: counts that cannot be billed from: negative, no integers, or beyond
            MOST_TOKENS of `openai_usage.py`.

    Source: wire-formats §3.2 and §6.2; tests/wire/test_gemini_usage.py.
    """
    found = _decode(raw)
    if found.prompt_token_count is None:
        if found.candidates_token_count or found.thoughts_token_count:
            raise ValueError("tokens of an answer without those of its prompt")
        return None
    by_tools = found.tool_use_prompt_token_count or 0
    inputs = found.prompt_token_count + by_tools
    said, thoughts = found.candidates_token_count or 0, found.thoughts_token_count or 0
    is_inclusive = thoughts <= said and inputs + said == found.total_token_count
    outputs = said if is_inclusive else said + thoughts
    if min(found.prompt_token_count, by_tools, said, thoughts) < 0 or max(inputs, outputs) > (
        MOST_TOKENS
    ):
        raise ValueError("no counts that an answer can have")
    cached = found.cached_content_token_count or 0
    return Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        cached_tokens=min(max(cached, 0), inputs),
        reasoning_tokens=min(thoughts, outputs),
    )
