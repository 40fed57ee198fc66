"""Faults of the body: bytes that are broken, huge, oddly dressed, or of another kind."""

import gzip
import re
from collections.abc import Callable

from proxy.simulator.ask import Ask, TextAsk
from proxy.simulator.draft import (
    Draft,
    build_body,
    build_frames,
    build_good,
    build_reply,
    build_stream,
    encode_body,
)
from proxy.simulator.fault_kind import Fault, first_frames, insert_text, set_text
from proxy.simulator.plan import Data, End, Head, Step
from proxy.simulator.wire_format import JSON_HEADERS, Words

_BLOCK = b"x" * 65_536
_GZIP = (("content-encoding", "gzip"),)
_HTML = (("content-type", "text/html; charset=utf-8"),)
_PAGE = (
    b"<!doctype html><html><head><title>Please sign in</title></head>"
    b"<body><h1>Welcome to our guest network</h1></body></html>"
)
_DATA = re.compile(rb"^data: ", re.MULTILINE)
_OVERLOADED = Words("The simulated model is overloaded.", "overloaded_error", None, "overloaded")


def break_json(draft: Draft) -> tuple[Step, ...]:
    """One event (or the whole body) is not JSON."""
    if not draft.streams:
        body = encode_body(draft)
        return build_body(draft, body[: len(body) // 2])
    good = first_frames(draft)
    broken = draft.format.broken_frame
    return build_stream(draft, [*good, broken, *build_frames(draft)[len(good) :]])


def break_sse(draft: Draft) -> tuple[Step, ...]:
    """From some event on, lines lack their `data:`, the terminator too."""
    good = first_frames(draft)
    rest = [_DATA.sub(b"", frame) for frame in build_frames(draft)[len(good) :]]
    return build_stream(draft, [*good, *rest])


def dress_frames(dress: Callable[[bytes], bytes]) -> Callable[[Draft], tuple[Step, ...]]:
    """Return a fault that sends a good stream with `dress` put on every event."""
    return lambda draft: build_stream(draft, [dress(frame) for frame in build_frames(draft)])


def two_data_lines(frame: bytes) -> bytes:
    """Break an event's JSON behind its first brace into two `data:` lines."""
    return frame.replace(b"data: {", b"data: {\ndata: ", 1)


def add_bom(draft: Draft) -> tuple[Step, ...]:
    """A good stream behind a byte order mark."""
    first, *rest = build_frames(draft)
    return build_stream(draft, [b"\xef\xbb\xbf" + first, *rest])


def send_single_bytes(draft: Draft) -> tuple[Step, ...]:
    """A good answer, each byte in a write of its own."""
    steps: list[Step] = []
    for step in build_good(draft):
        if isinstance(step, Data):
            last = len(step.chunk) - 1
            steps += [
                Data(step.chunk[at : at + 1], step.events if at == last else 0)
                for at in range(last + 1)
            ]
        else:
            steps.append(step)
    return tuple(steps)


def break_utf8(draft: Draft) -> tuple[Step, ...]:
    """Bytes that are no UTF-8 inside an otherwise good text."""
    if not draft.streams:
        body = encode_body(draft, set_text(draft, "one bad @@ byte"))
        return build_body(draft, body.replace(b"@@", b"\xff\xfe"))
    good, text, rest = insert_text(draft, " one bad @@ byte")
    return build_stream(draft, [*good, text.replace(b"@@", b"\xff\xfe"), *rest])


def send_huge_line(draft: Draft) -> tuple[Step, ...]:
    """One event (or text) of `size_mb` million bytes."""
    size = (draft.knobs.size_mb or 1) * 1_000_000
    blocks = [Data(_BLOCK)] * (size // len(_BLOCK)) + [Data(_BLOCK[: size % len(_BLOCK)])]
    if not draft.streams:
        before, after = encode_body(draft, set_text(draft, "@@")).split(b"@@")
        return build_body(draft, before, ending=(*blocks, Data(after), End()))
    good, text, frames = insert_text(draft, "@@")
    before, after = text.split(b"@@")
    rest = [Data(frame, 1) for frame in frames if frame]
    huge = (Data(before), *blocks, Data(after, 1))
    return build_stream(draft, good, ending=(*huge, *rest, End()))


def compress(draft: Draft) -> tuple[Step, ...]:
    """A good answer, compressed though nobody asked for that."""
    return _compressed(draft, b"")


def bomb(draft: Draft) -> tuple[Step, ...]:
    """A good answer behind `size_mb` million bytes that compress to next to nothing."""
    filler = b" " * ((draft.knobs.size_mb or 1) * 1_000_000)
    is_event = draft.streams and draft.has_events
    return _compressed(draft, b":" + filler + b"\n\n" if is_event else filler)


def _compressed(draft: Draft, before: bytes) -> tuple[Step, ...]:
    body = b"".join(build_frames(draft)) if draft.streams else encode_body(draft)
    packed = gzip.compress(before + body, compresslevel=1, mtime=0)
    if draft.streams:
        return build_stream(draft, [packed], headers=_GZIP)
    return build_body(draft, packed, headers=_GZIP)


def send_html(draft: Draft) -> tuple[Step, ...]:
    """A page for people."""
    return build_reply(200, _PAGE, _HTML)


def swap_stream(ask: Ask) -> None:
    """Have a stream answered whole, and the reverse."""
    if isinstance(ask, TextAsk):
        ask.stream = not ask.stream
        ask.stream_options = None


def error_in_200(draft: Draft) -> tuple[Step, ...]:
    """Status 200 with nothing but an error in it, as JSON."""
    _, _, body = draft.format.build_error(529, _OVERLOADED)
    return build_reply(200, body, JSON_HEADERS + draft.format.headers)


def error_first(draft: Draft) -> tuple[Step, ...]:
    """A stream whose first event is an error."""
    error = Data(draft.format.frame_error(_OVERLOADED), 1)
    return (Head(200, draft.stream_headers + draft.format.headers), error, End())


def error_later(draft: Draft) -> tuple[Step, ...]:
    """A stream that turns into an error after some content."""
    return build_stream(draft, [*first_frames(draft), draft.format.frame_error(_OVERLOADED)])


def forget_done(draft: Draft) -> tuple[Step, ...]:
    """A finished stream without its terminator."""
    return build_stream(draft, build_frames(draft)[:-1])


_WITH_EVENTS = ("openai", "azure", "anthropic", "gemini", "cohere")
"""The formats whose streams are event streams."""
BYTE_FAULTS = (
    Fault("u10-no-done", "U10", "finishes, but sends no `[DONE]`", forget_done, shape="stream"),
    Fault("u12-bad-json", "U12", "one event is no JSON (or the body is half)", break_json),
    Fault(
        "u12-bad-sse",
        "U12",
        "lines lose their `data:`",
        break_sse,
        shape="stream",
        formats=_WITH_EVENTS,
    ),
    Fault(
        "u13-cr",
        "U13",
        "good stream, lines end with CR",
        dress_frames(lambda frame: frame.replace(b"\n", b"\r")),
        shape="stream",
        formats=_WITH_EVENTS,
    ),
    Fault(
        "u13-crlf",
        "U13",
        "good stream, lines end with CR LF",
        dress_frames(lambda frame: frame.replace(b"\n", b"\r\n")),
        shape="stream",
        formats=_WITH_EVENTS,
    ),
    Fault(
        "u13-bom",
        "U13",
        "good stream behind a byte order mark",
        add_bom,
        shape="stream",
        formats=_WITH_EVENTS,
    ),
    Fault(
        "u13-comments",
        "U13",
        "good stream, a keep-alive comment before each event",
        dress_frames(lambda frame: b": keep-alive\n\n" + frame),
        shape="stream",
        formats=_WITH_EVENTS,
    ),
    Fault(
        "u13-fields",
        "U13",
        "good stream with `event:`, `id:` and `retry:` lines",
        dress_frames(lambda frame: b"event: message\nid: 7\nretry: 3000\n" + frame),
        shape="stream",
        formats=_WITH_EVENTS,
    ),
    Fault(
        "u13-two-data-lines",
        "U13",
        "good stream, each JSON on two `data:` lines",
        dress_frames(two_data_lines),
        shape="stream",
        formats=_WITH_EVENTS,
    ),
    Fault("u13-single-bytes", "U13", "good answer, one byte per write", send_single_bytes),
    Fault("u14-bad-utf8", "U14", "bytes in a text that are no UTF-8", break_utf8, reach="text"),
    Fault("u15-huge-line", "U15", "one event of `size_mb`", send_huge_line, reach="text"),
    Fault("u16-gzip", "U16", "good answer, compressed unasked", compress),
    Fault("u16-gzip-bomb", "U16", "`size_mb` of blanks compressed to little", bomb),
    Fault("u18-html", "U18", "200 with a page for people", send_html),
    Fault(
        "u18-json-for-sse",
        "U18",
        "a whole JSON answer where a stream was asked for",
        build_good,
        shape="stream",
        reach="text",
        adapt=swap_stream,
    ),
    Fault(
        "u18-sse-for-json",
        "U18",
        "a stream where a whole answer was asked for",
        build_good,
        shape="answer",
        reach="text",
        adapt=swap_stream,
    ),
    Fault("u19-error-in-200", "U19", "200 with an error object as JSON", error_in_200),
    Fault("u19-error-first", "U19", "the first event is an error", error_first, shape="stream"),
    Fault("u20-error-later", "U20", "content, then an error event", error_later, shape="stream"),
)
