"""
Answers of a made-up HTTP/1.1 server, most of them right: each from a seed and a number alone.

An answer is put together as a server would, and its `Truth` is known until something odd is
done to it: a part that should not be there, a cut, a byte that is another one. How it comes in
pieces and how its connection ends belong to the case. `oddities.py` has what is odd.
"""

from collections.abc import Sequence
from random import Random
from typing import Literal

from msgspec import Struct, field

Chunk = tuple[bytes, bytes, bytes]
"""The line of its size, its data, and what ends it."""
Ending = Literal["stay", "close", "reset"]
Framing = Literal["length", "chunked", "close", "none"]


class Truth(Struct, frozen=True):
    """What a right answer says: it must be told just so."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    is_reusable: bool


class Case(Struct, frozen=True):
    """
    What the server does with one request.

    `pieces` are sent one after the other, each seen before the next; then the connection is
    closed, reset, or stays. `is_warm` says that it has served a request before. `marks` are
    what it was made of, for whoever reads a difference; `truth` is None for what is not right.
    """

    number: int
    marks: tuple[str, ...]
    pieces: tuple[bytes, ...]
    ending: Ending
    is_warm: bool
    truth: Truth | None
    has_changed: bool = False
    """Bytes of it were changed when it was written already: where its body is, is not known."""

    @property
    def data(self) -> bytes:
        """All pieces as one."""
        return b"".join(self.pieces)


class Draft(Struct):
    """An answer while it is put together; `marks` tell what was odd about it."""

    interim: list[bytes] = field(default_factory=list)
    version: bytes = b"HTTP/1.1"
    status: bytes = b"200"
    reason: bytes = b" OK"
    fields: list[bytes] = field(default_factory=list)
    told: dict[bytes, bytes] = field(default_factory=dict)
    framing: Framing = "length"
    body: bytes = b""
    chunks: list[Chunk] = field(default_factory=list)
    last_chunk: bytes = b"0\r\n"
    trailers: list[bytes] = field(default_factory=list)
    line_end: bytes = b"\r\n"
    behind: bytes = b""
    keeps: bool = True
    marks: list[str] = field(default_factory=list)

    def add_field(self, name: bytes, value: bytes, written: bytes | None = None) -> None:
        """Add a header; `written` is how its value stands in its line, white space and all."""
        self.fields.append(name + b":" + (b" " + value if written is None else written))
        self.told.setdefault(name.lower(), value)

    def render(self, mask: bytes | None) -> bytes:
        """Return the bytes that go out; with a mask, each byte of the body is the mask's."""
        body = self.body if mask is None else mask * len(self.body)
        head = [self.version + b" " + self.status + self.reason, *self.fields, b"", b""]
        parts = [*self.interim, self.line_end.join(head)]
        if self.framing == "chunked":
            for line, data, end in self.chunks:
                parts += [line, data if mask is None else mask * len(data), end]
            parts.append(self.last_chunk)
            parts += [line + b"\r\n" for line in (*self.trailers, b"")]
        else:
            parts.append(body)
        return b"".join([*parts, self.behind])


_STATUSES = (
    *(b"200",) * 12,
    *(b"201", b"206", b"299", b"301", b"302", b"307", b"400", b"401", b"404", b"408", b"413"),
    *(b"429", b"429", b"500", b"502", b"503", b"529", b"599", b"204", b"304", b"205"),
)
_REASONS = (*(b" OK",) * 6, b" ", b"", b" Not Found", b" caf\xc3\xa9", b" a: b", b" " + b"o" * 2000)
_NAMES = (
    *(b"Content-Type", b"content-type", b"CONTENT-TYPE", b"Retry-After", b"retry-after-ms"),
    *(b"x-request-id", b"X-RateLimit-Remaining-Requests", b"x-ratelimit-reset-tokens", b"Server"),
    *(b"Date", b"Set-Cookie", b"Cache-Control", b"Vary", b"X-A", b"x-a", b"Via", b"CF-RAY"),
    *(b"a", b"!#$%&'*+-.^_`|~0", b"Content-Encoding", b"Keep-Alive", b"Trailer", b"Upgrade"),
)
_VALUES = (
    *(b"text/event-stream", b"application/json; charset=utf-8", b"1", b"0.5", b"a=b; Path=/"),
    *(b"Thu, 01 Jan 2026 00:00:00 GMT", b"", b"gzip", b"a, b", b"a  b\tc", b'"q: \\" x"', b":"),
    *(b"caf\xc3\xa9", b"x" * 1000, b"HTTP/1.1 200 OK", b"timeout=5, max=100", b"6m0s"),
)
_BODIES = (
    *(b"{}", b'{"id":"a","choices":[]}', b"data: {}\n\ndata: [DONE]\n\n", b"x", b"\r\n\r\n"),
    *(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"0\r\n\r\n", bytes(range(256)), b"\x00"),
    *(b"", b"data: x\n\n" * 200, b"y" * 5000),
)
_EXTENSIONS = (*(b"",) * 12, b";a", b";a=b", b';a="b;c"', b";a=b;c=d", b";" + b"e" * 200)
_NO_BODY = (b"204", b"304")


def build_case(seed: int, number: int, mask: bytes | None = None) -> Case:
    """
    Return case `number` of a seed: always the same one.

    With a mask, a single byte, that stands for each byte of the body, so that what is found in
    `data` is outside of it.
    """
    # Here, because what is odd is done to what stands above.
    from tests.upstream.differential.oddities import disturb, disturb_bytes

    random = Random(seed * 1_000_003 + number)
    draft = build_draft(random)
    is_right = random.random() < 0.6
    if not is_right and random.random() < 0.75:
        disturb(random, draft)
    data = draft.render(mask)
    has_changed = not is_right and (not draft.marks or random.random() < 0.15)
    if has_changed:
        data = disturb_bytes(random, draft, data)
    ending: Ending = random.choice(("stay", "stay", "stay", "close", "reset"))
    if is_right and draft.framing == "close":
        ending = "close"
    if is_right and ending == "reset":
        ending = "stay"
    return Case(
        number=number,
        marks=tuple(draft.marks),
        pieces=_cut(random, data),
        ending=ending,
        is_warm=random.random() < 0.3,
        truth=_tell(draft, ending) if is_right else None,
        has_changed=has_changed,
    )


def build_draft(random: Random) -> Draft:
    """Return an answer that is right."""
    draft = Draft(
        status=random.choice(_STATUSES), reason=random.choice(_REASONS), body=random.choice(_BODIES)
    )
    if random.random() < 0.1:
        draft.version = b"HTTP/1.0"
    if random.random() < 0.15:
        draft.interim = [_build_interim(random) for _ in range(random.choice((1, 1, 2, 3, 60)))]
    if random.random() < 0.03:
        draft.body = random.randbytes(random.choice((70_000, 200_000)))
    for _ in range(random.choice((0, 1, 2, 3, 5, 8))):
        _add_any_field(random, draft)
    if random.random() < 0.02:
        for place in range(random.choice((80, 110))):
            draft.add_field(b"X-%d" % place, b"a")
    if random.random() < 0.02:
        draft.add_field(b"X-Long", b"a" * 8000)
    _frame(random, draft)
    _say_whether_it_keeps(random, draft)
    return draft


def _build_interim(random: Random) -> bytes:
    line = random.choice(
        (b"100 Continue", b"102 Processing", b"103 Early Hints", b"103 ", b"199 a")
    )
    fields = random.choice(
        (b"", b"", b"Link: </a>; rel=preload\r\n", b"X-A: interim\r\nX-B: c\r\n")
    )
    return b"HTTP/1.1 " + line + b"\r\n" + fields + b"\r\n"


def _add_any_field(random: Random, draft: Draft) -> None:
    value = random.choice(_VALUES)
    written = random.choice((None, None, None, value, b"\t" + value, b"  " + value + b" \t "))
    draft.add_field(random.choice(_NAMES), value, written)


def _frame(random: Random, draft: Draft) -> None:
    """Say how long the body is, in one of the ways that HTTP has."""
    length = b"%d" % len(draft.body)
    name = random.choice((b"Content-Length", b"content-length"))
    if draft.status in _NO_BODY:
        draft.framing = "none"
        if draft.status == b"304" and random.random() < 0.3:
            draft.add_field(name, length)
        draft.body = b""
        return
    kind = random.random()
    if kind < 0.45:
        draft.add_field(name, length)
    elif kind < 0.88 and draft.version == b"HTTP/1.1":
        draft.framing = "chunked"
        written = random.choice((None, None, b"chunked", b" chunked ", b" Chunked", b" CHUNKED"))
        value = b"chunked" if written is None else written.strip()
        draft.add_field(random.choice((b"Transfer-Encoding", b"transfer-encoding")), value, written)
        draft.chunks = _chunk(random, draft.body)
        draft.last_chunk = random.choice((b"0", b"0", b"0", b"000")) + _extend(random) + b"\r\n"
        if random.random() < 0.15:
            draft.trailers = random.choice(([b"X-T: a"], [b"X-A: late", b"Content-Type: late"]))
    else:
        draft.framing = "close"
        return
    # Where the field stands among the others means nothing.
    draft.fields.insert(random.randrange(len(draft.fields) + 1), draft.fields.pop())


def _chunk(random: Random, body: bytes) -> list[Chunk]:
    chunks = []
    start = 0
    while start < len(body):
        part = body[start : start + random.choice((1, 2, 15, 16, 255, 300, 4096, 70_000))]
        start += len(part)
        size = random.choice((b"%x", b"%x", b"%x", b"%X", b"%04x")) % len(part)
        chunks.append((size + _extend(random) + b"\r\n", part, b"\r\n"))
    return chunks


def _extend(random: Random) -> bytes:
    return random.choice(_EXTENSIONS)


def _say_whether_it_keeps(random: Random, draft: Draft) -> None:
    draft.keeps = draft.version == b"HTTP/1.1" and draft.framing != "close"
    said = random.random()
    if said < 0.1:
        draft.add_field(b"Connection", random.choice((b"close", b"Close", b"x-a, close")))
        draft.keeps = False
    elif said < 0.2:
        draft.add_field(b"Connection", random.choice((b"keep-alive", b"Keep-Alive")))
        draft.keeps = draft.framing != "close"


def _cut(random: Random, data: bytes) -> tuple[bytes, ...]:
    """Return the pieces in which an answer comes: often one, sometimes each byte of its start."""
    if random.random() < 0.4 or len(data) < 2:
        return (data,) if data else ()
    if random.random() < 0.05:
        places: Sequence[int] = range(1, min(len(data), 150))
    else:
        places = sorted(random.randrange(1, len(data)) for _ in range(random.choice((1, 2, 4))))
    starts = [0, *places]
    pieces = [data[start:end] for start, end in zip(starts, [*places, len(data)], strict=True)]
    return tuple(piece for piece in pieces if piece)


def _tell(draft: Draft, ending: Ending) -> Truth:
    return Truth(
        status=int(draft.status),
        headers=tuple(sorted(draft.told.items())),
        body=draft.body,
        is_reusable=draft.keeps and ending == "stay",
    )
