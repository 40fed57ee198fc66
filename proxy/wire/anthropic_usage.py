"""Anthropic's `usage` objects -> normalised token counts; those of one stream add to each other."""

import msgspec
from msgspec import Raw, Struct

from proxy.domain.usage import Usage
from proxy.wire.openai_usage import MOST_TOKENS

_NOTHING = Raw(b"null")
_BILLED = frozenset(("message", "compaction"))
"""Iterations whose tokens are paid for; those of an advisor are another model's."""
_INSTEAD = "fallback_message"
"""An iteration of another model in the place of the first: the totals hold all of it already."""


class _Counts(Struct):
    """None is what has not been said."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Reported(_Counts):
    output_tokens_details: Raw = _NOTHING
    iterations: Raw = _NOTHING


class _Iteration(_Counts):
    type: str = ""


class _Outputs(Struct):
    thinking_tokens: int | None = None


_decode_reported = msgspec.json.Decoder(_Reported).decode
_decode_iterations = msgspec.json.Decoder(list[_Iteration]).decode
_decode_outputs = msgspec.json.Decoder(_Outputs).decode
_NAMES = _Counts.__struct_fields__


class AnthropicUsage:
    """
    The token counts of one answer, from one `usage` object or from several of one stream.

    Counts are cumulative: of each the last one that came holds, and what a later object does not
    name keeps its value.

    Source: wire-formats §3.1 and §6.2; tests/wire/test_anthropic_usage.py.
    """

    def __init__(self) -> None:
        self._counts = _Counts()
        self._thinking_tokens = 0

    @property
    def usage(self) -> Usage | None:
        """
        Return the counts so far, None while input or output is not known.

        `input_tokens` of Anthropic's is without what was read from or written to its cache;
        here it is with both.
        """
        counts = self._counts
        if counts.input_tokens is None or counts.output_tokens is None:
            return None
        cached = counts.cache_read_input_tokens or 0
        written = counts.cache_creation_input_tokens or 0
        return Usage(
            input_tokens=counts.input_tokens + cached + written,
            output_tokens=counts.output_tokens,
            cached_tokens=cached,
            cache_write_tokens=written,
            reasoning_tokens=min(self._thinking_tokens, counts.output_tokens),
        )

    def take(self, raw: Raw | bytes) -> bool:
        """
        Take one `usage` object.

        Args:
            raw: its JSON.

        Returns:
            False if it cannot be billed from, as one whose counts are negative, no integers or
            beyond MOST_TOKENS; then nothing of it counts. A detail that is none of these only
            is passed over.
        """
        try:
            found = _decode_reported(raw)
        except (ValueError, RecursionError):
            return False
        counts = _add_iterations(found)
        for name in _NAMES:
            count = getattr(counts, name)
            if count is not None and not 0 <= count <= MOST_TOKENS:
                return False
        for name in _NAMES:
            count = getattr(counts, name)
            if count is not None:
                setattr(self._counts, name, count)
        self._thinking_tokens = _read_thinking(found.output_tokens_details, self._thinking_tokens)
        return True


def _add_iterations(found: _Reported) -> _Counts:
    """Return the counts with those iterations that the totals leave out, such as compaction."""
    try:
        iterations = _decode_iterations(found.iterations)
    except (ValueError, RecursionError):
        return found
    billed = [each for each in iterations if each.type in _BILLED]
    if not billed or any(each.type == _INSTEAD for each in iterations):
        return found
    summed = _Counts()
    for name in _NAMES:
        total, told = getattr(found, name), [getattr(each, name) for each in billed]
        counts = [count for count in told if count is not None]
        if min(counts, default=0) < 0:
            return found
        # An iteration need not name what it has to do with the cache; the totals do, and where
        # they do not either, what was said before holds.
        if counts or total is not None:
            setattr(summed, name, max(sum(counts), total or 0))
    return summed


def _read_thinking(details: Raw, before: int) -> int:
    try:
        count = _decode_outputs(details).thinking_tokens
    except (ValueError, RecursionError):
        return before
    return before if count is None or count < 0 else count
