"""Request bodies of the Responses API (a response, the tokens of its input): bytes -> `Ask`."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import InvalidRequest
from proxy.domain.exchange import Operation
from proxy.wire.ask_start import start_ask
from proxy.wire.base import Ask
from proxy.wire.openai_fields import (
    MAX_ITEMS,
    MAX_TOKENS,
    REFUSED,
    Check,
    ListReader,
    build_kind_check,
    build_number_check,
    read_count,
    read_value,
)
from proxy.wire.routing_fields import read_session_id

MAX_LOG_PROBS = 20

_INPUT = "must be a string or a list of items"
_TRUNCATION = "must be 'auto' or 'disabled'"
_LOG_PROBS = f"must be an integer from 0 to {MAX_LOG_PROBS}"
_INSTEAD_OF_INPUT = ("previous_response_id", "prompt")
_LONGEST_ID = 256
_ID = f"must be the id of a response, of at most {_LONGEST_ID} characters"


class _Object(Struct):
    """Any JSON object."""


_ITEMS = ListReader(_Object, f"must be a string or a list of at most {MAX_ITEMS} objects", b"{},")
_TOOLS = ListReader(_Object, f"must be a list of at most {MAX_ITEMS} objects", b"{},")
_INCLUDED = ListReader(str, f"must be a list of at most {MAX_ITEMS} strings", b'"",')
_decode_flag = msgspec.json.Decoder(bool).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_integer = msgspec.json.Decoder(int).decode


def parse_ask(operation: Operation, body: bytes, model: str | None = None) -> Ask:
    """
    Check a request body and return what we decide on, all else as it came.

    Only what this proxy needs to be sure of is checked; what a provider may take or refuse is
    its own business.

    Args:
        operation: responses or input_tokens.
        body: the whole body, JSON in UTF-8.
        model: see `start_ask`.

    Returns:
        An Ask whose `fields` hold every top-level field byte-identical, without `models` and
        `fallbacks`, which are ours.

    Raises:
        InvalidRequest: with `param` set to the field, or None if the body is no JSON object.
            Its code is `unsupported_parameter` for what is not offered whoever answers: work in
            the background, and conversations, which a provider keeps for all who share its key.

    Source: wire-formats §2.7; tests/wire/test_responses_request.py.
    """
    ask = start_ask(operation, body, _CHECKS, model)
    fields = ask.fields
    ask.session_id = read_session_id(fields)
    # Usage stands in every answer of this dialect, asked for or not.
    ask.wants_usage = True
    if not _is_said(fields, "input") and not any(_is_said(fields, n) for n in _INSTEAD_OF_INPUT):
        raise InvalidRequest(f"'input' is missing: it {_INPUT}.", param="input")
    if operation == "responses":
        ask.streams = bool(_read_flag("stream", fields.get("stream")))
    return ask


def _is_said(fields: Mapping[str, Raw], name: str) -> bool:
    return bytes(fields.get(name, b"null")) != b"null"


def _read_flag(name: str, raw: Raw | None) -> bool | None:
    return read_value(name, raw, _decode_flag, "must be a boolean")


def _check_flag(name: str, raw: Raw) -> None:
    _read_flag(name, raw)


def _check_background(name: str, raw: Raw) -> None:
    if _read_flag(name, raw):
        raise _refuse(name, "Answers are given at once, not in the background.")


def _check_conversation(name: str, raw: Raw) -> None:
    if bytes(raw) != b"null":
        raise _refuse(
            name, "There are no conversations here: 'previous_response_id' leads on from an answer."
        )


def _check_input(name: str, raw: Raw) -> None:
    if bytes(raw)[:1] != b'"':
        _ITEMS.read(name, raw)


def _check_tools(name: str, raw: Raw) -> None:
    _TOOLS.read(name, raw)


def _check_included(name: str, raw: Raw) -> None:
    _INCLUDED.read(name, raw)


def _check_limit(name: str, raw: Raw) -> None:
    read_count(name, raw, MAX_TOKENS)


def _check_log_probs(name: str, raw: Raw) -> None:
    count = read_value(name, raw, _decode_integer, _LOG_PROBS)
    if count is not None and not 0 <= count <= MAX_LOG_PROBS:
        raise InvalidRequest(f"'{name}' {_LOG_PROBS}.", param=name)


def _check_truncation(name: str, raw: Raw) -> None:
    if read_value(name, raw, _decode_text, _TRUNCATION) not in (None, "auto", "disabled"):
        raise InvalidRequest(f"'{name}' {_TRUNCATION}.", param=name)


def _check_id(name: str, raw: Raw) -> None:
    # It is repeated in every event that has the whole response in it.
    response_id = read_value(name, raw, _decode_text, _ID)
    if response_id is not None and not 0 < len(response_id) <= _LONGEST_ID:
        raise InvalidRequest(f"'{name}' {_ID}.", param=name)


def _refuse(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"'{name}' is not supported. {why}", param=name, code="unsupported_parameter"
    )


_TEXT = build_kind_check("must be a string", b'"')
_OBJECT = build_kind_check("must be an object", b"{")

_CHECKS: Mapping[str, Check] = {
    **REFUSED,
    "input": _check_input,
    "background": _check_background,
    "conversation": _check_conversation,
    "instructions": _TEXT,
    "previous_response_id": _check_id,
    "store": _check_flag,
    "parallel_tool_calls": _check_flag,
    "max_output_tokens": _check_limit,
    "max_tool_calls": _check_limit,
    "temperature": build_number_check(0, 2),
    "top_p": build_number_check(0, 1),
    "top_logprobs": _check_log_probs,
    "truncation": _check_truncation,
    "tools": _check_tools,
    "tool_choice": build_kind_check("must be a string or an object", b'"', b"{"),
    "text": _OBJECT,
    "reasoning": _OBJECT,
    "metadata": _OBJECT,
    "include": _check_included,
    "stream_options": _OBJECT,
    "prompt": _OBJECT,
    "user": _TEXT,
    "safety_identifier": _TEXT,
}
"""What is looked at wherever it stands."""
