"""OpenAI's request bodies (chat completions, completions, embeddings): bytes -> `Ask`."""

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import InvalidRequest
from proxy.domain.exchange import Operation
from proxy.wire.ask_start import start_ask
from proxy.wire.base import Ask
from proxy.wire.openai_fields import (
    MESSAGES,
    TEXT_CHECKS,
    VECTOR_CHECKS,
    read_count,
    read_value,
)
from proxy.wire.routing_fields import read_session_id

MAX_CHOICES = 128

_LONGEST_OPTIONS_BYTES = 1024
_OPTIONS = "must be an object such as {'include_usage': true}"
_INPUT = "must be a string, a list of strings or a list of tokens"


class _StreamOptions(Struct):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


_decode_text = msgspec.json.Decoder(str).decode
_decode_flag = msgspec.json.Decoder(bool).decode
_decode_options = msgspec.json.Decoder(_StreamOptions).decode


def parse_ask(operation: Operation, body: bytes, model: str | None = None) -> Ask:
    """
    Check a request body and return what we decide on, all else as it came.

    Only what this proxy needs to be sure of is checked (see `openai_fields.py`); what a
    provider may take or refuse is its own business.

    Args:
        operation: chat, completions or embeddings.
        body: the whole body, JSON in UTF-8.
        model: see `start_ask`.

    Returns:
        An Ask whose `fields` hold every top-level field byte-identical, without `models` and
        `fallbacks`, which are ours.

    Raises:
        InvalidRequest: with `param` set to the field, or None if the body is no JSON object.

    Source: wire-formats of OpenAI's API reference; tests/wire/test_openai_request.py.
    """
    checks = VECTOR_CHECKS if operation == "embeddings" else TEXT_CHECKS
    ask = start_ask(operation, body, checks, model)
    fields = ask.fields
    ask.session_id = read_session_id(fields)
    if operation == "embeddings":
        ask.choices = _count_prompts(_require(fields, "input"))
        ask.wants_base64 = _read_encoding(fields) == "base64"
        return ask
    if operation == "completions":
        ask.choices = _count_prompts(_require(fields, "prompt"))
    elif not MESSAGES.read("messages", fields.get("messages")):
        raise InvalidRequest(f"'messages' {MESSAGES.wanted}.", param="messages")
    ask.choices *= read_count("n", fields.get("n"), MAX_CHOICES) or 1
    ask.streams = bool(
        read_value("stream", fields.get("stream"), _decode_flag, "must be a boolean")
    )
    options = _read_options(fields)
    if options is not None and ask.streams:
        ask.wants_usage = bool(options.include_usage)
        ask.keeps_chunk_usage = ask.wants_usage and bool(options.continuous_usage_stats)
    return ask


def _read_encoding(fields: dict[str, Raw]) -> str | None:
    wanted = "must be 'float' or 'base64'"
    raw = fields.get("encoding_format")
    encoding = read_value("encoding_format", raw, _decode_text, wanted)
    if encoding not in (None, "float", "base64"):
        raise InvalidRequest(f"'encoding_format' {wanted}.", param="encoding_format")
    return encoding


def _read_options(fields: dict[str, Raw]) -> _StreamOptions | None:
    raw = fields.get("stream_options")
    if raw is None:
        return None
    if len(memoryview(raw)) > _LONGEST_OPTIONS_BYTES:
        # It is taken apart again for each attempt, so it must not be a megabyte of names.
        raise InvalidRequest(f"'stream_options' {_OPTIONS}.", param="stream_options")
    return read_value("stream_options", raw, _decode_options, _OPTIONS)


def _require(fields: dict[str, Raw], name: str) -> bytes:
    raw = bytes(fields.get(name, b"null"))
    if raw == b"null":
        raise InvalidRequest(f"'{name}' is missing: it {_INPUT}.", param=name)
    if not raw.startswith((b'"', b"[")):
        raise InvalidRequest(f"'{name}' {_INPUT}.", param=name)
    return raw


def _count_prompts(prompt: bytes) -> int:
    """
    Return how many prompts are to be answered; one list of tokens is one prompt.

    Counted without taking the list apart: eight million empty strings fit into a body.
    """
    if not prompt.startswith(b"["):
        return 1
    first = prompt[1:].lstrip()[:1]
    if first == b"[":
        return prompt.count(b"[") - 1
    if first != b'"':
        return 1
    # Pairs of backslashes first: what then still stands before a quote escapes it.
    return prompt.replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"') // 2
