"""
Requests that two servers in a row might cut apart in two ways: row A16, promise P17.

Each carries a whole second request (`SMUGGLED`, with a good key) where one reading of it finds
a body and another one the next request. `test_smuggling.py` and `campaigns/smuggling.py` send
them; what must come of each by the specification stands in its `fate`.
"""

from typing import Literal

from msgspec import Struct

from tests.fakes.proxy_server import AUTH

Fate = Literal["refused", "answered", "bad body"]
"""
Sent straight to us. `refused`: a 4xx and the end of the connection. `answered`: one good
request. `bad body`: framed well, and yet wrong: a 4xx, and the connection ends or goes on.
"""

OUTER, INNER = "outer-000", "inner-000"
"""Tags of the request and of the one inside it; `tagged` numbers them."""
HOST = "Host: x"
KEY = f"Authorization: {AUTH['Authorization']}"
JSON = "Content-Type: application/json"
LINE = "POST /v1/chat/completions HTTP/1.1"
CHUNKED = "Transfer-Encoding: chunked"


class Vector(Struct, frozen=True):
    """One request as bytes."""

    name: str
    data: bytes
    fate: Fate = "refused"

    def tagged(self, number: int) -> bytes:
        """Return its bytes with tags of their own, so that many may be under way at once."""
        data = self.data.replace(OUTER.encode(), b"outer-%03d" % number)
        return data.replace(INNER.encode(), b"inner-%03d" % number)


def build_chat_body(tag: str) -> bytes:
    """Return the body of a chat request whose answer will hold the tag."""
    return f'{{"model":"m","messages":[{{"role":"user","content":"{tag}"}}]}}'.encode()


def build_message(*fields: str, line: str = LINE, host: str = HOST, body: bytes = b"") -> bytes:
    """Return a request; nothing is added to what is given but host, key and type."""
    head = "\r\n".join([line, *([host] if host else []), KEY, JSON, *fields])
    return head.encode("latin-1") + b"\r\n\r\n" + body


def build_good(tag: str) -> bytes:
    """Return a request that nothing is wrong with."""
    body = build_chat_body(tag)
    return build_message(f"Content-Length: {len(body)}", body=body)


def chunk(data: bytes, size: bytes | None = None, end: bytes = b"\r\n") -> bytes:
    """Return one HTTP chunk, if need be with another text for its size."""
    return (b"%x" % len(data) if size is None else size) + b"\r\n" + data + end


BODY = build_chat_body(OUTER)
SMUGGLED = build_good(INNER)
LENGTH = f"Content-Length: {len(BODY)}"
SMUGGLED_LENGTH = f"Content-Length: {len(SMUGGLED)}"
LAST = b"0\r\n\r\n"
CHUNKS = chunk(BODY) + LAST


def _with_length(name: str, *fields: str) -> Vector:
    """Return a vector whose length some read as the body's, and some as nothing or otherwise."""
    return Vector(name, build_message(*fields, body=BODY + SMUGGLED))


def _with_coding(name: str, *fields: str, fate: Fate = "refused") -> Vector:
    """Return a vector that is chunked to some, and to some ends by its length or has no body."""
    if fate == "answered":
        return Vector(name, build_message(*fields, body=CHUNKS), fate)
    return Vector(name, build_message(*fields, body=chunk(SMUGGLED) + LAST), fate)


def _with_chunks(name: str, body: bytes, fate: Fate = "refused") -> Vector:
    return Vector(name, build_message(CHUNKED, body=body), fate)


_SIZE = str(len(BODY))
_HEX = b"%x" % len(BODY)

VECTORS = (
    # Two framings at once.
    Vector(
        "CL.TE",
        build_message(f"Content-Length: {len(LAST + SMUGGLED)}", CHUNKED, body=LAST + SMUGGLED),
    ),
    _with_coding("TE.CL", "Content-Length: 4", CHUNKED),
    _with_coding("TE.CL, length last", CHUNKED, "Content-Length: 4"),
    _with_coding("TE with CL 0", "Content-Length: 0", CHUNKED),
    _with_length("two lengths", LENGTH, SMUGGLED_LENGTH),
    _with_length("two lengths, one of them 0", "Content-Length: 0", LENGTH),
    Vector("the same length twice", build_message(LENGTH, LENGTH, body=BODY)),
    Vector("a list of lengths", build_message(f"Content-Length: {_SIZE}, {_SIZE}", body=BODY)),
    _with_length("a list of two lengths", f"Content-Length: {_SIZE}, 0"),
    # Lengths that are no number, or not to everybody.
    _with_length("length with a plus", f"Content-Length: +{_SIZE}"),
    _with_length("length with an underscore", f"Content-Length: {_SIZE[0]}_{_SIZE[1:]}"),
    _with_length("negative length", f"Content-Length: -{_SIZE}"),
    _with_length("hexadecimal length", f"Content-Length: 0x{len(BODY):x}"),
    _with_length("length with a space inside", f"Content-Length: {_SIZE[0]} {_SIZE[1:]}"),
    _with_length("length with a fraction", f"Content-Length: {_SIZE}.0"),
    _with_length("length in Latin-1 digits", "Content-Length: \xb2\xb3"),
    _with_length("empty length", "Content-Length: "),
    _with_length("length of 2^64 and more", f"Content-Length: {2**64 + len(BODY)}"),
    _with_length("length with a NUL", f"Content-Length: {_SIZE}\0"),
    _with_length("length with a vertical tab", f"Content-Length: \x0b{_SIZE}"),
    # Codings that are chunked to some.
    _with_coding("xchunked", "Transfer-Encoding: xchunked"),
    _with_coding("xchunked with a length", "Transfer-Encoding: xchunked", "Content-Length: 4"),
    _with_coding("chunked, identity", "Transfer-Encoding: chunked, identity"),
    _with_coding("identity, chunked", "Transfer-Encoding: identity, chunked"),
    _with_coding("identity", "Transfer-Encoding: identity"),
    _with_coding("gzip, chunked", "Transfer-Encoding: gzip, chunked"),
    _with_coding("chunked twice", "Transfer-Encoding: chunked, chunked"),
    _with_coding("two codings in two fields", CHUNKED, "Transfer-Encoding: identity"),
    _with_coding("coding with a parameter", "Transfer-Encoding: chunked;q=1"),
    _with_coding("coding in quotes", 'Transfer-Encoding: "chunked"'),
    _with_coding("coding with a comma", "Transfer-Encoding: ,chunked"),
    _with_coding("empty coding", "Transfer-Encoding: ", "Content-Length: 4"),
    _with_coding("coding with a vertical tab", "Transfer-Encoding: \x0bchunked"),
    _with_coding("coding with a NUL", "Transfer-Encoding: chunked\0"),
    _with_coding("coding with a bare CR", "Transfer-Encoding: chunked\r "),
    _with_coding("coding on the next line", "Transfer-Encoding:\r\n chunked"),
    _with_coding("coding on the next line, by tab", "Transfer-Encoding:\r\n\tchunked"),
    _with_coding("coding in capitals", "TRANSFER-ENCODING: Chunked", fate="answered"),
    _with_coding("coding behind spaces", "Transfer-Encoding:  chunked", fate="answered"),
    _with_coding("coding behind a tab", "Transfer-Encoding:\tchunked", fate="answered"),
    _with_coding("coding without a space", "Transfer-Encoding:chunked", fate="answered"),
    # Fields that some see and some do not.
    _with_coding("space before the colon", "Transfer-Encoding : chunked", "Content-Length: 4"),
    _with_coding("tab before the colon", "Transfer-Encoding\t: chunked", "Content-Length: 4"),
    _with_coding("space before the name", " Transfer-Encoding: chunked", "Content-Length: 4"),
    _with_coding("folded into the field before", "X-A: a\r\n Transfer-Encoding: chunked"),
    _with_coding("bare CR before the name", "X-A: a\rTransfer-Encoding: chunked"),
    _with_coding("bare LF before the name", "X-A: a\nTransfer-Encoding: chunked"),
    _with_coding("NUL in the name", "Transfer-Encoding\0: chunked", "Content-Length: 4"),
    _with_coding("a field without a colon", "Transfer-Encoding chunked", "Content-Length: 4"),
    _with_coding("a field without a name", ": chunked", "Content-Length: 4"),
    _with_length("space before the colon of a length", f"Content-Length : {_SIZE}"),
    _with_length("length on two lines", f"Content-Length: {_SIZE}\r\n 0"),
    Vector(
        "underscores are other names",
        build_message(LENGTH, "Transfer_Encoding: chunked", "Content_Length: 0", body=BODY),
        "answered",
    ),
    Vector(
        "bare LF everywhere",
        build_message(LENGTH).replace(b"\r\n", b"\n") + BODY + SMUGGLED,
    ),
    Vector("the head ends with bare LF", build_message(LENGTH)[:-2] + b"\n" + BODY + SMUGGLED),
    # Chunks.
    _with_chunks("chunk with an extension", chunk(BODY, _HEX + b";a=b") + LAST, "answered"),
    _with_chunks("chunk with an extension, LF", chunk(BODY, _HEX + b";a\n") + LAST + SMUGGLED),
    _with_chunks("chunk with an extension, CR", chunk(BODY, _HEX + b";a\rb") + LAST + SMUGGLED),
    _with_chunks("chunk size in 0x", chunk(BODY, b"0x" + _HEX) + LAST + SMUGGLED),
    _with_chunks("chunk size with a plus", chunk(BODY, b"+" + _HEX) + LAST + SMUGGLED),
    _with_chunks("negative chunk size", chunk(BODY, b"-" + _HEX) + LAST + SMUGGLED),
    _with_chunks("chunk size with an underscore", chunk(BODY, b"4_0") + LAST + SMUGGLED),
    _with_chunks("chunk size behind a space", chunk(BODY, b" " + _HEX) + LAST + SMUGGLED),
    _with_chunks("empty chunk size", chunk(BODY, b"") + LAST + SMUGGLED),
    _with_chunks("chunk size above 2^64", chunk(BODY, b"f" * 16 + _HEX) + LAST + SMUGGLED),
    _with_chunks("chunk size with a NUL", chunk(BODY, _HEX + b"\0") + LAST + SMUGGLED),
    _with_chunks("chunk size ends with bare LF", _HEX + b"\n" + BODY + b"\r\n" + LAST + SMUGGLED),
    _with_chunks("chunk ends with bare LF", chunk(BODY, end=b"\n") + LAST + SMUGGLED),
    _with_chunks("chunk longer than its size", chunk(BODY, b"5") + LAST + SMUGGLED),
    _with_chunks("chunk without an end", chunk(BODY, end=b"") + LAST + SMUGGLED),
    _with_chunks("last chunk ends with bare LF", chunk(BODY) + b"0\n\n" + SMUGGLED),
    _with_chunks("trailers", chunk(BODY) + b"0\r\nX-A: b\r\n\r\n", "answered"),
    _with_chunks(
        "trailers that frame",
        chunk(BODY) + b"0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    # Bodies where one side expects none.
    Vector(
        "GET with a body",
        build_message(SMUGGLED_LENGTH, line="GET /v1/models HTTP/1.1", body=SMUGGLED),
    ),
    Vector(
        "GET with chunks",
        build_message(CHUNKED, line="GET /v1/models HTTP/1.1", body=chunk(SMUGGLED) + LAST),
    ),
    Vector(
        "HEAD with a body",
        build_message(SMUGGLED_LENGTH, line="HEAD /v1/models HTTP/1.1", body=SMUGGLED),
    ),
    Vector(
        "OPTIONS with a body",
        build_message(SMUGGLED_LENGTH, line="OPTIONS /v1/models HTTP/1.1", body=SMUGGLED),
    ),
    Vector(
        "a body that is a request",
        build_message(SMUGGLED_LENGTH, body=SMUGGLED),
        "bad body",
    ),
    Vector(
        "Connection names the length",
        build_message("Connection: content-length", SMUGGLED_LENGTH, body=SMUGGLED),
        "bad body",
    ),
    Vector(
        "Connection names the coding",
        build_message("Connection: transfer-encoding", CHUNKED, body=chunk(SMUGGLED) + LAST),
        "bad body",
    ),
    Vector(
        "h2c with a body",
        build_message(
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
            SMUGGLED_LENGTH,
            body=SMUGGLED,
        ),
        "bad body",
    ),
    Vector(
        "websocket with a body",
        build_message(
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            SMUGGLED_LENGTH,
            body=SMUGGLED,
        ),
        "bad body",
    ),
    # A final answer where 100 Continue is awaited.
    Vector(
        "Expect, key unknown",
        build_message("Expect: 100-continue", SMUGGLED_LENGTH, body=SMUGGLED).replace(
            b"Bearer sk", b"Bearer no", 1
        ),
        "bad body",
    ),
    Vector(
        "Expect, body too large",
        build_message("Expect: 100-continue", "Content-Length: 900000000", body=SMUGGLED),
    ),
    Vector("Expect what nobody knows", build_message("Expect: y", LENGTH, body=BODY), "bad body"),
    Vector(
        "Expect 100-continue and more",
        build_message("Expect: y 100-continue", SMUGGLED_LENGTH, body=SMUGGLED),
        "bad body",
    ),
    # Versions, methods, targets, hosts.
    Vector(
        "chunked over HTTP/1.0",
        build_message(CHUNKED, line=LINE.replace("1.1", "1.0"), body=LAST + SMUGGLED),
    ),
    Vector("HTTP/0.9", b"GET /v1/models\r\n" + SMUGGLED),
    Vector("HTTP/0.9 by name", build_message(line="GET /v1/models HTTP/0.9")),
    Vector("HTTP/2.0 by name", build_message(LENGTH, line=LINE.replace("1.1", "2.0"), body=BODY)),
    Vector("HTTP/1.2", build_message(LENGTH, line=LINE.replace("1.1", "1.2"), body=BODY)),
    Vector("HTTP/11.1", build_message(LENGTH, line=LINE.replace("1.1", "11.1"), body=BODY)),
    Vector("http/1.1 in small letters", build_message(LENGTH, line=LINE.lower(), body=BODY)),
    Vector("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED),
    Vector("TLS bytes", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64)),
    Vector("two spaces in the first line", build_message(LENGTH, line=LINE.replace(" ", "  "))),
    Vector("tabs in the first line", build_message(LENGTH, line=LINE.replace(" ", "\t"))),
    Vector("NUL in the target", build_message(LENGTH, line=LINE.replace("s H", "s\0 H"))),
    Vector("two versions", build_message(LENGTH, line=LINE + " HTTP/1.1", body=BODY)),
    Vector(
        "absolute target of another host",
        build_message(LENGTH, line=LINE.replace("/v1", "http://y/v1"), body=BODY),
    ),
    Vector(
        "absolute target",
        build_message(LENGTH, line=LINE.replace("/v1", "http://x/v1"), body=BODY),
        "answered",
    ),
    Vector("no host", build_message(LENGTH, host="", body=BODY)),
    Vector("two hosts", build_message("Host: y", LENGTH, body=BODY)),
    Vector("the same host twice", build_message(HOST, LENGTH, body=BODY)),
    Vector("host with a path", build_message(LENGTH, host="Host: x/v1", body=BODY)),
    Vector("host with a user", build_message(LENGTH, host="Host: a@x", body=BODY)),
    Vector("two host names in one", build_message(LENGTH, host="Host: x, y", body=BODY)),
    Vector("CONNECT", build_message(SMUGGLED_LENGTH, line="CONNECT x:80 HTTP/1.1", body=SMUGGLED)),
    Vector(
        "TRACE", build_message(SMUGGLED_LENGTH, line="TRACE /v1/models HTTP/1.1", body=SMUGGLED)
    ),
    Vector("empty lines before it", b"\r\n\r\n" + build_good(OUTER), "answered"),
)
