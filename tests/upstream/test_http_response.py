"""Heads, bodies and limits of responses, from bytes alone."""

import pytest

from proxy.domain.errors import UpstreamProtocolError
from proxy.upstream.http_response import (
    MAX_FIELD_BYTES,
    MAX_FRAMING_BYTES,
    FieldMap,
    ResponseParser,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(*pieces: bytes) -> ResponseParser:
    """Return a parser that was fed these pieces."""
    parser = ResponseParser()
    for piece in pieces:
        parser.feed(piece)
    return parser


def test_a_response_with_a_length() -> None:
    """Status, headers, body, and that another response may follow."""
    parser = read(OK + b"X-Thing:  a b \r\nContent-Length: 5\r\n\r\nhello")
    assert parser.head is not None
    assert (parser.head.status, dict(parser.head.headers)) == (
        200,
        {"x-thing": "a b", "content-length": "5"},
    )
    assert (parser.chunks, parser.is_complete, parser.may_follow) == ([b"hello"], True, True)
    assert not parser.has_surplus


def test_one_parser_reads_one_response_after_the_other() -> None:
    """After `begin` nothing of the response before is left."""
    parser = read(OK + b"X-A: 1\r\nContent-Length: 1\r\n\r\na")
    parser.begin()
    parser.feed(b"HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nb")
    assert parser.head is not None
    assert (parser.head.status, dict(parser.head.headers)) == (404, {"content-length": "1"})
    assert parser.chunks == [b"b"]


@pytest.mark.parametrize("surplus", [OK, b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
@pytest.mark.parametrize("more", ["", "Connection: close\r\n"])
def test_what_comes_behind_a_response_belongs_to_nobody(surplus: bytes, more: str) -> None:
    """The response stays whole, and that more came is told."""
    parser = read(OK + more.encode() + b"Content-Length: 1\r\n\r\na" + surplus)
    assert (parser.chunks, parser.is_complete, parser.has_surplus) == ([b"a"], True, True)


@pytest.mark.parametrize(
    ("head", "may_follow"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive, close\r\n\r\n", False),
        (
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n"
            b"Connection: keep-alive\r\n\r\n0\r\n\r\n",
            False,
        ),
        (b"HTTP/1.1 204 No\r\n\r\n", True),
    ],
)
def test_whether_another_may_follow(head: bytes, may_follow: bool) -> None:
    """Versions and the Connection header say whether a connection stays open."""
    parser = read(head)
    assert (parser.is_complete, parser.may_follow) == (True, may_follow)


def test_only_a_body_without_framing_ends_with_the_connection() -> None:
    """The end of the connection completes a body that has no other end, and no other."""
    parser = read(OK + b"\r\n", b"abc")
    assert (parser.chunks, parser.is_complete, parser.may_follow) == ([b"abc"], False, False)
    assert parser.feed_end()
    for short in (
        OK,
        OK + b"Content-Length: 5\r\n\r\nabc",
        CHUNKED + b"3\r\nabc\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ):
        assert not read(short).feed_end()


def test_what_is_good_before_what_is_not_is_there() -> None:
    """A chunk that cannot be read leaves those before it."""
    parser = read(CHUNKED)
    with pytest.raises(UpstreamProtocolError):
        parser.feed(b"3\r\nabc\r\nzz\r\n")
    assert parser.chunks == [b"abc"]


def test_interim_responses_leave_nothing() -> None:
    """Headers of a 103 are none of the response's, and count for no limit of it."""
    interim = b"HTTP/1.1 103 Early\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(100)) + b"\r\n"
    parser = read(interim * 2 + OK + b"X-0: b\r\nContent-Length: 0\r\n\r\n")
    assert parser.head is not None
    assert dict(parser.head.headers) == {"x-0": "b", "content-length": "0"}


@pytest.mark.parametrize("status", [102, 104, 150, 199])
def test_an_interim_response_has_no_body(status: int) -> None:
    """What says that it has one is refused: its bytes are never taken for the response's."""
    with pytest.raises(UpstreamProtocolError):
        read(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\nEVIL!" % status + OK + b"\r\n")


@pytest.mark.parametrize(
    "head",
    [b"RTSP/1.0 200 OK\r\n", b"ICE/1.0 200 OK\r\n", OK + b"Transfer-Encoding: chunked\t\r\n"],
)
def test_what_only_looks_like_http_is_refused(head: bytes) -> None:
    """Protocols that the parser knows besides, and an encoding that it reads otherwise than we."""
    with pytest.raises(UpstreamProtocolError):
        read(head + b"Content-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    "start", [b"0\r\nX-A: ", b"1;", b"0\r\n"], ids=["trailer", "extension", "trailers"]
)
def test_a_long_body_buys_no_long_silence(start: bytes) -> None:
    """However much body came, 64 KiB without any are the end: each more would cost more to hold."""
    parser = read(CHUNKED + b"f00000\r\n" + b"x" * 0xF00000 + b"\r\n")
    parser.chunks = []
    parser.feed(start)
    more = b"a" * 4096 if start != b"0\r\n" else b"X: b\r\n" * 512
    with pytest.raises(UpstreamProtocolError):
        for _ in range(20):
            parser.feed(more)


@pytest.mark.parametrize(
    "pieces",
    [
        [OK + b"X-A: ", *[b"a" * 1000] * 66],
        [OK + b"X-A: " + b" " * MAX_FRAMING_BYTES],
        [CHUNKED, b"1;", *[b"a" * 1000] * 66],
        [CHUNKED, *[b"1;" + b"a" * 9000 + b"\r\nb\r\n"] * 8],
        [CHUNKED + b"0\r\nX-A: ", *[b"a" * 1000] * 66],
    ],
    ids=["a header", "blanks", "an extension", "many extensions", "a trailer"],
)
def test_nothing_but_body_goes_on_for_ever(pieces: list[bytes]) -> None:
    """Heads, extensions and trailers that do not end are refused within 64 KiB."""
    with pytest.raises(UpstreamProtocolError):
        read(*pieces)


def test_small_chunks_are_no_abuse() -> None:
    """A megabyte of chunks of a single byte passes."""
    parser = read(CHUNKED, *[b"1\r\nx\r\n" * 1000] * 1000)
    assert sum(map(len, parser.chunks)) == 1_000_000


def test_a_reason_has_a_limit_in_however_many_pieces_it_comes() -> None:
    """8190 bytes of it are taken, one more is not."""
    head = b"HTTP/1.1 200 "
    read(head, *[b"a"] * MAX_FIELD_BYTES, b"\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(UpstreamProtocolError):
        read(head, *[b"a"] * (MAX_FIELD_BYTES + 1))


@pytest.mark.parametrize(
    ("response", "detail"),
    [
        (b"RTSP/1.0 200 OK\r\n", "it does not begin with HTTP/"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "what answers there is TLS: https:// in base_url?"),
        (b"HTTP/1.1 200 OK\nX: b\n\n", "Missing expected CR after response line"),
        (OK + b"SECRET\r\n\r\n", "Invalid header token"),
        (b"HTTP/0.9 200 OK\r\n\r\n", "HTTP/0.9"),
        (b"HTTP/1.1 600 OK\r\n\r\n", "status 600"),
        (b"HTTP/1.1 101 OK\r\n\r\n", "status 101"),
        (b"HTTP/1.1 102 OK\r\nContent-Length: 1\r\n\r\na", "it does not begin with HTTP/"),
        (b"HTTP/1.1 100 OK\r\n\r\n" * 65, "more than 64 responses of 1xx"),
        (OK + b"X: b\r\n" * 129 + b"\r\n", "more than 128 headers"),
        (OK + b"".join(b"X%d: b\r\n" % n for n in range(130)), "more than 128 headers"),
        (OK + b"X: " + b"a" * 8191 + b"\r\n\r\n", "a header above 8190 bytes"),
        (OK + b"X: b\r\nX: " + b"a" * 8191 + b"\r\n\r\n", "a header above 8190 bytes"),
        (b"HTTP/1.1 200 " + b"a" * 8191, "a reason above 8190 bytes"),
        (
            OK + b"X: " + b"a" * MAX_FRAMING_BYTES,
            "more than 65536 bytes of heads, chunk sizes and trailers",
        ),
        (
            OK + b"Transfer-Encoding: chunked\t\r\n\r\n",
            "a Transfer-Encoding other than chunked",
        ),
        (
            OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "a Transfer-Encoding other than chunked",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_detail_says_what_was_refused(response: bytes, detail: str) -> None:
    """An operator reads why, in words that hold nothing of what came."""
    with pytest.raises(UpstreamProtocolError) as caught:
        read(response)
    assert caught.value.detail == detail


def test_a_closed_parser_reads_nothing() -> None:
    """What is fed after `close` is dropped."""
    parser = ResponseParser()
    parser.close()
    parser.feed(OK + b"\r\n")
    assert parser.head is None


def test_fields_are_read_by_name_in_lower_case() -> None:
    """A value is text whatever its bytes; who is not there has a default."""
    fields = FieldMap({b"a": b"1", b"b": b"caf\xe9"})
    assert (fields["a"], fields["b"], fields.get("c"), fields.get("c", "d")) == (
        "1",
        "caf\u00e9",
        None,
        "d",
    )
    assert (list(fields), len(fields), "a" in fields, "\u20ac" in fields) == (
        ["a", "b"],
        2,
        True,
        False,
    )
