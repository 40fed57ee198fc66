"""
Where the two transports tell different things, and why each may: nothing else may differ.

A row says what it is about, how far the two may then differ, and in which bytes outside the body
its cause is found. The first row that fits is taken; each has to fit somewhere, or it is one too
many, unless it is said to be rare.
"""

import re
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from tests.upstream.differential.playing import Events
from tests.upstream.differential.responses import Case

MOST_FIELDS = 128
MOST_FIELD_BYTES = 8190
_JUNK = "UpstreamProtocolError:upstream_protocol_error"
_CUT = "UpstreamDisconnected:upstream_disconnected"

_FRAMINGS = (b"content-length", b"transfer-encoding")
_WITHOUT_BODY = (204, 304)

Relation = Callable[[Events, Events, Case], bool]


class Difference(Struct, frozen=True):
    """One right difference; `fits` takes what aiohttp's and what our own transport told."""

    name: str
    reason: str
    fits: Relation
    cause: re.Pattern[bytes]
    is_rare: bool = False
    """Thousands of cases may be without it."""

    def explains(self, outside: bytes, aiohttp: Events, own: Events, case: Case) -> bool:
        """Say whether this is why two events differ."""
        return self.fits(aiohttp, own, case) and self.cause.search(outside) is not None


def find_difference(outside: bytes, aiohttp: Events, own: Events, case: Case) -> Difference | None:
    """
    Return the row that says why two events differ, None if none does.

    Args:
        outside: the case's bytes that may be a cause: those outside its body, if they are known.
        aiohttp: what the transport over aiohttp told.
        own: what our own transport told.
        case: what both were sent.
    """
    for row in DIFFERENCES:
        if row.explains(outside, aiohttp, own, case):
            return row
    return None


def _own_refuses(aiohttp: Events, own: Events, case: Case) -> bool:
    """Ours refuses the head, or breaks the body, that aiohttp lets pass; nothing else differs."""
    is_refused = own.refusal == _JUNK and not own.status
    is_broken = (own.status, own.headers, own.ending) == (aiohttp.status, aiohttp.headers, _JUNK)
    return (is_refused or is_broken) and not own.reused and own.sent == aiohttp.sent


def _own_answers_and_closes(aiohttp: Events, own: Events, case: Case) -> bool:
    """Ours tells a whole answer, once, and drops the connection; aiohttp tells no answer."""
    is_lost = aiohttp.refusal == _JUNK and not aiohttp.status
    return is_lost and own.ending == "complete" and not own.reused and own.sent == aiohttp.sent


def _own_goes_on(aiohttp: Events, own: Events, case: Case) -> bool:
    """aiohttp refuses the head, and ours what follows, or nothing."""
    return aiohttp.refusal == _JUNK and own.sent == aiohttp.sent


def _own_tells_the_reset(aiohttp: Events, own: Events, case: Case) -> bool:
    """All is the same but the ending of a body without a framing of its own, which was reset."""
    is_reset = case.ending == "reset" and aiohttp.ending == "complete"
    is_framed = aiohttp.status in _WITHOUT_BODY or any(
        name in _FRAMINGS for name, _ in aiohttp.headers
    )
    return is_reset and not is_framed and own == replace(aiohttp, ending=_CUT)


def _own_waits(aiohttp: Events, own: Events, case: Case) -> bool:
    """aiohttp takes the body for an empty one, and ours waits for the rest of it."""
    is_empty = aiohttp.ending == "complete" and not aiohttp.body
    return is_empty and own.ending == _CUT and not own.reused


def _own_reuses_not(aiohttp: Events, own: Events, case: Case) -> bool:
    """All is the same but that ours does not use the connection again."""
    return aiohttp.reused and own == replace(aiohttp, reused=False)


def _own_counts_later(aiohttp: Events, own: Events, case: Case) -> bool:
    """What is too long breaks the answer with aiohttp, and with ours its cut."""
    is_junk = _JUNK in (aiohttp.refusal, aiohttp.ending)
    is_cut = _CUT in (own.refusal, own.ending)
    return is_junk and is_cut and own.sent == aiohttp.sent and not own.reused


def _own_refuses_at_once(aiohttp: Events, own: Events, case: Case) -> bool:
    """Both refuse: aiohttp waits for what never comes, ours does not."""
    return aiohttp.refusal == _CUT and own.refusal == _JUNK and own.sent == aiohttp.sent


_ANY = re.compile(b"")
# aiohttp counts the name before along with a name: somewhat less is too long for it, too.
_LONG_LINE = re.compile(rb"(?:\A|\n)[^\r\n]{%d}" % (MOST_FIELD_BYTES - 80))
# A line with a colon, and those behind it that have none; the first is the status line's end.
_MANY_LINES = re.compile(
    rb"(?:\r\n[^\r\n:]+:[^\r\n]*+(?:\r\n[^\r\n:]*+(?=\r))*+){%d}" % (MOST_FIELDS + 1)
)

DIFFERENCES = (
    Difference(
        "a reset behind a body that only the close delimits",
        "RFC 9112, 8: such a body is complete when the connection closes in good order; aiohttp "
        "does not look at how it has closed.",
        _own_tells_the_reset,
        _ANY,
    ),
    Difference(
        "another protocol that llhttp knows",
        "Who was asked for HTTP and answers RTSP or ICE is not who was meant.",
        _own_refuses,
        re.compile(rb"\A(?:RTSP|ICE)/"),
    ),
    Difference(
        "the beginning of such a protocol, and nothing behind it",
        "Ours refuses its first byte that is none of HTTP; aiohttp waits for the others.",
        _own_refuses_at_once,
        re.compile(rb"\A(?:RT?S?P?|IC?E?)\Z"),
        is_rare=True,
    ),
    Difference(
        "a body of a 1xx",
        "RFC 9110, 15.2: a 1xx ends with its head; aiohttp reads over what llhttp calls a body.",
        _own_refuses_at_once,
        re.compile(
            rb"HTTP/1\.[01] 1\d\d[ \r][^\n]*\n(?:[^\r\n]+\r\n)*?content-length:", re.IGNORECASE
        ),
        is_rare=True,
    ),
    Difference(
        "HTTP/1.0 that says both close and keep-alive, or has chunks",
        "RFC 9112, 6.1 and 9.3: chunks of HTTP/1.0 are no sure framing, and `close` goes first.",
        _own_reuses_not,
        re.compile(
            rb"HTTP/1\.0 [^\n]*\n(?:[^\r\n]+\r\n)*?"
            rb"(?:connection:[^\n]*close|transfer-encoding:)",
            re.IGNORECASE,
        ),
    ),
    Difference(
        "a folded line",
        "RFC 9112, 5.2: a gateway answers 502 to it, or unfolds it; ours answers 502.",
        _own_refuses,
        re.compile(rb"\n[ \t]"),
    ),
    Difference(
        "a line that ends with LF alone",
        "RFC 9112, 2.2 allows to take it for the end of a line and asks nobody to; what two "
        "readers take for different lines is how answers are split.",
        _own_refuses,
        # The second: a chunk that takes the CR behind it for its own last byte.
        re.compile(rb"(?<!\r)\n|\n0*6(?:;[^\r]*)?\r\n\.{5}\r\n"),
    ),
    Difference(
        "a control character, or CR without LF, in a header or trailer",
        "RFC 9110, 5.5: such a value is invalid; aiohttp lets most of them pass.",
        _own_refuses,
        re.compile(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)"),
    ),
    Difference(
        "white space behind a chunk's size",
        "RFC 9112, 7.1 has none there.",
        _own_refuses,
        re.compile(rb"\n[0-9A-Fa-f]+[ \t]"),
    ),
    Difference(
        "a transfer encoding that is not `chunked`, once",
        "RFC 9112, 6.1: chunked is applied once, and nothing else was asked for. Ours refuses the "
        "line when it has come; aiohttp looks when the head is whole and "
        "lets `chunked` pass twice.",
        _own_refuses,
        re.compile(
            rb"(?is)\ntransfer-encoding:.*\ntransfer-encoding:"
            rb"|\ntransfer-encoding:[ \t]*(?!chunked[ \t]*\r)[^\r]*\r"
        ),
    ),
    Difference(
        "an interim answer of another version, and nothing behind it",
        "Ours judges the version of each head, aiohttp's transport of the last one.",
        _own_refuses,
        re.compile(rb"(?:\A|\n)HTTP/(?:0\.9|2\.0) 1[0-9][0-9]"),
        is_rare=True,
    ),
    Difference(
        "more than 128 headers and trailers",
        "That is our limit; aiohttp does not count the last trailer.",
        _own_refuses,
        _MANY_LINES,
        is_rare=True,
    ),
    Difference(
        "a header that no provider sends",
        "aiohttp refuses Sec-WebSocket-Key1, of a draft of 2010, in requests and answers alike.",
        _own_goes_on,
        re.compile(rb"(?i)sec-websocket-key1"),
    ),
    Difference(
        "a name and a value that are too long together",
        "Ours allows 8190 bytes to each by itself, aiohttp to both together: as good a limit.",
        _own_goes_on,
        _LONG_LINE,
    ),
    Difference(
        "a header or trailer without end that is cut",
        "aiohttp counts its bytes as they come, and ours when it is whole, or all of the framing "
        "is too much: either is a broken answer.",
        _own_counts_later,
        _LONG_LINE,
    ),
    Difference(
        "64 interim answers",
        "U31 accepts as many; aiohttp's transport has read 64 heads by then, and gives up.",
        _own_goes_on,
        re.compile(rb"(?:HTTP/1\.[01] 1[^\r]*+\r\n(?:[^\r]++\r\n)*+\r\n){64}"),
    ),
    Difference(
        "the largest number as a length",
        "aiohttp's parser has it stand for no length, and its transport takes the body for empty.",
        _own_waits,
        re.compile(rb"18446744073709551615"),
    ),
    Difference(
        "bytes behind an answer, in the read that ended it, which are no answer",
        "The answer is whole, and what follows costs its connection (U32); aiohttp loses the "
        "answer with the read. A body where none is, behind 204 and 304, is the same.",
        _own_answers_and_closes,
        _ANY,
    ),
    Difference(
        "a trailer that says `Connection: close`",
        "Such a trailer may be ignored (RFC 9110, 6.5.1); a connection less costs nothing.",
        _own_reuses_not,
        re.compile(rb"(?i)\n0+[^\n]*\n(?:.+\n)*connection:.*close"),
    ),
    Difference(
        "the start of an answer, or a blank line, behind an answer",
        "Ours drops the connection at the first byte too many, but for a blank line in the read "
        "that ended the answer; aiohttp at the first line that is none.",
        _own_reuses_not,
        re.compile(rb"(?s)(?<=.)(?:H|HTTP/1\.1 [^\r\n]*(?:\r\n[^\r\n]*)*|[\r\n]+)\Z"),
    ),
)
