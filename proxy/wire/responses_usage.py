"""The `usage` object of the Responses API -> normalised token counts."""

import msgspec
from msgspec import Raw

from proxy.domain.usage import Usage
from proxy.wire.json_text import build_object
from proxy.wire.openai_usage import parse_usage

_NAMES = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def parse_responses_usage(raw: Raw | bytes) -> Usage | None:
    """
    Return the token counts of a response.

    Args:
        raw: the JSON of its `usage`.

    Returns:
        Normalised counts, or None where they are none that can be billed from; see `parse_usage`,
        which knows the same numbers under the names of chat completions.

    Source: wire-formats §2.7; tests/wire/test_responses_usage.py.
    """
    try:
        fields = _decode_fields(raw)
    except (ValueError, RecursionError):
        return None
    named: dict[str, Raw | bytes] = {
        ours: fields[theirs] for theirs, ours in _NAMES.items() if theirs in fields
    }
    return parse_usage(build_object(named))
