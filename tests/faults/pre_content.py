"""
Every fault that strikes before content, as one table: what a provider does in place of answering.

The rows of the catalogue that are an answer on the wire (`fault_upstream.py`), for a streamed
answer and for a whole one. Those on the way to the provider stand in the tests themselves.
"""

import gzip
from collections.abc import Iterator
from typing import Any

import msgspec

from tests.fakes.proxy_server import DONE
from tests.faults.fault_upstream import (
    BAD_HEADS,
    CONTENT,
    EVENT_FAULTS,
    FINISH,
    GOOD_EVENTS,
    ROLE,
    STRIKES,
    Deed,
    build_answer,
    build_encoded,
    build_good,
    build_json,
    build_reply,
    build_secret_error,
    build_stream,
    cut,
    drip,
    flood,
    stall,
    tell,
)
from tests.faults.oracle import UPSTREAM_SECRET

CAPS: dict[str, Any] = {"max_event_bytes": 65_536, "max_answer_bytes": 65_536}
"""Settings that some of the faults need to be one."""
HARMLESS = frozenset(("duplicate event", "drop terminal event", "invalid utf-8 in a string"))
"""Of EVENT_FAULTS: what is passed on, or mended."""

ERRORS_INSIDE_200: dict[str, tuple[Any, int, str]] = {
    "no type": (build_secret_error(), 502, "upstream_server_error"),
    "overloaded": (
        {"type": "error", "error": {"type": "overloaded_error", "message": UPSTREAM_SECRET}},
        503,
        "upstream_overloaded",
    ),
    "code 429": (build_secret_error(code=429), 429, "rate_limit_exceeded"),
    "code 502": (build_secret_error(code=502), 502, "upstream_server_error"),
    "key refused": (build_secret_error(code=401), 502, "upstream_auth"),
    "text only": ({"error": UPSTREAM_SECRET}, 502, "upstream_server_error"),
    "older vLLM": (
        {"object": "error", "message": UPSTREAM_SECRET, "code": 500},
        502,
        "upstream_server_error",
    ),
}
"""What is sent with status 200, and the status and code that it stands for."""

REFUSALS: dict[str, tuple[int, dict[str, Any], int, str]] = {
    "u21": (429, {}, 429, "rate_limit_exceeded"),
    "u22": (429, {"code": "insufficient_quota"}, 429, "insufficient_quota"),
    "u22 402": (402, {}, 429, "insufficient_quota"),
    "u23": (503, {}, 503, "upstream_overloaded"),
    "u23 529": (529, {"type": "overloaded_error"}, 503, "upstream_overloaded"),
    "u24": (500, {}, 502, "upstream_server_error"),
    "u24 502": (502, {}, 502, "upstream_server_error"),
    "u24 504": (504, {}, 504, "upstream_timeout"),
    "u24 520": (520, {}, 502, "upstream_server_error"),
    "u24 524": (524, {}, 504, "upstream_timeout"),
    "u25": (401, {}, 502, "upstream_auth"),
    "u25 403": (403, {}, 502, "upstream_auth"),
    "u26": (404, {"code": "model_not_found"}, 502, "upstream_model_not_found"),
    "u26 403": (403, {"code": "model_not_found"}, 502, "upstream_model_not_found"),
    "u26 of the request": (404, {}, 502, "upstream_not_found"),
    "u27 other 4xx": (409, {}, 502, "upstream_refused"),
}
"""The status that is sent with an error of these fields, and what it becomes."""


def _list_both(stream: bool) -> Iterator[tuple[str, Deed]]:
    """Faults that can strike an answer of either kind."""
    good = build_good(stream)
    for strike in ("cut", "reset"):
        for at in (0, 1, 20):
            yield f"u3 {strike} at {at}", STRIKES[strike](good, at)
    for at in (0, 30):
        yield f"u4 silence at {at}", stall(good, at)
    media_type = "text/event-stream" if stream else "application/json"
    bomb = gzip.compress(b"\0" * 5_000_000, 9)
    yield "u16 bomb", tell(build_encoded(bomb, "gzip", media_type))
    yield "u16 unknown encoding", tell(build_encoded(b"\x8b\x05\x80", "br", media_type))
    yield "u16 wrong encoding", tell(build_encoded(b"x" * 100, "gzip", media_type))
    page = f"<html>{UPSTREAM_SECRET}".encode()
    yield "u18 page", tell(build_reply(page, "text/html"))
    yield "u18 endless page", flood(build_reply(page, "text/html", "close"), b"words ")
    for name, (value, _, _) in ERRORS_INSIDE_200.items():
        yield f"u19 {name}", tell(build_json(value))
    for name, (status, fields, _, _) in REFUSALS.items():
        yield name, tell(build_json(build_secret_error(**fields), "length", status))
    held = build_json(build_secret_error(), "length", 429, "Retry-After: 60")
    yield "u21 with a time", tell(held)
    for status in (301, 307):
        location = "Location: http://169.254.169.254/v1"
        yield f"u30 {status}", tell(build_json({}, "length", status, location))
    for name, head in BAD_HEADS.items():
        yield f"u31 {name}", tell(head)


def _list_streamed() -> Iterator[tuple[str, Deed]]:
    """Faults of a stream, before its first content."""
    for events in (0, 1):
        head = build_stream(GOOD_EVENTS[:events], "close")
        yield f"u6 silence behind {events} events", stall(head)
        yield f"u10 end behind {events} events", cut(head)
        whole = build_stream(framing="length")
        yield f"u11 cut behind {events} events", cut(whole, whole.index(GOOD_EVENTS[events]))
        for name, fault in EVENT_FAULTS.items():
            if name not in HARMLESS:
                # Nothing ends it: what is wrong must be seen by itself.
                spoilt = build_stream(fault(GOOD_EVENTS, events), "close")
                strike = cut if name == "cut after event" else stall
                yield f"u12 {name} behind {events} events", strike(spoilt)
    yield "u6 comments", flood(build_stream([ROLE], "close"), b": still here\n\n")
    yield "u9 drip", drip(build_stream(), len(build_stream([])), 0.01)
    yield "u10 end and no content", tell(build_stream([ROLE, DONE]))
    yield "u18 image", tell(build_reply(b"\x89PNG", "image/png"))
    for name, (value, _, _) in ERRORS_INSIDE_200.items():
        event = b"data: " + msgspec.json.encode(value) + b"\n\n"
        yield f"u19 first event: {name}", tell(build_stream([event, CONTENT, FINISH]))


def _list_whole() -> Iterator[tuple[str, Deed]]:
    """Faults of a JSON answer, up to its last byte."""
    yield "u6 silence", stall(build_json(), -1)
    yield "u11 length cut short", cut(build_json(), -1)
    yield "u11 chunks cut short", cut(build_json(framing="chunked"), -3)
    for body in (b"", b"{oops", b"[1]", b"null", b"{}", b'{"choices": 5}'):
        yield f"u12 {body.decode()}", tell(build_reply(body, "application/json"))
    yield "u12 no choices", tell(build_json({**build_answer(), "choices": []}))
    yield "u15 too large", cut(build_reply(b"[" * 100_000, "application/json"))
    yield "u15 endless", flood(build_reply(b"[", "application/json", "close"), b"1,")
    yield "u18 stream", tell(build_stream())


PRE_CONTENT: dict[bool, dict[str, Deed]] = {
    True: {**dict(_list_both(True)), **dict(_list_streamed())},
    False: {**dict(_list_both(False)), **dict(_list_whole())},
}
"""By whether a stream is asked for, and by name: what is done in place of answering."""
