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
MAX_TOKENS = 2**31 - 1

_REFUSED_FIELDS = ("api_base", "base_url", "custom_host", "api_key", "extra_headers")
"""What some gateways would take from a caller: where to send a request, and as whom."""

_T = TypeVar("_T")
_NULL = b"null"


class _Message(Struct):
    role: str


class _StreamOptions(Struct):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


_decode_text = msgspec.json.Decoder(str).decode
_decode_flag = msgspec.json.Decoder(bool).decode
_decode_count = msgspec.json.Decoder(int).decode
_decode_number = msgspec.json.Decoder(float).decode
_decode_messages = msgspec.json.Decoder(list[_Message]).decode
_decode_items = msgspec.json.Decoder(list[Raw]).decode
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
    for name in _REFUSED_FIELDS:
        if name in fields:
            raise InvalidRequest(
                f"'{name}' is not taken from requests: this proxy knows where its providers are.",
                param=name,
                code="unsupported_parameter",
            )
    model = _read(fields, "model", _decode_text, "must be a string")
    if not model:
        raise InvalidRequest("'model' must name a model; GET /v1/models lists them.", param="model")
    ask = Ask(operation, model, fields)
    if operation == "embeddings":
        _require(fields, "input", "must be a string, a list of strings or a list of tokens")
        ask.wants_base64 = _read_encoding(fields) == "base64"
        ask.choices = _count_prompts(fields["input"])
        return ask
    prompts = 1
    if operation == "chat":
        _check_messages(fields)
    else:
        _require(fields, "prompt", "must be a string, a list of strings or a list of tokens")
        prompts = _count_prompts(fields["prompt"])
    _check_sampling(fields)
    ask.choices = (_read_count(fields, "n", MAX_CHOICES) or 1) * prompts
    ask.streams = bool(_read(fields, "stream", _decode_flag, "must be a boolean"))
    rule = "must be an object such as {'include_usage': true}"
    options = _read(fields, "stream_options", _decode_options, rule)
    if options is not None and ask.streams:
        ask.wants_usage = bool(options.include_usage)
        ask.keeps_chunk_usage = ask.wants_usage and bool(options.continuous_usage_stats)
    return ask


def _read_encoding(fields: dict[str, Raw]) -> str | None:
    rule = "must be 'float' or 'base64'"
    encoding = _read(fields, "encoding_format", _decode_text, rule)
    if encoding not in (None, "float", "base64"):
        raise InvalidRequest(f"'encoding_format' {rule}.", param="encoding_format")
    return encoding


def _check_messages(fields: dict[str, Raw]) -> None:
    rule = "must be a list of objects, each with a string 'role'"
    messages = _read(fields, "messages", _decode_messages, rule)
    if messages is None:
        raise InvalidRequest(f"'messages' is missing: it {rule}.", param="messages")
    if not messages:
        raise InvalidRequest("'messages' must hold at least one message.", param="messages")


def _count_prompts(prompt: Raw) -> int:
    """Return how many prompts a completion is asked for; one list of tokens is one prompt."""
    if not bytes(prompt).startswith(b"["):
        return 1
    items = _decode_items(prompt)
    return len(items) if items and bytes(items[0]).startswith((b'"', b"[")) else 1


def _check_sampling(fields: dict[str, Raw]) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        if name in fields:
            _read_count(fields, name, MAX_TOKENS)
    rule = "must be a number from 0 to 2"
    temperature = _read(fields, "temperature", _decode_number, rule)
    if temperature is not None and not 0.0 <= temperature <= 2.0:
        raise InvalidRequest(f"'temperature' {rule}.", param="temperature")


def _require(fields: dict[str, Raw], name: str, rule: str) -> None:
    raw = bytes(fields.get(name, b""))
    if raw in (b"", _NULL):
        raise InvalidRequest(f"'{name}' is missing: it {rule}.", param=name)
    if not raw.startswith((b'"', b"[")):
        raise InvalidRequest(f"'{name}' {rule}.", param=name)


def _read_count(fields: dict[str, Raw], name: str, highest: int) -> int | None:
    """Return a positive integer field, or None where it is absent or null."""
    rule = f"must be an integer from 1 to {highest}"
    count = _read(fields, name, _decode_count, rule)
    if count is not None and not 1 <= count <= highest:
        raise InvalidRequest(f"'{name}' {rule}.", param=name)
    return count


def _read(fields: dict[str, Raw], name: str, decode: Callable[[Any], _T], rule: str) -> _T | None:
    """Return a decoded field, or None where it is absent or null (which means the same)."""
    raw = fields.get(name)
    if raw is None or bytes(raw) == _NULL:
        return None
    try:
        return decode(raw)
    except (ValueError, RecursionError):
        raise InvalidRequest(f"'{name}' {rule}.", param=name) from None
