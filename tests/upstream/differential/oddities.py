"""What a broken or hostile server does to an answer: one part that should not be so, or bytes."""

from collections.abc import Callable
from random import Random

from tests.upstream.differential.responses import Draft

_VERSIONS = (
    *(b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1", b"HTTP/", b"http/1.1", b"HTTP/1.10", b""),
    *(b" HTTP/1.1", b"HTTP/1.1 ", b"\r\nHTTP/1.1", b"\nHTTP/1.1", b"ICY", b"HTTP/11", b"RTSP/1.0"),
    *(
        b"HTTP/1.1\t",
        b"HTTP /1.1",
        b"\x00HTTP/1.1",
        b"\r\n\r\nHTTP/1.1",
        b"XHTTP/1.1",
        b"HTTP/01.1",
    ),
)
_STATUSES = (
    *(b"099", b"000", b"600", b"999", b"2000", b"20", b"", b"abc", b"+20", b"-20", b"2 0", b"0x1"),
    *(b"101", b"100", b"199", b"200\x00", b" 200", b"200\t", b"\xb2\xb9\xb2"),
)
_REASONS = (
    *(b" a\x00b", b" a\rb", b" a\nb", b" \x7f", b" \xff\xfe", b"OK", b"\tOK", b"  OK", b" OK "),
    *(b" " + b"o" * 8000, b" " + b"o" * 8191, b" " + b"o" * 9000, b" \x1b[31m", b":"),
)
_FIELDS = (
    *(b"nonsense", b": no name", b"X-A : space", b"X-A\t: tab", b" X-A: leading", b"X A: inner"),
    *(b"X-A: a\r\n b", b"X-A: a\r\n\tb", b"X-A: a\r\n ", b"X-A:\r\n b", b"X-A: a\n b", b"\tX-A: a"),
    *(b"X-A: a\x00b", b"X-A: a\rb", b"X-A: a\nX-B: b", b"X-A: \x7f", b"X-A: \x01", b"X-A: a\x0bb"),
    *(b"X-\x00: a", b"X-\x01: a", b"X-\xc3\xa9: a", b"X-(: a", b"X-A;: a", b'X"A: a', b"X-A: \xff"),
    *(b"X-A: " + b"a" * 8187, b"X-A: " + b"a" * 8190, b"X-A: " + b"a" * 9000, b"X-A: \r"),
    *(b"X-" + b"a" * 8180 + b": b", b"X-" + b"a" * 9000 + b": b", b"X-A: " + b"a" * 100_000),
    *(b"X-A:" + b" " * 9000 + b"a", b"X-A: a" + b" " * 9000, b"Sec-WebSocket-Key1: a"),
    *(b"Upgrade: websocket\r\nConnection: upgrade", b"Connection: upgrade", b"Connection: \x01"),
    *(b"Connection: close, keep-alive", b"Connection: keep-alive\r\nConnection: close", b"="),
    *(
        b"Connection: closed",
        b"Connection:",
        b"Connection: keep-alive\r\n close",
        b"Connection:close,",
    ),
    *(
        b"Proxy-Connection: close",
        b"Proxy-Connection: keep-alive",
        b"HTTP/1.1 200 OK",
        b"X-A: a\r\r",
    ),
    *(b"Content-Encoding: gzip", b"Content-Encoding: \xff", b"Content-Type: a\r\nContent-Type: b"),
)
_LENGTHS = (
    *(
        b"0",
        b"-1",
        b"+5",
        b"0x5",
        b"5 5",
        b"5,5",
        b"5, 5",
        b"5,6",
        b"",
        b" ",
        b"05",
        b"5\t",
        b"1e1",
    ),
    *(b"99999999999999999999999", b"18446744073709551615", b"18446744073709551616", b"5_0", b"a"),
    *(
        b"9223372036854775807",
        b"5\x00",
        b"\xb2",
        b"5;",
        b"1.0",
        b"000000000000000000000000000000002",
    ),
)
_CODINGS = (
    *(b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"identity", b"xchunked"),
    *(
        b"chunked,",
        b",chunked",
        b"chunked;a=b",
        b"chunked \x0b",
        b"\x0bchunked",
        b"chunked\x00",
        b"",
    ),
    *(
        b"identity, chunked",
        b"chunkedx",
        b'"chunked"',
        b"chunked\r\n ",
        b"\r\n chunked",
        b"deflate",
    ),
    *(b"trailers", b"chun\tked", b"chunked, identity", b"chunked\r\nTransfer-Encoding: chunked"),
    *(b"gzip\r\nTransfer-Encoding: chunked", b"chunked\r\nTransfer-Encoding: identity"),
)
_SIZES = (
    *(b"", b"-5", b"+5", b"0x5", b"5 ", b" 5", b"5\t", b"g", b"5g", b"5_", b"ffffffffffffffff"),
    *(b"fffffffffffffffff", b"7fffffffffffffff", b"8000000000000000", b"10000000000000000", b"5,5"),
    *(b"0" * 30 + b"5", b"5;", b"5; a=b", b"5 ;a=b", b"5;a\x00", b"5;a\rb", b"5;a\nb", b"5;\x01"),
    *(b'5;a="', b'5;a="b', b"5;=", b"5;a==b", b"5;" + b"e" * 5000, b"5;" + b"e" * 20_000, b"5\r"),
    *(b"5;a=b\xff", b"5:", b"\r\n5", b"5.0", b"0", b"00", b"4", b"6", b"5;a=b ", b"5  "),
)
_TRAILERS = (
    *(b"nonsense", b": a", b"X-T : a", b" X-T: a", b"X-T: a\x00", b"X-T: a\r b", b"X-T: \x01"),
    *(b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Connection: close", b"X-T: \xff"),
    *(b"X-T: " + b"a" * 9000, b"X-T: " + b"a" * 100_000, b"X-\x00: a", b"X-T: a\n", b"X-T:"),
    *(b"Connection: keep-alive", b"X-" + b"t" * 9000 + b": a", b"X-T: a\r\n b", b"HTTP/1.1 200 OK"),
)
_INTERIM = (
    *(b"HTTP/1.1 101 Switching\r\n\r\n", b"HTTP/1.1 100 Continue\r\nContent-Length: 4\r\n\r\nevil"),
    *(
        b"HTTP/1.1 103 \r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 a\r\n\r\n",
        b"HTTP/1.1 100\n\n",
    ),
    *(b"HTTP/1.1 103 \r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"HTTP/1.0 100 a\r\n\r\n"),
    *(
        b"HTTP/1.1 103 \r\nConnection: close\r\n\r\n",
        b"HTTP/2.0 100 a\r\n\r\n",
        b"HTTP/1.1 100 a\r\n",
    ),
    *(b"HTTP/1.1 103 \r\nX-A: \x00\r\n\r\n", b"HTTP/1.1 103 \r\nX-A: " + b"a" * 9000 + b"\r\n\r\n"),
    *(b"HTTP/1.1 103 Early\r\n\r\n" * 64, b"HTTP/1.1 103 Early\r\n\r\n" * 63, b"\r\n\r\n", b"\n"),
    *(b"HTTP/1.1 103 Early\r\n\r\n" * 70, b"HTTP/1.1 100 a\r\n\r\n" + b"X-A: b\r\n\r\n"),
    *(b"HTTP/1.1 101 a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", b"HTTP/1.1 1 a\r\n\r\n"),
    *(
        b"HTTP/1.1 103 a\r\n" + b"X-A: a\r\n" * 150 + b"\r\n",
        b"HTTP/1.1 103 a\r\nX-A: \xff\r\n\r\n",
    ),
)
_BEHIND = (
    *(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", b"HTTP/1.1 200 OK\r\n", b"x", b"\r\n"),
    *(
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"\x00",
        b"garbage\r\n",
    ),
    *(
        b"HTTP/1.1 408 Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"H",
        b"HTTP/1.1 ",
    ),
    *(
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"z" * 70_000,
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
)


def disturb(random: Random, draft: Draft) -> None:
    """Make one or two parts of an answer other than they should be."""
    for _ in range(random.choice((1, 1, 1, 2))):
        oddity = random.choice(_ODDITIES)
        oddity(random, draft)
        if not draft.marks or draft.marks[-1] != oddity.__name__.strip("_"):
            draft.marks.append(oddity.__name__.strip("_"))


def disturb_bytes(random: Random, draft: Draft, data: bytes) -> bytes:
    """Change an answer that is written already: cut it, or make some of its bytes others."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        change = random.choice(_ON_BYTES)
        data = change(random, data)
        draft.marks.append(change.__name__.strip("_"))
    return data


def _odd_version(random: Random, draft: Draft) -> None:
    draft.version = random.choice(_VERSIONS)


def _odd_status(random: Random, draft: Draft) -> None:
    draft.status = random.choice(_STATUSES)


def _odd_reason(random: Random, draft: Draft) -> None:
    draft.reason = random.choice(_REASONS)


def _odd_field(random: Random, draft: Draft) -> None:
    draft.fields.insert(random.randrange(len(draft.fields) + 1), random.choice(_FIELDS))


def _many_fields(random: Random, draft: Draft) -> None:
    count = random.choice((127, 128, 129, 200, 2000)) - len(draft.fields)
    draft.fields += [b"X-%d: a" % place for place in range(count)]


def _odd_length(random: Random, draft: Draft) -> None:
    value = random.choice((*_LENGTHS, b"%d" % len(draft.body), b"%d" % (len(draft.body) + 1)))
    line = b"Content-Length: " + value
    kind = random.random()
    if kind < 0.6:
        draft.fields = [each for each in draft.fields if not _is_framing(each)]
    draft.fields.insert(random.randrange(len(draft.fields) + 1), line)


def _odd_coding(random: Random, draft: Draft) -> None:
    if random.random() < 0.7:
        draft.fields = [each for each in draft.fields if not _is_framing(each)]
    line = b"Transfer-Encoding: " + random.choice((*_CODINGS, b"chunked"))
    draft.fields.insert(random.randrange(len(draft.fields) + 1), line)
    if random.random() < 0.8 and draft.framing != "chunked":
        draft.framing = "chunked"
        size = b"%x\r\n" % len(draft.body)
        draft.chunks = [(size, draft.body, b"\r\n")] if draft.body else []


def _odd_chunk(random: Random, draft: Draft) -> None:
    _make_chunked(draft)
    line = random.choice(_SIZES) + random.choice((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b""))
    end = random.choice((b"\r\n", b"\r\n", b"\r\n", b"\n", b"", b"\r", b"x\r\n"))
    chunk = (line, b"hello", end)
    draft.chunks.insert(random.randrange(len(draft.chunks) + 1), chunk)


def _odd_end(random: Random, draft: Draft) -> None:
    _make_chunked(draft)
    lasts = (
        b"",
        b"0",
        b"0\n",
        b"0\r",
        b"0 \r\n",
        b"-0\r\n",
        b"0;a=b\r\n",
        b"0x0\r\n",
        b"\r\n0\r\n",
    )
    draft.last_chunk = random.choice(lasts)


def _odd_trailer(random: Random, draft: Draft) -> None:
    _make_chunked(draft)
    draft.trailers.append(random.choice(_TRAILERS))


def _many_trailers(random: Random, draft: Draft) -> None:
    _make_chunked(draft)
    most = 128 - len(draft.fields)
    draft.trailers += [b"X-T: b"] * random.choice((most - 1, most, most + 1, most + 2, 1000, 5000))


def _odd_interim(random: Random, draft: Draft) -> None:
    draft.interim.insert(random.randrange(len(draft.interim) + 1), random.choice(_INTERIM))


def _odd_line_end(random: Random, draft: Draft) -> None:
    draft.line_end = random.choice((b"\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\x00"))


def _odd_version_and_framing(random: Random, draft: Draft) -> None:
    draft.version = b"HTTP/1.0"
    draft.add_field(b"Connection", random.choice((b"keep-alive", b"close")))


def _body_where_none_is(random: Random, draft: Draft) -> None:
    draft.status = random.choice((b"204", b"304", b"205"))
    draft.body = draft.body or b"evil"


def _behind(random: Random, draft: Draft) -> None:
    draft.behind = random.choice(_BEHIND)


def _make_chunked(draft: Draft) -> None:
    if draft.framing != "chunked":
        draft.fields = [each for each in draft.fields if not _is_framing(each)]
        draft.fields.append(b"Transfer-Encoding: chunked")
        draft.framing = "chunked"


def _is_framing(line: bytes) -> bool:
    return line.lower().startswith((b"content-length", b"transfer-encoding"))


_ODDITIES: tuple[Callable[[Random, Draft], None], ...] = (
    *(_odd_version, _odd_status, _odd_reason, _many_fields, _odd_interim, _odd_interim),
    *(_odd_field,) * 4,
    *(_odd_length,) * 3,
    *(_odd_coding,) * 3,
    *(_odd_chunk,) * 4,
    *(_odd_end, _odd_trailer, _odd_trailer, _many_trailers, _odd_line_end, _odd_line_end),
    *(_odd_version_and_framing, _body_where_none_is, _behind, _behind, _behind),
)


def _flipped(random: Random, data: bytes) -> bytes:
    mutable = bytearray(data)
    if mutable:
        mutable[_pick(random, data)] ^= 1 << random.randrange(8)
    return bytes(mutable)


def _truncated(random: Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _gapped(random: Random, data: bytes) -> bytes:
    start = _pick(random, data)
    return data[:start] + data[start + random.randrange(1, 12) :]


def _inserted(random: Random, data: bytes) -> bytes:
    place = _pick(random, data)
    return data[:place] + random.choice(_TOKENS) + data[place:]


def _repeated(random: Random, data: bytes) -> bytes:
    start = _pick(random, data)
    part = data[start : start + random.randrange(1, 40)]
    return data[:start] + part * random.choice((2, 3, 50)) + data[start:]


def _endless(random: Random, data: bytes) -> bytes:
    """End with a line that does not."""
    lines = data.splitlines(keepends=True)
    start = b"".join(lines[: random.randrange(1, 30)])
    return start + b"X-A: " + b"a" * random.choice((8000, 8200, 9000, 70_000))


def _pick(random: Random, data: bytes) -> int:
    """Return a place, more often in the head than in the body."""
    return random.randrange(max(1, min(len(data), 200 if random.random() < 0.8 else len(data))))


_TOKENS = (
    *(b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b"\r\n\r\n", b"\x0b", b"\x7f", b"\xff"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\n",
        b"0\r\n\r\n",
        b"HTTP/1.1 200 OK",
    ),
)
_ON_BYTES: tuple[Callable[[Random, bytes], bytes], ...] = (
    *(_truncated,) * 6,
    *(_flipped, _flipped, _gapped, _inserted, _inserted, _repeated, _endless),
)
