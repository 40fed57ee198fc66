"""
W3C trace context by hand: read the client's, make the one that goes upstream.

No spans are kept here and no SDK is asked. The pipeline reads both headers of a request and
sets both on the outbound one; the trace id goes into the request's log line.
"""

import re

from msgspec import Struct

MAX_TRACESTATE_CHARS = 512

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_KNOWN_FLAGS = 0x03
"""`sampled` and, of level 2, `random-trace-id`; all others must be sent as zero."""
_MEMBER = re.compile(
    r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


class Trace(Struct, frozen=True):
    """The trace that a request belongs to, as the client's `traceparent` named it."""

    trace_id: str
    """32 lower-case hexadecimal digits, not all zero."""
    parent_id: str
    """16 lower-case hexadecimal digits, not all zero: the client's span."""
    flags: int = 0
    """One byte; bit 0 says that the trace is sampled."""


def read_traceparent(value: str | None) -> Trace | None:
    """
    Return the trace that a `traceparent` header names, None for a missing or invalid one.

    Args:
        value: the header as it came.

    Returns:
        A trace, or None: an invalid header counts as none, as the standard asks. A version
        above 00 is read by the rules of 00 and may be longer; version ff is invalid.

    Source: W3C Trace Context, sections 3.2.2 to 3.2.4, https://www.w3.org/TR/trace-context/.
    """
    match = _TRACEPARENT.fullmatch(value) if value is not None else None
    if match is None:
        return None
    version, trace_id, parent_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    if trace_id == "0" * 32 or parent_id == "0" * 16:
        return None
    return Trace(trace_id, parent_id, int(flags, 16))


def child_traceparent(trace: Trace, random_bits: int) -> str:
    """
    Return the `traceparent` of a request that we send as part of `trace`.

    Args:
        trace: what `read_traceparent` returned.
        random_bits: any integer; its lowest 64 bits become our span's id.

    Returns:
        A header of version 00 with the same trace id; flags that we do not know are zero.

    Source: W3C Trace Context, section 3.2.
    """
    # An id of all zeros is invalid; this one in 2^64 becomes 1.
    span_id = (random_bits & 0xFFFF_FFFF_FFFF_FFFF) or 1
    return f"00-{trace.trace_id}-{span_id:016x}-{trace.flags & _KNOWN_FLAGS:02x}"


def read_tracestate(value: str | None) -> str | None:
    """
    Return a `tracestate` header that may be passed on, None for a missing or invalid one.

    Args:
        value: the header as it came. Pass it on only beside a valid `traceparent`.

    Returns:
        `value` itself if it holds at most 512 characters and 32 `key=value` members, each key
        once; None otherwise, as the standard lets us drop what does not parse.

    Source: W3C Trace Context, section 3.3.1.
    """
    if not value or len(value) > MAX_TRACESTATE_CHARS:
        return None
    members = [member.strip(" \t") for member in value.split(",")]
    keys = [member.partition("=")[0] for member in members if member]
    if not keys or len(keys) > 32 or len(set(keys)) != len(keys):
        return None
    if all(_MEMBER.fullmatch(member) for member in members if member):
        return value
    return None
