"""Anthropic's request bodies (messages, count_tokens): bytes -> `Ask`."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from proxy.domain.errors import InvalidRequest
from proxy.domain.exchange import Operation
from proxy.wire.ask_start import start_ask
from proxy.wire.base import Ask
from proxy.wire.json_text import build_object, parse_object
from proxy.wire.openai_fields import (
    MAX_ITEMS,
    MAX_TOKENS,
    MESSAGES,
    REFUSED,
    Check,
    ListReader,
    build_kind_check,
    build_number_check,
    read_value,
)
from proxy.wire.routing_fields import read_session_id

PASSED_HEADERS = ("anthropic-version", "anthropic-beta")
"""What a client says of the dialect itself; for a provider that speaks it, and for no other."""

_LIMIT = f"must be an integer from 0 to {MAX_TOKENS}"


class _Object(msgspec.Struct):
    """Any JSON object."""


_TOOLS = ListReader(_Object, f"must be a list of at most {MAX_ITEMS} objects", b"{},")
_STOPS = ListReader(str, f"must be a list of at most {MAX_ITEMS} strings", b'"",')
_decode_text = msgspec.json.Decoder(str).decode
_decode_flag = msgspec.json.Decoder(bool).decode
_decode_integer = msgspec.json.Decoder(int).decode


def parse_ask(
    operation: Operation, body: bytes, headers: Mapping[str, str], model: str | None = None
) -> Ask:
    """
    Check a request body and return what we decide on, all else as it came.

    Only what this proxy needs to be sure of is checked; what a provider may take or refuse is
    its own business.

    Args:
        operation: messages or count_tokens.
        body: the whole body, JSON in UTF-8.
        headers: of the request; PASSED_HEADERS of them are kept.
        model: see `start_ask`.

    Returns:
        An Ask whose `fields` hold every top-level field byte-identical, without `models`,
        `fallbacks` and `metadata.session_id`, which are ours.

    Raises:
        InvalidRequest: with `param` set to the field, or None if the body is no JSON object.

    Source: wire-formats §2.8 and §3.1; tests/wire/test_anthropic_request.py.
    """
    ask = start_ask(operation, body, _CHECKS, model)
    fields = ask.fields
    if not MESSAGES.read("messages", fields.get("messages")):
        raise InvalidRequest(f"'messages' {MESSAGES.wanted}.", param="messages")
    # Usage stands in every answer of this dialect, asked for or not.
    ask.wants_usage = True
    ask.session_id = _take_session_id(fields)
    ask.passed_headers = _pick_headers(headers)
    if operation == "messages":
        if _read_limit("max_tokens", fields.get("max_tokens")) is None:
            raise InvalidRequest(f"'max_tokens' is missing: it {_LIMIT}.", param="max_tokens")
        wanted = "must be a boolean"
        ask.streams = bool(read_value("stream", fields.get("stream"), _decode_flag, wanted))
    return ask


def _pick_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what the client says of the dialect; nothing that no provider could read goes out."""
    told = {name: headers.get(name, "") for name in PASSED_HEADERS}
    return {
        name: text for name, text in told.items() if text and text.isascii() and text.isprintable()
    }


def _take_session_id(fields: dict[str, Raw]) -> str | None:
    """Return what the client calls its conversation: Anthropic refuses metadata of others."""
    session_id = read_session_id(fields)
    if session_id is not None:
        metadata = parse_object(bytes(fields["metadata"]))
        del metadata["session_id"]
        fields["metadata"] = Raw(build_object(metadata))
    return session_id


def _read_limit(name: str, raw: Raw | None) -> int | None:
    """Return how many tokens an answer may have; with 0 a prompt is only read into the cache."""
    limit = read_value(name, raw, _decode_integer, _LIMIT)
    if limit is not None and not 0 <= limit <= MAX_TOKENS:
        raise InvalidRequest(f"'{name}' {_LIMIT}.", param=name)
    return limit


def _check_limit(name: str, raw: Raw) -> None:
    _read_limit(name, raw)


def _check_tools(name: str, raw: Raw) -> None:
    _TOOLS.read(name, raw)


def _check_stops(name: str, raw: Raw) -> None:
    _STOPS.read(name, raw)


_OBJECT = build_kind_check("must be an object", b"{")

_CHECKS: Mapping[str, Check] = {
    **REFUSED,
    "max_tokens": _check_limit,
    "system": build_kind_check("must be a string or a list of text blocks", b'"', b"["),
    # Anthropic's own bound is 1: local servers that speak its dialect take more.
    "temperature": build_number_check(0, 2),
    "top_p": build_number_check(0, 1),
    "top_k": _check_limit,
    "stop_sequences": _check_stops,
    "tools": _check_tools,
    "tool_choice": _OBJECT,
    "thinking": _OBJECT,
    "output_config": _OBJECT,
    "metadata": _OBJECT,
}
"""What is looked at wherever it stands."""
