"""Our errors in Anthropic's shape, as answers and as the event that ends a stream."""

import re

from proxy.domain.errors import ProxyError
from proxy.wire.json_text import encode

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_TOO_LONG = "prompt is too long"
_NUMBER = r"[( ]{0,4}([0-9][0-9,]{0,15})"
_HIGHEST = re.compile(
    "(?:maximum (?:context|prompt) length (?:is|of)|maximum number of tokens allowed"
    "|available context size|context window of|configured limit of|prompt cannot exceed)" + _NUMBER
)
_ASKED = re.compile(
    "(?:resulted in|requested(?: about)?|input token count|request"
    "|request contains|prompt contains|input contains|received)" + _NUMBER
)


def build_error_body(error: ProxyError, request_id: str) -> bytes:
    """
    Return the body of an error reply.

    Args:
        error: its status says the type, as Anthropic's clients know it; code and param of ours
            stand in `details`.
        request_id: of the request that failed.

    Source: wire-formats §2.8, §3.1 and §6.4; tests/wire/test_anthropic_error.py.
    """
    details = {
        name: value
        for name, value in (("error_code", error.code), ("param", error.param))
        if value is not None
    }
    told = {"type": _find_type(error.status), "message": _read_message(error)}
    return encode(
        {
            "type": "error",
            "error": {**told, "details": details} if details else told,
            "request_id": request_id,
        }
    )


def build_error_event(error: ProxyError, request_id: str) -> bytes:
    """Return the last event of a stream that failed; nothing may follow it."""
    return b"event: error\ndata: " + build_error_body(error, request_id) + b"\n\n"


def _find_type(status: int) -> str:
    return _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def _read_message(error: ProxyError) -> str:
    """Return an error's words; agents look for Anthropic's own where the prompt is too long."""
    message = error.message
    lowered = message.lower()
    if error.code != "context_length_exceeded" or _TOO_LONG in lowered:
        return message
    asked, highest = _ASKED.search(lowered), _HIGHEST.search(lowered)
    if asked is None or highest is None:
        return f"{_TOO_LONG}: {message}"
    return f"{_TOO_LONG}: {_digits(asked[1])} tokens > {_digits(highest[1])} maximum"


def _digits(number: str) -> str:
    return number.replace(",", "")
