"""
Mutated raw HTTP requests, each from a seed and a number alone.

A request is put together from parts that may each be wrong, and then cut, flipped or spliced
as bytes. What is sent before the connection is ended may be one request, several, or none.
HEAD is not among the methods: whether its answers have a body cannot be told from what came.
"""

from collections.abc import Callable
from random import Random

from tests.faults.fuzz_bodies import build_body_case

Fields = list[tuple[bytes, bytes]]

_METHODS = (
    *(b"POST",) * 8,
    *(b"GET",) * 4,
    *(b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"CONNECT", b"post", b"PRI", b"G\x00T"),
    *(b"", b"P" * 9000, b"QUERY", b"\xffOST", b"POST\t", b"HTTP/1.1"),
)
_TARGETS = (
    *(b"/v1/chat/completions",) * 8,
    *(b"/chat/completions", b"/v1/completions", b"/v1/embeddings", b"/v1/models", b"/models"),
    *(b"/v1/models/sim-echo", b"/v1/models/simulator%2Fsim-echo", b"/health", b"/metrics"),
    *(b"/health/readiness", b"/", b"*", b"", b"/v1/../health", b"//v1/models", b"/v1//models"),
    *(b"/v1/%2e%2e/metrics", b"/v1/chat%2Fcompletions", b"/v1/models/%00", b"/v1/models/%ff"),
    *(b"/v1/models/..%2f..%2fetc%2fpasswd", b"/V1/MODELS", b"/v1/models/", b"/v1/models?a=b"),
    *(b"http://127.0.0.1/v1/models", b"http://evil.example/v1/models", b"https://a:b@c/health"),
    *(b"/v1/models/" + b"x" * 1000, b"/" + b"a" * 9000, b"/?" + b"q=1&" * 3000, b"/\x00", b"/\xff"),
    *(b"/v1/models/%", b"/v1/models/%zz", b"/v1/models#x", b"127.0.0.1:80", b"/%00", b"/a b"),
    *(b"/admin", b"/admin/keys", b"/.git/config", b"/v1/chat/completions?api_key=k", b"//"),
    *(b"http://[::1/", b"http://", b"/\xe2\x80\xae", b"/;/health", b"/health;x", b"\\health"),
)
_VERSIONS = (
    *(b"HTTP/1.1",) * 12,
    *(b"HTTP/1.0", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/11", b"HTTP/", b""),
    *(b"http/1.1", b"HTTP/1.1 ", b"HTTP/1.1\x00", b"HTTP/9999999999.1", b"HTTP/-1.1", b"RTSP/1.0"),
)
_EXTRA: Fields = [
    (b"Expect", b"100-continue"),
    (b"Expect", b"the-unexpected"),
    (b"Connection", b"close"),
    (b"Connection", b"keep-alive, Upgrade, authorization"),
    (b"Connection", b"\x00"),
    (b"Upgrade", b"websocket"),
    (b"Upgrade", b"h2c"),
    (b"HTTP2-Settings", b"AAMAAABkAAQCAAAAAAIAAAAA"),
    (b"Host", b"evil.example"),
    (b"Host", b""),
    (b"Cookie", b"a=b; " * 200),
    (b"X-Long", b"x" * 9000),
    (b"X-" + b"y" * 9000, b"1"),
    (b"X-Nul", b"a\x00b"),
    (b"X-Bytes", bytes(range(128, 256))),
    (b"X Space", b"1"),
    (b"", b"no name"),
    (b"X-Colon:", b":"),
    (b"X-Fold", b"a\r\n b"),
    (b"X-Lf", b"a\nX-Injected: 1"),
    (b"X-Cr", b"a\rX-Injected: 1"),
    (b"Content-Encoding", b"gzip"),
    (b"Content-Encoding", b"identity"),
    (b"Content-Type", b"text/plain"),
    (b"Content-Type", b"application/json; charset=\xff"),
    (b"Content-Type", b"multipart/form-data; boundary=" + b"b" * 2000),
    (b"Accept-Encoding", b"gzip, br, zstd"),
    (b"Origin", b"https://app.example"),
    (b"Origin", b"null\xff"),
    (b"Access-Control-Request-Method", b"POST"),
    (b"Access-Control-Request-Headers", b"a, b\x7f"),
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    (b"traceparent", b"00-" + b"z" * 300),
    (b"tracestate", b"a=b," * 600),
    (b"X-Forwarded-For", b"127.0.0.1, ::1"),
    (b"Forwarded", b'for="[::1]"'),
    (b"x-request-id", b"req_\r\n\r\nHTTP/1.1 200 OK"),
    (b"X-Api-Base", b"http://127.0.0.1:1/"),
    (b"Authorization", b"Basic AAAA"),
    (b"Authorization", b"Bearer "),
    (b"Authorization", b"Bearer \xff\xfe"),
    (b"api-key", b"sk-none"),
    (b"Trailer", b"X-Later"),
    (b"TE", b"trailers, chunked"),
    (b"Range", b"bytes=0-"),
    (b"If-None-Match", b"*"),
    (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"Sec-WebSocket-Version", b"13"),
]
_LENGTHS = (
    *(b"0", b"-1", b"+5", b"5_0", b"0x10", b"1e3", b" ", b"", b"99999999999999999999", b"1,1"),
    *(b"007", b"10\x00", b"\xb2", b"4294967297", b"33554433", b"1 1"),
)
_CODINGS = (
    *(b"chunked", b"Chunked", b"xchunked", b"gzip, chunked", b"chunked, chunked", b"identity"),
    *(b"chunked\x00", b"\tchunked", b"chunked;a=b", b",chunked", b"", b"chunked, identity"),
)
_CHUNK_SIZES = (
    *(b"-1", b"+5", b"0x5", b"ffffffffffffffff", b"fffffffffffffffff", b"5;a=b", b"5 ", b"", b"g"),
    *(b"5;" + b"e" * 9000, b"00000000000000000005", b"5\x00", b"5\r", b"_5"),
)


_GOOD = b'{"model":"sim-echo","stream":true,"messages":[{"role":"user","content":"hi"}]}'


def build_request_case(seed: int, number: int, key: str) -> bytes:
    """Return what is sent for case `number` of a seed; `key` opens the door in most of them."""
    random = Random(seed * 1_000_003 + number)
    data = _build_request(random, seed, number, key)
    while random.random() < 0.12:
        data += _build_request(random, seed, number + 1, key)
    if random.random() < 0.4:
        for _ in range(random.choice((1, 1, 2, 4))):
            data = random.choice(_ON_BYTES)(random, data)
    return data


def _build_request(random: Random, seed: int, number: int, key: str) -> bytes:
    """Return one request with about two parts that are not what they should be."""
    body = _GOOD if random.random() < 0.5 else build_body_case(seed, number).body
    is_odd = random.random() < 0.6
    method = random.choice(_METHODS) if is_odd and random.random() < 0.4 else b"POST"
    target = random.choice(_TARGETS) if is_odd and random.random() < 0.5 else _TARGETS[0]
    version = random.choice(_VERSIONS) if is_odd and random.random() < 0.4 else b"HTTP/1.1"
    fields: Fields = [(b"Host", b"test"), (b"Content-Type", b"application/json")]
    if random.random() < 0.9:
        fields.append((b"Authorization", b"Bearer " + key.encode()))
    framing, sent = _frame(random, body, is_odd)
    fields += framing
    if is_odd:
        for _ in range(random.choice((0, 1, 1, 2, 3))):
            fields.insert(random.randrange(len(fields) + 1), random.choice(_EXTRA))
        if random.random() < 0.1:
            fields.append(random.choice(fields))
        if random.random() < 0.02:
            fields += [(b"X-%d" % place, b"1") for place in range(200)]
    line_end = b"\n" if random.random() < 0.03 else b"\r\n"
    colon = random.choice((b":", b" : ", b"\t:", b"=")) if random.random() < 0.05 else b": "
    lines = [b" ".join((method, target, version)), *(name + colon + it for name, it in fields)]
    return line_end.join(lines) + line_end * 2 + sent


def _frame(random: Random, body: bytes, is_odd: bool) -> tuple[Fields, bytes]:
    """Return the fields that say how long a body is, and the body as it is sent."""
    kind = random.random()
    length = (b"Content-Length", b"%d" % len(body))
    chunked = (b"Transfer-Encoding", random.choice(_CODINGS) if is_odd else b"chunked")
    if kind < 0.5:
        return [length], body
    if kind < 0.7:
        return [chunked], _chunk(random, body, is_odd)
    if not is_odd or kind < 0.74:
        return [], b""
    if kind < 0.8:
        return [(b"Content-Length", random.choice(_LENGTHS))], body
    if kind < 0.85:
        return [(b"Content-Length", b"%d" % (len(body) + random.randrange(-9, 9)))], body
    if kind < 0.9:
        return [length, chunked], random.choice((body, _chunk(random, body, False)))
    if kind < 0.95:
        return [length, (b"Content-Length", random.choice((length[1], b"7")))], body
    return [chunked, chunked], _chunk(random, body, is_odd)


def _chunk(random: Random, body: bytes, is_odd: bool) -> bytes:
    size = random.choice((1, 7, 100, 5000)) if len(body) < 2000 else 5000
    parts = []
    for start in range(0, len(body), size):
        part = body[start : start + size]
        head = b"%x" % len(part)
        if is_odd and random.random() < 0.05:
            head = random.choice(_CHUNK_SIZES)
        parts.append(head + b"\r\n" + part + b"\r\n")
    ends = (b"0\r\n\r\n", b"0\r\nX-Trailer: 1\r\n\r\n", b"", b"0\r\n", b"0\n\n", b"0\r\n\r\nGET /")
    return b"".join(parts) + (random.choice(ends) if is_odd else ends[0])


def _flip(random: Random, data: bytes) -> bytes:
    mutable = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        if mutable:
            mutable[_pick(random, data)] ^= 1 << random.randrange(8)
    return bytes(mutable)


def _cut(random: Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _drop_slice(random: Random, data: bytes) -> bytes:
    start = _pick(random, data)
    return data[:start] + data[start + random.randrange(1, 12) :]


def _insert(random: Random, data: bytes) -> bytes:
    place = _pick(random, data)
    return data[:place] + random.choice(_TOKENS) + data[place:]


def _repeat(random: Random, data: bytes) -> bytes:
    start = _pick(random, data)
    part = data[start : start + random.randrange(1, 40)]
    return data[:start] + part * random.choice((2, 3, 50)) + data[start:]


def _pick(random: Random, data: bytes) -> int:
    """Return a place, more often in the head than in the body."""
    return random.randrange(max(1, min(len(data), 300 if random.random() < 0.8 else len(data))))


_TOKENS = (
    *(b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b"\r\n\r\n", b"\x0b", b"\x7f", b"\xff"),
    *(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"GET /health HTTP/1.1\r\n\r\n"),
)
_ON_BYTES: tuple[Callable[[Random, bytes], bytes], ...] = (
    *(_flip, _flip, _cut, _drop_slice, _insert, _insert, _repeat),
)
