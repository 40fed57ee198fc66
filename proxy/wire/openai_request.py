"""OpenAI's request bodies (chat completions, completions, embeddings): bytes -> `Ask`."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import InvalidRequest
from proxy.domain.exchange import Operation
from proxy.wire.base import Ask
from proxy.wire.json_text import JsonError, parse_object

MAX_CHOICES = 128
_T = TypeVar("_T")
_NULL = b"null"


class _Message(Struct):
    role: str


class _StreamOptions(Struct):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


_NO_OPTIONS = _StreamOptions()
_decode_text = msgspec.json.Decoder(str).decode
_decode_flag = msgspec.json.Decoder(bool).decode
_decode_count = msgspec.json.Decoder(int).decode
_decode_number = msgspec.json.Decoder(float).decode
_decode_messages = msgspec.json.Decoder(list[_Message]).decode
_decode_options = msgspec.json.Decoder(_StreamOptions).decode


def parse_ask(operation: Operation, body: bytes) -> Ask:
    """
    Check a request body and return what we decide on, all else as it came.

    Only what this proxy needs to be sure of is checked; what a provider may take or refuse
    is its own business.

    Args:
        operation: chat, completions or embeddings.
        body: the whole body, JSON in UTF-8.

    Returns:
        An Ask whose `fields` hold every top-level field byte-identical.

    Raises:
        InvalidRequest: with `param` set to the field, or None if the body is no JSON object.

    Source: wire-formats of OpenAI's API reference; tests/wire/test_openai_request.py.
    """
    try:
        fields = parse_object(body)
    except JsonError as error:
        raise InvalidRequest(str(error), code="invalid_json") from None
    model = _read(fields, "model", _decode_text, "must be a string")
    if not model:
        raise InvalidRequest("'model' must name a model; GET /v1/models lists them.", param="model")
    ask = Ask(operation, model, fields)
    if operation == "embeddings":
        _require(fields, "input", "must be a string, a list of strings or a list of tokens")
        encoding = _read(fields, "encoding_format", _decode_text, "must be 'float' or 'base64'")
        if encoding not in (None, "float", "base64"):
            raise InvalidRequest("'encoding_format' must be 'float' or 'base64'.", param="encoding_format")
        ask.wants_base64 = encoding == "base64"
        return ask
    if operation == "chat":
        _check_messages(fields)
    else:
        _require(fields, "prompt", "must be a string or a list")
    _check_sampling(fields)
    ask.choices = _read_count(fields, "n", MAX_CHOICES) or 1
    ask.streams = bool(_read(fields, "stream", _decode_flag, "must be a boolean"))
    options = _read(
        fields, "stream_options", _decode_options, "must be an object such as {'include_usage': true}"
    )
    if options is not None and ask.streams:
        ask.wants_usage = bool(options.include_usage)
        ask.keeps_chunk_usage = bool(options.continuous_usage_stats)
    return ask


def _check_messages(fields: dict[str, Raw]) -> None:
    _require(fields, "messages", "must be a list of messages")
    messages = _read(
        fields, "messages", _decode_messages, "must be a list of objects, each with a string 'role'"
    )
    if not messages:
        raise InvalidRequest("'messages' must hold at least one message.", param="messages")


def _check_sampling(fields: dict[str, Raw]) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        if name in fields:
            _read_count(fields, name, None)
    temperature = _read(fields, "temperature", _decode_number, "must be a number from 0 to 2")
    if temperature is not None and not 0.0 <= temperature <= 2.0:
        raise InvalidRequest("'temperature' must be a number from 0 to 2.", param="temperature")


def _require(fields: dict[str, Raw], name: str, rule: str) -> None:
    raw = fields.get(name)
    if raw is None or bytes(raw) == _NULL:
        raise InvalidRequest(f"'{name}' is missing: it {rule}.", param=name)


def _read_count(fields: dict[str, Raw], name: str, highest: int | None) -> int | None:
    """Return a positive integer field, or None where it is absent or null."""
    rule = "must be a positive integer" if highest is None else f"must be an integer from 1 to {highest}"
    count = _read(fields, name, _decode_count, rule)
    if count is not None and (count < 1 or (highest is not None and count > highest)):
        raise InvalidRequest(f"'{name}' {rule}.", param=name)
    return count


def _read(
    fields: dict[str, Raw], name: str, decode: Callable[[Any], _T], rule: str
) -> _T | None:
    """Return a decoded field, or None where it is absent or null (which means the same)."""
    raw = fields.get(name)
    if raw is None or bytes(raw) == _NULL:
        return None
    try:
        return decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(f"'{name}' {rule}.", param=name) from None
