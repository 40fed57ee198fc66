"""What went wrong with a response whose status was 200: a failed one, or an event of an error."""

import re

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import UpstreamError, UpstreamServerError
from proxy.wire.json_text import holds_too_many_values
from proxy.wire.openai_error import NO_VALUE, classify_fault, read_error_object
from proxy.wire.provider_fault import read_fault

_OF_THE_CLIENT = re.compile(r"invalid_(?!api_key)|.*_policy|.*image|data_residency_mismatch")
"""Codes of a failed response that speak of its request; all others speak of the provider."""


class _Event(Struct):
    message: str | None = None
    code: str | int | None = None
    param: str | None = None
    error: Raw = NO_VALUE


class _Response(Struct):
    error: Raw = NO_VALUE


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_response = msgspec.json.Decoder(_Response).decode
_decode_any = msgspec.json.Decoder().decode


def read_failed_response(response: Raw | bytes) -> UpstreamError:
    """
    Return what the `error` of a response with status `failed` means.

    Args:
        response: the JSON of the response object.

    Source: wire-formats §2.7; tests/wire/test_responses_error.py.
    """
    try:
        return _read(_decode_response(response).error)
    except (ValueError, RecursionError):
        return UpstreamServerError()


def read_error_event(data: bytes) -> UpstreamError:
    """
    Return what an event of the type `error` means, or one that has an `error` and no type.

    Args:
        data: its JSON. The error stands in it, flat, or in its member `error`: both are sent.
    """
    try:
        event = _decode_event(data)
    except (ValueError, RecursionError):
        return UpstreamServerError()
    if bytes(event.error).startswith((b"{", b'"')):
        return _read(event.error)
    return _judge({"message": event.message, "code": event.code, "param": event.param})


def _read(error: Raw) -> UpstreamError:
    text = bytes(error)
    if not text or holds_too_many_values(text):
        return UpstreamServerError()
    try:
        return _judge(_decode_any(text))
    except (ValueError, RecursionError):
        return UpstreamServerError()


def _judge(value: object) -> UpstreamError:
    fault = read_fault(value)
    if _OF_THE_CLIENT.match(fault.code):
        return classify_fault(400, fault)
    return read_error_object(value)
