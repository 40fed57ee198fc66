"""Faults that are a short answer of their own: error statuses, redirects, broken heads."""

from collections.abc import Callable
from email.utils import formatdate

from proxy.simulator.draft import (
    Draft,
    build_failure,
    build_frames,
    build_good,
    build_reply,
    encode_body,
)
from proxy.simulator.fault_kind import Fault
from proxy.simulator.plan import Cut, Data, End, Head, Raw, Step
from proxy.simulator.wire_format import JSON_HEADERS, Words

Play = Callable[[Draft], tuple[Step, ...]]
_HTML = (("content-type", "text/html; charset=utf-8"),)
_INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"


def reply(
    status: int,
    message: str,
    type_: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Play:
    """Return a fault that answers with `status` and an error object."""
    words = Words(message, type_, param, code)
    return lambda draft: build_failure(draft.format, status, words, headers)


def limit_until_date(draft: Draft) -> tuple[Step, ...]:
    """429 whose Retry-After is a date, two seconds away."""
    words = Words("Too many requests.", "requests", None, "rate_limit_exceeded")
    retry_after = ("retry-after", formatdate(draft.created_at + 2, usegmt=True))
    return build_failure(draft.format, 429, words, (retry_after,))


def page(status: int, title: str) -> Play:
    """Return a fault that answers as a gateway in front of the provider would: with a page."""
    html = f"<html><head><title>{status} {title}</title></head><body>{title}</body></html>"
    steps = build_reply(status, html.encode(), _HTML)
    return lambda draft: steps


def redirect(status: int) -> Play:
    """Return a fault that sends the request elsewhere."""
    return lambda draft: (
        Head(status, (("location", draft.knobs.location or "/"),), "length", 0),
        End(),
    )


def refuse_early(draft: Draft) -> tuple[Step, ...]:
    """400 before the request has been read."""
    words = Words("The request was refused unread.", "invalid_request_error")
    status, headers, body = draft.format.build_error(400, words)
    return (Head(status, headers, "length", len(body)), Data(body, 1), End())


def flood_interim(draft: Draft) -> tuple[Step, ...]:
    """A thousand interim responses before the good answer."""
    flood = Raw(_INTERIM * 1000, "The provider sends interim responses without end.")
    return (flood, *build_good(draft))


def many_headers(draft: Draft) -> tuple[Step, ...]:
    """A good answer under 1,000 headers."""
    lines = b"".join([b"x-padding-%d: 0\r\n" % number for number in range(1000)])
    return _answer_raw(draft, lines, "The provider's answer has too many headers.")


def big_header(draft: Draft) -> tuple[Step, ...]:
    """A good answer under one header of 100,000 bytes."""
    line = b"x-padding: " + b"0" * 100_000 + b"\r\n"
    return _answer_raw(draft, line, "The provider's answer has a header that is too large.")


def junk_status(draft: Draft) -> tuple[Step, ...]:
    """Something that is no HTTP at all."""
    wire = b"ICE/9.9 TWO HUNDRED fine weather today\r\n\r\n"
    return (Raw(wire, "The provider's answer is not HTTP."), Cut())


def _answer_raw(draft: Draft, lines: bytes, error: str) -> tuple[Step, ...]:
    body = b"".join(build_frames(draft)) if draft.streams else encode_body(draft)
    media = dict(draft.stream_headers if draft.streams else JSON_HEADERS)["content-type"].encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n" % (media, len(body))
    return (Raw(head + lines + b"\r\n" + body, error), Cut())


_LIMIT = ("Too many requests.", "requests")
REPLY_FAULTS = (
    Fault(
        "u21-429-seconds",
        "U21",
        "429 with `Retry-After: 2`",
        reply(429, *_LIMIT, code="rate_limit_exceeded", headers=(("retry-after", "2"),)),
    ),
    Fault(
        "u21-429-ms",
        "U21",
        "429 with `Retry-After-Ms: 150`",
        reply(429, *_LIMIT, code="rate_limit_exceeded", headers=(("retry-after-ms", "150"),)),
    ),
    Fault("u21-429-date", "U21", "429 whose Retry-After is a date", limit_until_date),
    Fault(
        "u21-429-bare",
        "U21",
        "429 that does not say how long",
        reply(429, *_LIMIT, code="rate_limit_exceeded"),
    ),
    Fault(
        "u22-quota",
        "U22",
        "429: the account is out of money",
        reply(
            429,
            "You exceeded your current quota.",
            "insufficient_quota",
            code="insufficient_quota",
        ),
    ),
    Fault(
        "u23-503",
        "U23",
        "503 overloaded, with `Retry-After: 1`",
        reply(
            503,
            "The engine is overloaded.",
            "service_unavailable_error",
            code="server_is_overloaded",
            headers=(("retry-after", "1"),),
        ),
    ),
    Fault("u23-529", "U23", "529 overloaded", reply(529, "Overloaded.", "overloaded_error")),
    Fault("u24-500", "U24", "500", reply(500, "The server had an error.", "server_error")),
    Fault("u24-502", "U24", "502 as a gateway's page", page(502, "Bad Gateway")),
    Fault("u24-504", "U24", "504 as a gateway's page", page(504, "Gateway Time-out")),
    Fault("u24-524", "U24", "524 as a gateway's page", page(524, "A timeout occurred")),
    Fault(
        "u25-401",
        "U25",
        "401: the provider refuses our key",
        reply(401, "Incorrect API key provided.", "invalid_request_error", code="invalid_api_key"),
    ),
    Fault(
        "u25-403",
        "U25",
        "403: the key may not use this",
        reply(403, "Your region is not supported.", "permission_error"),
    ),
    Fault(
        "u26-404",
        "U26",
        "404: the provider does not know the model",
        reply(
            404,
            "The model does not exist.",
            "invalid_request_error",
            param="model",
            code="model_not_found",
        ),
    ),
    Fault(
        "u27-context-length",
        "U27",
        "400: the prompt is too long",
        reply(
            400,
            "This model's maximum context length is 8192 tokens.",
            "invalid_request_error",
            param="messages",
            code="context_length_exceeded",
        ),
    ),
    Fault(
        "u27-content-filter",
        "U27",
        "400: the prompt is refused",
        reply(
            400,
            "Your request was rejected by our safety system.",
            "invalid_request_error",
            code="content_policy_violation",
        ),
    ),
    Fault(
        "u27-bad-param",
        "U27",
        "400: a field is not supported",
        reply(
            400,
            "Unsupported parameter: 'temperature'.",
            "invalid_request_error",
            param="temperature",
            code="unsupported_parameter",
        ),
    ),
    *[
        Fault(f"u30-{status}", "U30", f"{status} to `location`", redirect(status))
        for status in (301, 302, 307, 308)
    ],
    Fault("u31-interim-flood", "U31", "1,000 interim responses first", flood_interim),
    Fault("u31-many-headers", "U31", "1,000 headers", many_headers),
    Fault("u31-big-header", "U31", "a header of 100,000 bytes", big_header),
    Fault("u31-junk-status", "U31", "a status line that is no HTTP", junk_status),
    Fault("u40-early-400", "U40", "400 while the body is still being sent", refuse_early),
)
