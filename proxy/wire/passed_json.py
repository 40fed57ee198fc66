"""What a JSON answer says that passes as it came: an error after all, or what it has used."""

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import UpstreamProtocolError
from proxy.domain.usage import Usage
from proxy.wire.openai_error import NO_VALUE, check_no_error
from proxy.wire.openai_usage import MOST_TOKENS, parse_usage


class _Answer(Struct):
    error: Raw = NO_VALUE
    object: Raw = NO_VALUE
    usage: Raw = NO_VALUE


class _Tokens(Struct):
    input_tokens: int
    output_tokens: int = 0


_decode = msgspec.json.Decoder(_Answer).decode
_decode_tokens = msgspec.json.Decoder(_Tokens).decode
_decode_text = msgspec.json.Decoder(str).decode


def read_passed_json(body: bytes) -> Usage | None:
    """
    Look at a whole JSON answer, and return the tokens that it says were used; None: none.

    Args:
        body: of an answer with a status of success.

    Raises:
        UpstreamError: it is an error all the same, or no JSON.

    Source: wire-formats of OpenAI's API reference (images and transcriptions count
        `input_tokens`, all else `prompt_tokens`); tests/wire/test_passed_json.py.
    """
    try:
        answer = _decode(body)
    except msgspec.ValidationError:
        return None  # JSON that is no object: nothing is known of it
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamProtocolError("The provider's answer is not valid JSON.") from None
    check_no_error(answer.error, _read_kind(answer.object), body)
    return _read_usage(answer.usage)


def _read_kind(raw: Raw) -> str | None:
    try:
        return _decode_text(raw)
    except (ValueError, RecursionError):
        return None


def _read_usage(raw: Raw) -> Usage | None:
    if raw == NO_VALUE:
        return None
    usage = parse_usage(raw, has_output=False)
    if usage is not None:
        return usage
    try:
        tokens = _decode_tokens(raw)
    except (ValueError, RecursionError):
        return None
    counts = (tokens.input_tokens, tokens.output_tokens)
    return Usage(*counts) if all(0 <= count <= MOST_TOKENS for count in counts) else None
