"""OpenAI's complete answers: checked, counted, and passed on as they came."""

import base64
import struct
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import (
    UpstreamProtocolError,
    UpstreamServerError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.exchange import Anomaly
from proxy.domain.usage import Usage
from proxy.wire.base import Ask, CheckedAnswer
from proxy.wire.json_text import build_object, holds_too_many_values, mend_text
from proxy.wire.openai_error import NO_VALUE, check_no_error
from proxy.wire.openai_said import Said, count_bytes, count_said_bytes
from proxy.wire.openai_stream import Repair
from proxy.wire.openai_usage import parse_usage
from proxy.wire.usage_estimate import estimate_usage


class _Choice(Struct):
    finish_reason: str | None = None
    message: Raw = NO_VALUE
    text: Raw = NO_VALUE


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
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_items = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_decode_said = msgspec.json.Decoder(Said).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


def read_openai_answer(ask: Ask, body: bytes, repair: Repair | None) -> CheckedAnswer:
    """
    Check a whole 200 answer and return the client's bytes and the usage.

    Args:
        ask: what was asked; `wants_base64` has vectors of floats packed as base64.
        body: the provider's body, JSON.
        repair: makes a decoded answer regular, or None to pass the bytes on untouched.

    Returns:
        The body for the client and the usage: reported, or estimated where no count came
        that can be billed from.

    Raises:
        UpstreamProtocolError: not JSON, or not the shape of the operation's answer.
        UpstreamTooLarge: more values than MAX_VALUES in `json_text.py`; vectors have no cap.
        UpstreamTruncated: no choice at all, one that says nothing, or vectors are missing.
        UpstreamError: an error object inside the 200, classified as the status it stands for.

    Source: wire-formats §2.3-2.5, §2.12; tests/wire/test_openai_answer.py.
    """
    try:
        return _read(ask, body, repair)
    except (ValueError, RecursionError, OverflowError, struct.error):
        pass
    mended = mend_text(body)
    if mended == body:
        raise UpstreamProtocolError()
    try:
        answer = _read(ask, mended, repair)
    except (ValueError, RecursionError, OverflowError, struct.error):
        raise UpstreamProtocolError() from None
    return msgspec.structs.replace(answer, anomalies=("utf8_replaced", *answer.anomalies))


def _read(ask: Ask, body: bytes, repair: Repair | None) -> CheckedAnswer:
    if not body.isascii():
        body.decode()
    if ask.operation == "embeddings":
        # Vectors are never taken apart whole: they may have millions of numbers.
        return _read_vectors(ask, body if repair is None else _regular(body, repair))
    if holds_too_many_values(body):
        # Log probabilities of a long answer come to that: the client has asked for them.
        raise UpstreamTooLarge(
            "The provider's answer has more parts than this proxy accepts.",
            code="answer_too_large",
        )
    return _read_choices(ask, body if repair is None else _regular(body, repair))


def _regular(body: bytes, repair: Repair) -> bytes:
    value: Any = _decode_any(body)
    if not isinstance(value, dict):
        raise UpstreamProtocolError()
    # Of an error nothing is to be repaired, it is read as it came.
    return body if value.get("error") else _encode(repair(value))


def _read_choices(ask: Ask, body: bytes) -> CheckedAnswer:
    answer = _decode_answer(body)
    check_no_error(answer.error, answer.object, body)
    if answer.choices is None:
        raise UpstreamProtocolError()
    if not answer.choices:
        raise UpstreamTruncated("The provider's answer holds no choice.")
    is_chat = ask.operation == "chat"
    for choice in answer.choices:
        if choice.finish_reason == "error":
            raise UpstreamServerError()
        said, start = (choice.message, b"{") if is_chat else (choice.text, b'"')
        if not bytes(said).startswith(start):
            raise UpstreamTruncated("The provider's answer holds a choice that says nothing.")
    usage = _reported_usage(answer)
    if usage is None:
        usage = estimate_usage(ask, sum(_count_said(choice, is_chat) for choice in answer.choices))
    return CheckedAnswer(body, usage, _anomalies(answer, usage))


def _read_vectors(ask: Ask, body: bytes) -> CheckedAnswer:
    answer = _decode_vectors(body)
    check_no_error(answer.error, answer.object, body)
    if answer.data is None:
        raise UpstreamProtocolError()
    if len(answer.data) < ask.choices:
        raise UpstreamTruncated("The provider's answer holds fewer vectors than were asked for.")
    if not all(bytes(item.embedding).startswith((b"[", b'"')) for item in answer.data):
        raise UpstreamProtocolError()
    if ask.wants_base64 and any(bytes(item.embedding).startswith(b"[") for item in answer.data):
        body = _pack_vectors(body)
    usage = _reported_usage(answer, has_output=False) or estimate_usage(ask, 0)
    return CheckedAnswer(body, usage, _anomalies(answer, usage))


def _pack_vectors(body: bytes) -> bytes:
    """Do what was asked where the provider knows floats only: little-endian float32."""
    fields = _decode_fields(body)
    items = []
    for item in _decode_items(fields["data"]):
        packed: dict[str, Raw | bytes] = dict(item)
        if bytes(item["embedding"]).startswith(b"["):
            vector = _decode_floats(item["embedding"])
            packed["embedding"] = _encode(
                base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
            )
        items.append(build_object(packed))
    return build_object({**fields, "data": b"[" + b",".join(items) + b"]"})


def _count_said(choice: _Choice, is_chat: bool) -> int:
    """Return the bytes that one choice says: of its message, or of its text."""
    if not is_chat:
        return count_bytes(_decode_any(choice.text))
    try:
        return count_said_bytes(_decode_said(choice.message))
    except (ValueError, RecursionError):
        return len(bytes(choice.message))


def _reported_usage(answer: _Answer | _Vectors, *, has_output: bool = True) -> Usage | None:
    return None if answer.usage is NO_VALUE else parse_usage(answer.usage, has_output=has_output)


def _anomalies(answer: _Answer | _Vectors, usage: Usage) -> tuple[Anomaly, ...]:
    is_usable = usage.source == "reported" or bytes(answer.usage) in (b"", b"null")
    return () if is_usable else ("usage_anomaly",)
