"""OpenAI's complete answers: checked, counted, and passed on as they came."""

import base64
import struct
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import UpstreamProtocolError, UpstreamServerError, UpstreamTruncated
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.openai_error import NO_VALUE, check_no_error
from proxy.wire.openai_stream import Repair
from proxy.wire.openai_usage import parse_usage


class _Choice(Struct):
    finish_reason: str | None = None


class _Answer(Struct):
    choices: list[_Choice] | None = None
    usage: Raw = NO_VALUE
    error: Raw = NO_VALUE
    object: str | None = None


class _Vector(Struct):
    embedding: Raw
    index: int = 0


class _Vectors(Struct):
    data: list[_Vector] | None = None
    usage: Raw = NO_VALUE
    error: Raw = NO_VALUE
    object: str | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_vectors = msgspec.json.Decoder(_Vectors).decode
_decode_floats = msgspec.json.Decoder(list[float]).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


def read_openai_answer(ask: Ask, body: bytes, repair: Repair | None) -> tuple[bytes, Usage | None]:
    """
    Check a whole 200 answer and return the client's bytes and the usage.

    Args:
        ask: what was asked; `wants_base64` has vectors of floats packed as base64.
        body: the provider's body, JSON.
        repair: makes a decoded answer regular, or None to pass the bytes on untouched.

    Returns:
        (body for the client, usage or None).

    Raises:
        UpstreamProtocolError: not JSON, or not the shape of the operation's answer.
        UpstreamTruncated: no choice at all.
        UpstreamError: an error object inside the 200, classified as the status it stands for.

    Source: wire-formats §2.3-2.5, §2.12; tests/wire/test_openai_answer.py.
    """
    if repair is not None:
        value = _decode_object(body)
        if not value.get("error"):
            body = _encode(repair(value))
    try:
        body.decode()
        if ask.operation == "embeddings":
            return _read_vectors(ask, body)
        return _read_choices(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise UpstreamProtocolError() from None


def _read_choices(body: bytes) -> tuple[bytes, Usage | None]:
    answer = _decode_answer(body)
    check_no_error(answer.error, answer.object, body)
    if answer.choices is None:
        raise UpstreamProtocolError()
    if not answer.choices:
        raise UpstreamTruncated("The provider's answer holds no choice.")
    if any(choice.finish_reason == "error" for choice in answer.choices):
        raise UpstreamServerError()
    return body, _usage(answer)


def _read_vectors(ask: Ask, body: bytes) -> tuple[bytes, Usage | None]:
    answer = _decode_vectors(body)
    check_no_error(answer.error, answer.object, body)
    if answer.data is None:
        raise UpstreamProtocolError()
    if ask.wants_base64 and any(bytes(item.embedding).startswith(b"[") for item in answer.data):
        body = _pack_vectors(body)
    return body, _usage(answer)


def _pack_vectors(body: bytes) -> bytes:
    """Do what was asked where the provider knows floats only: little-endian float32."""
    value = _decode_object(body)
    for item in value["data"]:
        vector = item["embedding"]
        if isinstance(vector, list):
            item["embedding"] = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return _encode(value)


def _usage(answer: _Answer | _Vectors) -> Usage | None:
    return None if answer.usage is NO_VALUE else parse_usage(answer.usage)


def _decode_object(body: bytes) -> dict[str, Any]:
    try:
        value = _decode_any(body)
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamProtocolError() from None
    if not isinstance(value, dict):
        raise UpstreamProtocolError()
    return value
