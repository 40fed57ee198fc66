"""OpenAI's answer to how many tokens the input of a response has."""

import msgspec

from proxy.domain.errors import UpstreamProtocolError
from proxy.domain.usage import Usage
from proxy.wire.base import CheckedAnswer
from proxy.wire.json_text import encode
from proxy.wire.openai_error import NO_VALUE, check_no_error
from proxy.wire.openai_usage import MOST_TOKENS


class _Count(msgspec.Struct):
    input_tokens: int | None = None
    error: msgspec.Raw = NO_VALUE
    object: str | None = None


_decode_count = msgspec.json.Decoder(_Count).decode


def build_input_tokens(input_tokens: int) -> bytes:
    """Return the body of an answer to `POST /v1/responses/input_tokens`."""
    return encode({"object": "response.input_tokens", "input_tokens": input_tokens})


def read_input_tokens(body: bytes) -> CheckedAnswer:
    """
    Check a provider's count and return it as it came; counting consumes nothing.

    Raises:
        UpstreamError: an error inside the 200, or no count.

    Source: wire-formats §2.7; tests/wire/test_responses_count.py.
    """
    try:
        found = _decode_count(body)
    except (ValueError, RecursionError):
        raise UpstreamProtocolError() from None
    check_no_error(found.error, found.object, body)
    if found.input_tokens is None or not 0 <= found.input_tokens <= MOST_TOKENS:
        raise UpstreamProtocolError()
    return CheckedAnswer(body, Usage(0, 0))
