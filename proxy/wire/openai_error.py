"""Errors in OpenAI's shape: ours for clients, and a provider's for us."""

from collections.abc import Mapping
from typing import Any

import msgspec

from proxy.domain.errors import (
    ProxyError,
    UpstreamAuthError,
    UpstreamError,
    UpstreamModelNotFound,
    UpstreamOverloaded,
    UpstreamQuotaExhausted,
    UpstreamRateLimited,
    UpstreamRedirect,
    UpstreamRejected,
    UpstreamServerError,
    UpstreamTimeout,
)
from proxy.wire.error_text import clean_text
from proxy.wire.json_text import encode
from proxy.wire.retry_after import parse_retry_after
from proxy.wire.sse import build_event

_QUOTA_CODES = frozenset(("insufficient_quota", "credit_balance_exhausted", "payment_required"))
_AUTH_CODES = frozenset(("invalid_api_key", "authentication_error", "authentication"))
_OVERLOAD_CODES = frozenset(
    ("overloaded_error", "server_is_overloaded", "capacity_exceeded", "provider_overloaded")
)
_CONTEXT_MARKS = (
    "maximum context length",
    "context_length_exceeded",
    "input tokens exceed the configured limit",
    "exceeds the available context size",
    "is longer than the model's context length",
    "maximum prompt length",
    "reduce the length of the messages",
)
_DEEPEST = 3

NO_VALUE = msgspec.Raw(b"")
"""Default of a raw field that did not come."""
_FALSY = (b"", b"null", b"false", b'""', b"{}", b"[]", b"0")


class UpstreamFault(msgspec.Struct, frozen=True):
    """What a provider's error body says, whatever its shape."""

    message: str = ""
    type: str = ""
    code: str = ""
    param: str | None = None


def build_error_body(error: ProxyError) -> bytes:
    """Return the JSON body for an error: `{"error": {message, type, param, code}}`."""
    return encode(
        {
            "error": {
                "message": error.message,
                "type": error.type,
                "param": error.param,
                "code": error.code,
            }
        }
    )


def build_error_event(error: ProxyError) -> bytes:
    """Return the last event of a stream that failed; no `[DONE]` may follow it."""
    return build_event(build_error_body(error))


def read_error_answer(
    status: int, headers: Mapping[str, str], body: bytes, now_at: float
) -> UpstreamError:
    """
    Return what a provider's answer with an error status means for us and for the client.

    Args:
        status: any but 2xx.
        headers: names in lower case; `retry-after` and `retry-after-ms` are read.
        body: as much of the body as was read, in any format.
        now_at: epoch seconds.

    Returns:
        An error of the one tree. Only where the client can mend its request does it carry
        the provider's own words, cleaned.

    Source: wire-formats §7; tests/wire/test_openai_error.py has a case per class.
    """
    fault = parse_fault(body)
    error = classify_fault(status, fault)
    if isinstance(error, UpstreamRateLimited | UpstreamOverloaded):
        error.retry_after_s = parse_retry_after(headers, now_at)
    return error


def read_error_object(value: object) -> UpstreamError:
    """
    Return what an error object inside a 200 means, as the status that it stands for.

    Args:
        value: the decoded `error` member, or the whole object that carried it.
    """
    fault = _fault_of(value, 0)
    if fault.code.isascii() and fault.code.isdigit() and 400 <= int(fault.code) <= 599:
        return classify_fault(int(fault.code), fault)
    words = {fault.code, fault.type}
    if words & _OVERLOAD_CODES:
        return classify_fault(503, fault)
    if words & _QUOTA_CODES or words & {"rate_limit_error", "rate_limit_exceeded"}:
        return classify_fault(429, fault)
    if words & {"invalid_request_error", "BadRequestError", "context_length_exceeded"}:
        return classify_fault(400, fault)
    return classify_fault(500, fault)


def check_no_error(error: msgspec.Raw, kind: str | None, text: bytes) -> None:
    """
    Raise what an answer with status 200 says went wrong, if it says so.

    Args:
        error: the raw `error` member, NO_VALUE where there is none.
        kind: the `object` member; older vLLM says "error" here and has the fault beside it.
        text: the whole object.

    Raises:
        UpstreamError: classified as the status it stands for.
    """
    if bytes(error) not in _FALSY:
        raise read_error_object(msgspec.json.decode(error))
    if kind == "error":
        raise read_error_object(msgspec.json.decode(text))


def classify_fault(status: int, fault: UpstreamFault) -> UpstreamError:
    """Return the error of our tree for a status and what its body said."""
    words = {fault.code, fault.type}
    if words & _QUOTA_CODES or status == 402:
        return UpstreamQuotaExhausted()
    if status in (401, 403) or words & _AUTH_CODES or _is_refused_key(status, fault):
        return UpstreamAuthError()
    if status == 429:
        return UpstreamRateLimited()
    if status in (498, 503, 529) or words & _OVERLOAD_CODES:
        return UpstreamOverloaded()
    if status in (408, 504, 524):
        return UpstreamTimeout()
    if status >= 500:
        return UpstreamServerError()
    if status == 404:
        return UpstreamModelNotFound()
    if 300 <= status < 400:
        return UpstreamRedirect()
    return _rejected(status, fault)


def parse_fault(body: bytes) -> UpstreamFault:
    """Return what an error body says; HTML and other text become its `message`."""
    try:
        return _fault_of(msgspec.json.decode(body), 0)
    except (msgspec.DecodeError, RecursionError):
        return UpstreamFault(message=body[:4096].decode("utf-8", "replace"))


def _rejected(status: int, fault: UpstreamFault) -> UpstreamRejected:
    code = clean_text(fault.code) if fault.code and not fault.code.isdigit() else None
    lowered = fault.message.lower()
    if code == "context_length_exceeded" or fault.type == "exceed_context_size_error" or any(
        mark in lowered for mark in _CONTEXT_MARKS
    ):
        status, code = 400, "context_length_exceeded"
    message = clean_text(fault.message) or None
    param = clean_text(fault.param) if fault.param else None
    return UpstreamRejected(status, message, param=param, code=code)


def _is_refused_key(status: int, fault: UpstreamFault) -> bool:
    # xAI answers a wrong key with 400 and says so only in words.
    return status == 400 and "api key" in fault.message.lower() and "incorrect" in fault.message.lower()


def _fault_of(value: Any, depth: int) -> UpstreamFault:
    """Find message, type, code and param in any of the shapes that providers use."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, str):
        return UpstreamFault(message=value)
    if not isinstance(value, dict) or depth > _DEEPEST:
        return UpstreamFault()
    inner = value.get("error") or value.get("errors") or value.get("detail")
    if isinstance(inner, str):
        return UpstreamFault(message=inner, type=_text(value, "type"), code=_text(value, "code"))
    if inner:
        return _fault_of(inner, depth + 1)
    message = value.get("message") or value.get("msg")
    if isinstance(message, dict | list):
        return _fault_of(message, depth + 1)
    return UpstreamFault(
        message=message if isinstance(message, str) else "",
        type=_text(value, "type"),
        code=_text(value, "code") or _error_type(value),
        param=_text(value, "param") or None,
    )


def _error_type(value: dict[str, Any]) -> str:
    metadata = value.get("metadata")
    return _text(metadata, "error_type") if isinstance(metadata, dict) else ""


def _text(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    if isinstance(found, bool) or not isinstance(found, str | int):
        return ""
    return str(found)
