"""Cross-origin answers: which browsers' pages may call this server."""

from collections.abc import Mapping, Sequence

_NONE: Mapping[str, str] = {}
_EXPOSED = (
    "x-request-id, request-id, x-llm-proxy-model, x-llm-proxy-provider, x-llm-proxy-attempts, "
    "x-llm-proxy-reason, x-llm-proxy-dropped-params, x-llm-proxy-reasoning, retry-after, "
    "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests"
)
_METHODS = "GET, POST, DELETE, OPTIONS"
_MAX_AGE_S = "86400"


def build_cors_headers(origin: str | None, allowed: Sequence[str]) -> Mapping[str, str]:
    """
    Return the headers that let a page of `origin` read an answer; none if it may not.

    Credentials (cookies) are never allowed: keys travel in headers that the page itself sets.
    """
    if origin is None:
        return _NONE
    if "*" in allowed:
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": _EXPOSED}
    if origin in allowed:
        return {
            "Access-Control-Allow-Origin": origin,
            "Vary": "Origin",
            "Access-Control-Expose-Headers": _EXPOSED,
        }
    return _NONE


def build_preflight_headers(
    origin: str | None, asked_headers: str | None, allowed: Sequence[str]
) -> Mapping[str, str]:
    """Return the headers that answer a browser's question before its real request."""
    headers = build_cors_headers(origin, allowed)
    if not headers:
        return _NONE
    return {
        **headers,
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": asked_headers or "authorization, content-type, x-api-key",
        "Access-Control-Max-Age": _MAX_AGE_S,
    }
