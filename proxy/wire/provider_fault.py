"""
What a provider's error body says, found in any of the shapes that providers use.

Values only: what a fault means for us and for the client is judged by `openai_error.py`.
"""

import re
from typing import Any

import msgspec
from msgspec import Struct

_MOST_MESSAGE_BYTES = 4096
_DEEPEST = 3
_MOST_PARTS = 16
"""So many details, quotas and headers of one error are looked at."""
_LONGEST_VALUE = 128
_TOLD_START = '{"error":'
_STATUS = re.compile(r"[45][0-9][0-9]")
_GOOGLE_STATUS = re.compile(r"[A-Z][A-Z_]{1,31}")
_CODE = re.compile(r"[A-Za-z][\w.:/-]{0,63}", re.ASCII)


class UpstreamFault(Struct, frozen=True):
    """What a provider's error body says; "" and 0 where it does not."""

    message: str = ""
    type: str = ""
    """Of Google its `status`, such as `RESOURCE_EXHAUSTED`."""
    code: str = ""
    """A word that says what is wrong; numbers and sentences are none."""
    param: str = ""
    reason: str = ""
    """The most exact word: OpenRouter's `metadata.error_type`, Azure's `innererror.code`, Google's
    `ErrorInfo.reason`, Anthropic's `details.error_code`."""
    status: int = 0
    """The HTTP status that the body names; inside a 200 it is the only one."""
    is_moderated: bool = False
    """The body names reasons for which the input was flagged."""
    retry_delay: str = ""
    """Google's `RetryInfo.retryDelay`, such as `34.4s`."""
    quota_ids: tuple[str, ...] = ()
    """The names of the quotas that Google says are used up."""
    headers: dict[str, str] = {}
    """OpenRouter's `metadata.headers`, names in lower case: of who answered it."""
    is_page: bool = False
    """It is no JSON: a page, or plain words."""


def parse_fault(body: bytes) -> UpstreamFault:
    """
    Return what an error body says.

    Args:
        body: as much of it as was read, in any format. HTML and other text becomes the
            `message`; JSON that was cut or is broken says nothing.
    """
    try:
        return read_fault(msgspec.json.decode(body))
    except (ValueError, RecursionError):
        text = body[:_MOST_MESSAGE_BYTES].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
        if text.startswith(("{", "[")):
            return UpstreamFault()
        return UpstreamFault(message=text, is_page=True)


def read_fault(value: object) -> UpstreamFault:
    """
    Return what a decoded error body, or its `error` member, says.

    Source: wire-formats §7.1; tests/wire/test_provider_fault.py has a body of each provider.
    """
    return _read(value, 0)


def _read(value: Any, depth: int) -> UpstreamFault:
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, str):
        return UpstreamFault(message=value)
    if not isinstance(value, dict) or depth > _DEEPEST:
        return UpstreamFault()
    details = value.get("details")
    inner = value.get("error") or value.get("detail")
    if not inner and not details:
        # Where there are details, Google says in `errors` the same again without them.
        inner = value.get("errors")
    if isinstance(inner, dict | list):
        return _read(inner, depth + 1)
    message = inner or value.get("message") or value.get("msg")
    if isinstance(message, dict | list):
        return _read(message, depth + 1)
    if isinstance(message, str) and message.startswith(_TOLD_START):
        told = _decode_told(message)
        if told is not None:
            return _read(told, depth + 1)
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    return UpstreamFault(
        message=message if isinstance(message, str) else "",
        type=_read_word(value.get("type")) or _read_google_status(value.get("status")),
        code=_read_word(value.get("code")),
        param=_read_param(value),
        reason=_read_word(metadata.get("error_type"))
        or _read_inner_code(value)
        or _read_reason(details),
        status=_read_status(value.get("code"))
        or _read_status(value.get("status"))
        or _read_status(value.get("statusCode")),
        is_moderated=bool(metadata.get("reasons")),
        retry_delay=_read_retry_delay(details),
        quota_ids=_read_quota_ids(details),
        headers=_read_headers(metadata.get("headers")),
    )


def _decode_told(text: str) -> object:
    """Return the error of a server behind it, which Ollama puts into its own as text."""
    try:
        told: object = msgspec.json.decode(text) if len(text) <= _MOST_MESSAGE_BYTES else None
    except (ValueError, RecursionError):
        return None
    return told


def _read_word(value: object) -> str:
    return value if isinstance(value, str) and _CODE.fullmatch(value) else ""


def _read_inner_code(value: dict[str, Any]) -> str:
    inner = value.get("innererror") or value.get("inner_error")
    return _read_word(inner.get("code")) if isinstance(inner, dict) else ""


def _read_param(value: dict[str, Any]) -> str:
    param = value.get("param")
    if isinstance(param, str):
        return param
    # FastAPI's validation errors: ["body", "messages", 0, "role"].
    place = value.get("loc")
    if not isinstance(place, list):
        return ""
    steps = [str(step) for step in place[:8] if isinstance(step, str | int)]
    return ".".join(steps[1:] if steps[:1] == ["body"] else steps)


def _read_status(value: object) -> int:
    text = str(value) if isinstance(value, str | int) else ""
    return int(text) if _STATUS.fullmatch(text) else 0


def _read_google_status(value: object) -> str:
    return value if isinstance(value, str) and _GOOGLE_STATUS.fullmatch(value) else ""


def _read_reason(details: object) -> str:
    if isinstance(details, dict):
        return _read_word(details.get("error_code"))
    words = (_read_word(detail.get("reason")) for detail in _list_objects(details))
    return next((word for word in words if word), "")


def _read_retry_delay(details: object) -> str:
    for detail in _list_objects(details):
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and len(delay) <= _LONGEST_VALUE:
            return delay
    return ""


def _read_quota_ids(details: object) -> tuple[str, ...]:
    ids: list[object] = []
    for detail in _list_objects(details):
        # QuotaFailure names them one by one, ErrorInfo the one that was hit.
        ids += [violation.get("quotaId") for violation in _list_objects(detail.get("violations"))]
        metadata = detail.get("metadata")
        if isinstance(metadata, dict):
            ids.append(metadata.get("quota_limit"))
    return tuple(name for name in ids if isinstance(name, str) and 0 < len(name) <= _LONGEST_VALUE)


def _read_headers(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {
        name.lower(): text
        for name, text in list(value.items())[:_MOST_PARTS]
        if isinstance(name, str) and isinstance(text, str) and len(text) <= _LONGEST_VALUE
    }


def _list_objects(value: object) -> list[dict[str, Any]]:
    items = value[:_MOST_PARTS] if isinstance(value, list) else []
    return [item for item in items if isinstance(item, dict)]
