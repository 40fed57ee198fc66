"""
What the fields of a request in OpenAI's format may hold; `openai_request.py` applies it.

A field stands here if we decide on it, if every provider of the format wants the same of it,
or if no caller may set it. All others are the providers' business, and pass untouched.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from math import isinf
from typing import Any, Generic, NoReturn, TypeVar

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import InvalidRequest

MAX_TOKENS = 2**31 - 1
MAX_ITEMS = 2048
"""Longest list of messages, tools or stops."""

_LONGEST_NUMBER_BYTES = 400
_MODEL = "model"
_NULL = Raw(b"null")
_T = TypeVar("_T")
Check = Callable[[str, Raw], None]
"""Takes a field's name and value, and raises InvalidRequest if it may not be that."""


def read_value(name: str, raw: Raw | None, decode: Callable[[Any], _T], wanted: str) -> _T | None:
    """
    Return a decoded value, or None where it is absent or null, which means the same.

    Args:
        name: of the field.
        raw: its bytes.
        decode: decoder of the type that is taken.
        wanted: what the field must be: the rest of the sentence that begins with its name.

    Raises:
        InvalidRequest: it is of another type. Its code is `invalid_number` for a number
            with more digits, or larger, than any float of 64 bits.

    Source: tests/wire/test_openai_fields.py.
    """
    if raw is None or raw == _NULL:
        return None
    try:
        return decode(raw)
    except (ValueError, RecursionError):
        code = "invalid_number" if _is_endless(bytes(raw)) else None
        raise InvalidRequest(f"'{name}' {wanted}.", param=name, code=code) from None


def read_count(name: str, raw: Raw | None, highest: int) -> int | None:
    """
    Return an integer from 1 to `highest`, or None where it is absent or null.

    Raises:
        InvalidRequest: it is anything else; see `read_value`.

    Source: tests/wire/test_openai_fields.py.
    """
    wanted = f"must be an integer from 1 to {highest}"
    count = read_value(name, raw, _decode_integer, wanted)
    if count is not None and not 1 <= count <= highest:
        raise InvalidRequest(f"'{name}' {wanted}.", param=name)
    return count


def check_spelling(names: Iterable[str]) -> None:
    """
    Refuse a `Model` in capitals: servers in Go take it for `model`, and of two the last.

    Raises:
        InvalidRequest: one of the top-level names of a body is such a one.

    Source: Go's encoding/json ("preferring exact matches but also accepting case-insensitive
        ones"); tests/wire/test_openai_fields.py.
    """
    for name in names:
        if len(name) == len(_MODEL) and name != _MODEL and name.lower() == _MODEL:
            raise InvalidRequest("'model' must be written in small letters.", param=_MODEL)


class ListReader(Generic[_T]):
    """Reads lists of at most MAX_ITEMS; longer ones are refused without being read to their end."""

    def __init__(self, item: type[_T], wanted: str, shortest_item: bytes) -> None:
        """
        Args:
            item: the type of each item.
            wanted: see `read_value`.
            shortest_item: how short an item can be written, with its comma.
        """
        self.wanted = wanted
        self._item = item
        self._decode = msgspec.json.Decoder(list[item]).decode  # type: ignore[valid-type]
        self._few_bytes = MAX_ITEMS * len(shortest_item)

    def read(self, name: str, raw: Raw | None) -> list[_T] | None:
        """Return the list, or None where it is absent or null; see `read_value`."""
        if raw is not None and len(memoryview(raw)) > self._few_bytes:
            read_value(name, raw, self._decode_few, self.wanted)
        return read_value(name, raw, self._decode, self.wanted)

    @cached_property
    def _decode_few(self) -> Callable[[Any], object]:
        # A list's length is only looked at when all of it has been decoded; a type with a
        # place for each item is given up at the first item that has none. It takes 10 ms to
        # make, which start-up need not wait for.
        places = [(f"item_{place}", self._item | None, None) for place in range(MAX_ITEMS)]
        few = msgspec.defstruct("Few", places, array_like=True, forbid_unknown_fields=True)
        return msgspec.json.Decoder(few).decode


class Message(Struct):
    """One message of a chat, as far as we look into it."""

    role: str


class _Object(Struct):
    """Any JSON object."""


def _refuse(name: str, raw: Raw) -> NoReturn:
    raise InvalidRequest(
        f"'{name}' is not taken from requests: this proxy knows where its providers are, and "
        "with which keys. Leave it out.",
        param=name,
        code="unsupported_parameter",
    )


def build_number_check(low: float, high: float) -> Check:
    """Return the check of a number with bounds, which are taken too."""
    wanted = f"must be a number from {low:g} to {high:g}"

    def check(name: str, raw: Raw) -> None:
        number = read_value(name, raw, _decode_number, wanted)
        if number is not None and not low <= number <= high:
            raise InvalidRequest(f"'{name}' {wanted}.", param=name)

    return check


def _check_limit(name: str, raw: Raw) -> None:
    read_count(name, raw, MAX_TOKENS)


def _check_seed(name: str, raw: Raw) -> None:
    wanted = "must be an integer of 64 bits"
    seed = read_value(name, raw, _decode_integer, wanted)
    if seed is not None and not -(2**63) <= seed < 2**64:
        raise InvalidRequest(f"'{name}' {wanted}.", param=name)


def _check_stop(name: str, raw: Raw) -> None:
    if bytes(raw)[:1] != b'"':
        _STOPS.read(name, raw)


def _check_tools(name: str, raw: Raw) -> None:
    _TOOLS.read(name, raw)


def build_kind_check(wanted: str, *first_bytes: bytes) -> Check:
    """
    Return the check of a value's type.

    It looks at the first byte only: the value is known to be JSON, and that says its type.
    """
    taken = (*first_bytes, b"null")

    def check(name: str, raw: Raw) -> None:
        if not bytes(raw).startswith(taken):
            raise InvalidRequest(f"'{name}' {wanted}.", param=name)

    return check


def _is_endless(text: bytes) -> bool:
    """Return whether this is a number too large, or with too many digits, for a float."""
    if text[:1] not in b"-0123456789":
        return False
    return len(text) > _LONGEST_NUMBER_BYTES or isinf(float(text))


_decode_integer = msgspec.json.Decoder(int).decode
_decode_number = msgspec.json.Decoder(float).decode

MESSAGES = ListReader(
    Message,
    f"must be a list of 1 to {MAX_ITEMS} objects, each with a string 'role'",
    b'{"role":""},',
)
_TOOLS = ListReader(_Object, f"must be a list of at most {MAX_ITEMS} objects", b"{},")
_STOPS = ListReader(str, f"must be a string or a list of at most {MAX_ITEMS} strings", b'"",')

REFUSED: Mapping[str, Check] = dict.fromkeys(
    (
        *("api_base", "base_url", "api_host", "api_url", "custom_host", "azure_endpoint"),
        *("api_key", "api_type", "api_version", "azure_ad_token", "organization"),
        *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_region_name"),
        *("aws_bedrock_runtime_endpoint", "aws_sts_endpoint", "aws_web_identity_token"),
        *("vertex_credentials", "vertex_project", "vertex_location", "watsonx_url"),
        *("custom_llm_provider", "litellm_params", "model_list", "user_config"),
        *("headers", "extra_headers", "default_headers", "extra_query", "extra_body"),
        *("proxy", "http_client", "ssl_verify"),
    ),
    _refuse,
)
"""What some gateways take from a caller: where to send a request, and as whom (A12)."""

_TEXT = build_kind_check("must be a string", b'"')
_PENALTY = build_number_check(-2, 2)

TEXT_CHECKS: Mapping[str, Check] = {
    **REFUSED,
    "max_tokens": _check_limit,
    "max_completion_tokens": _check_limit,
    "temperature": build_number_check(0, 2),
    "top_p": build_number_check(0, 1),
    "presence_penalty": _PENALTY,
    "frequency_penalty": _PENALTY,
    "seed": _check_seed,
    "stop": _check_stop,
    "user": _TEXT,
    "tools": _check_tools,
    "tool_choice": build_kind_check("must be a string or an object", b'"', b"{"),
    "response_format": build_kind_check("must be an object", b"{"),
    "logit_bias": build_kind_check("must be an object of token ids and numbers", b"{", b"["),
    "parallel_tool_calls": build_kind_check("must be a boolean", b"true", b"false"),
}
"""Of chat and completions: what is looked at wherever it stands."""

VECTOR_CHECKS: Mapping[str, Check] = {**REFUSED, "user": _TEXT, "dimensions": _check_limit}
"""Of embeddings."""
