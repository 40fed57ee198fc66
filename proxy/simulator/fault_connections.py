"""Faults of the connection: it is refused, breaks, ends too early, or falls silent."""

from proxy.simulator.draft import (
    Draft,
    build_body,
    build_frames,
    build_good,
    build_stream,
    encode_body,
)
from proxy.simulator.fault_kind import Fault, first_frames
from proxy.simulator.plan import (
    Again,
    Cut,
    Data,
    End,
    Framing,
    Head,
    Raw,
    Refuse,
    Reset,
    Spoil,
    Stall,
    Step,
    Wait,
)
from proxy.simulator.wire_format import JSON_HEADERS

_ENDLESS_GAP_S = 0.005
_UNASKED = b'{"answer":"meant for someone else"}'
_POISON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(_UNASKED),
    _UNASKED,
)


def refuse(draft: Draft) -> tuple[Step, ...]:
    """No connection."""
    return (Refuse(),)


def reset_before_headers(draft: Draft) -> tuple[Step, ...]:
    """The request is read, then the connection is reset."""
    return (Reset(),)


def never_answer(draft: Draft) -> tuple[Step, ...]:
    """The request is read and that is all."""
    return (Stall(),)


def headers_only(draft: Draft) -> tuple[Step, ...]:
    """Status and headers, then silence."""
    headers = draft.stream_headers if draft.streams else JSON_HEADERS
    return (Head(200, headers + draft.format.headers), Stall())


def reset_after_content(draft: Draft) -> tuple[Step, ...]:
    """Part of the answer, then a reset."""
    return _strike(draft, Reset())


def stall_after_content(draft: Draft) -> tuple[Step, ...]:
    """Part of the answer, then silence."""
    return _strike(draft, Stall())


def drip(draft: Draft) -> tuple[Step, ...]:
    """Part of the answer, then single bytes of an event that never becomes whole."""
    gap = Wait((draft.knobs.gap_ms or 0) / 1000)
    start = Data(b'data: {"slow":"' if draft.streams else b" ")
    return _strike(draft, start, gap, Data(b"." if draft.streams else b" "), Again(2))


def end_early(draft: Draft) -> tuple[Step, ...]:
    """Part of the answer, then the last chunk as if it were all."""
    return _strike(draft, End())


def close_early(draft: Draft) -> tuple[Step, ...]:
    """Part of an answer that ends where the connection does."""
    return _strike(draft, Cut(), framing="close")


def cut_chunked(draft: Draft) -> tuple[Step, ...]:
    """Part of a chunked answer, then a close without the last chunk."""
    return _strike(draft, Cut())


def cut_length(draft: Draft) -> tuple[Step, ...]:
    """Fewer bytes than Content-Length promised, then a close."""
    return _strike(draft, Cut(), framing="length")


def only_done(draft: Draft) -> tuple[Step, ...]:
    """A stream of nothing but its terminator."""
    return build_stream(draft, [draft.format.done])


def never_end(draft: Draft) -> tuple[Step, ...]:
    """An answer without an end, whatever `max_tokens` says."""
    if not draft.streams:
        return _strike(draft, Data(b" " * 65_536), Wait(_ENDLESS_GAP_S), Again(2))
    # In some formats the first token opens a block, which may be done only once.
    until = draft.opening_chunks + min(draft.token_chunks, 2)
    frames = build_frames(draft)[:until]
    gap = Wait(draft.token_gap_s or _ENDLESS_GAP_S)
    return build_stream(draft, frames, ending=(gap, Data(frames[-1], 1), Again(2)))


def die_on_reuse(draft: Draft) -> tuple[Step, ...]:
    """A good answer; the kept-alive connection is reset when it is used again."""
    return (*build_good(draft), Spoil())


def add_bytes(draft: Draft) -> tuple[Step, ...]:
    """A good answer with a second, unasked answer behind it on the same connection."""
    ending = (End(), Raw(_POISON), Stall())
    if draft.streams:
        return build_stream(draft, build_frames(draft), framing="length", ending=ending)
    return build_body(draft, encode_body(draft), framing="length", ending=ending)


def _strike(draft: Draft, *ending: Step, framing: Framing = "chunked") -> tuple[Step, ...]:
    """Send the first events, or half of the body, and then `ending`."""
    if draft.streams:
        whole = sum(map(len, build_frames(draft)))
        frames = first_frames(draft)
        return build_stream(draft, frames, framing=framing, content_length=whole, ending=ending)
    body = encode_body(draft)
    half = Data(body[: len(body) // 2])
    headers = JSON_HEADERS + draft.format.headers
    return (Head(200, headers, framing, len(body)), half, *ending)


CONNECTION_FAULTS = (
    Fault("u1-refused", "U1", "the connection is refused", refuse, faces=("in-process",)),
    Fault("u3-reset-before-headers", "U3", "reset once the request is read", reset_before_headers),
    Fault("u4-black-hole", "U4", "accepts the request and never answers", never_answer),
    Fault(
        "u5-dead-on-reuse",
        "U5",
        "good answer; the kept-alive connection is reset on its next request",
        die_on_reuse,
        faces=("http",),
    ),
    Fault("u6-headers-then-silence", "U6", "200 and headers, then nothing", headers_only),
    Fault("u7-reset-after-content", "U7", "part of the answer, then a reset", reset_after_content),
    Fault("u8-stall-after-content", "U8", "part of the answer, then silence", stall_after_content),
    Fault("u9-drip", "U9", "part of the answer, then a byte each `gap_ms` for ever", drip),
    Fault("u10-eof-chunked", "U10", "ends in good order, but without a finish", end_early),
    Fault("u10-eof-close", "U10", "the same, its end marked by a close", close_early),
    Fault("u10-done-only", "U10", "a stream of `[DONE]` alone", only_done, shape="stream"),
    Fault("u11-chunked-cut", "U11", "closed without the last chunk", cut_chunked),
    Fault("u11-length-short", "U11", "closed before Content-Length is reached", cut_length),
    Fault(
        "u32-extra-bytes",
        "U32",
        "good answer with a second, unasked one behind it",
        add_bytes,
        faces=("http",),
    ),
    Fault("u17-endless", "U17", "never ends, whatever `max_tokens` says", never_end),
)
