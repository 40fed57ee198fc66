"""
A good answer before it is sent: its chunks or its body, and how they become steps.

`chat.py`, `completions.py` and `embeddings.py` make drafts; `faults.py` spoils them; no
model and no fault is known here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from proxy.domain.errors import ProxyError
from proxy.simulator.knobs import Knobs
from proxy.simulator.openai_format import OPENAI
from proxy.simulator.plan import Data, End, Framing, Head, Step, Wait
from proxy.simulator.wire_format import (
    JSON_HEADERS,
    Chunk,
    Headers,
    WireFormat,
    Words,
    describe_error,
)

NDJSON_HEADERS = (("content-type", "application/x-ndjson"),)
NDJSON_FORMAT = "ollama"
SSE_HEADERS = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))

encode = msgspec.json.encode


class Draft(Struct):
    """
    One good answer, still open to changes.

    A stream has `chunks` (without the usage chunk): `opening_chunks` of them carry only
    the role, `token_chunks` one token each. Anything else has `body`. `usage` is what
    both would report; `sends_usage_chunk` is true if the client asked for it, `hides_usage`
    if it is told in no way. All of it is OpenAI's; `format` says how it goes on the wire.
    """

    model: str
    created_at: int
    knobs: Knobs
    streams: bool
    usage: dict[str, Any]
    chunks: list[dict[str, Any]] = msgspec.field(default_factory=list)
    opening_chunks: int = 0
    token_chunks: int = 0
    choices: int = 1
    sends_usage_chunk: bool = False
    body: dict[str, Any] = msgspec.field(default_factory=dict)
    hides_usage: bool = False
    format: WireFormat = OPENAI

    @property
    def usage_chunk(self) -> dict[str, Any]:
        """The separate last chunk that carries the usage and no choice."""
        return self.chunk_with(self.usage)

    def chunk_with(self, usage: object) -> dict[str, Any]:
        """Return a chunk without a choice that reports `usage`."""
        return {**self.chunks[-1], "choices": [], "usage": usage}

    @property
    def has_events(self) -> bool:
        """Its streams are event streams, and no lines of JSON."""
        return self.format.name != NDJSON_FORMAT

    @property
    def stream_headers(self) -> Headers:
        """What the head of a stream says that it is."""
        return SSE_HEADERS if self.has_events else NDJSON_HEADERS

    @property
    def token_gap_s(self) -> float:
        """Seconds between two token chunks; choices are generated side by side."""
        rate = self.knobs.tokens_per_s
        return 1 / (rate * self.choices) if rate else 0.0

    @property
    def first_token_s(self) -> float:
        """Seconds before the first byte of the body."""
        return (self.knobs.first_token_ms or 0) / 1000


def encode_chunks(draft: Draft, chunks: Sequence[Chunk]) -> list[bytes]:
    """Return what each of these chunks is on the wire."""
    return draft.format.encode_chunks(chunks, None if draft.hides_usage else draft.usage)


def encode_body(draft: Draft, body: Mapping[str, Any] | None = None) -> bytes:
    """Return the whole answer, or another in its place, as it is on the wire."""
    return draft.format.encode_body(draft.body if body is None else body)


def build_frames(draft: Draft) -> list[bytes]:
    """Return every event of the stream in order, what ends it last; b"" where there is none."""
    chunks = [*draft.chunks]
    if draft.sends_usage_chunk and draft.format.has_usage_chunk:
        chunks.append(draft.usage_chunk)
    return [*encode_chunks(draft, chunks), draft.format.done]


def build_stream(
    draft: Draft,
    frames: Sequence[bytes],
    *,
    framing: Framing = "chunked",
    headers: Headers = (),
    content_length: int | None = None,
    ending: tuple[Step, ...] = (End(),),
) -> tuple[Step, ...]:
    """Return the steps that send `frames` as an event stream, at the draft's pace."""
    length = sum(map(len, frames)) if content_length is None else content_length
    headers = draft.stream_headers + draft.format.headers + headers
    steps: list[Step] = [Head(200, headers, framing, length)]
    if draft.first_token_s:
        steps.append(Wait(draft.first_token_s))
    paced = range(draft.opening_chunks + 1, draft.opening_chunks + draft.token_chunks)
    gap = Wait(draft.token_gap_s) if draft.token_gap_s else None
    for number, frame in enumerate(frames):
        if gap is not None and number in paced:
            steps.append(gap)
        if frame:
            steps.append(Data(frame, 1))
    steps.extend(ending)
    return tuple(steps)


def build_body(
    draft: Draft,
    body: bytes,
    *,
    headers: Headers = (),
    framing: Framing = "chunked",
    content_length: int | None = None,
    ending: tuple[Step, ...] = (End(),),
) -> tuple[Step, ...]:
    """Return the steps that send `body` whole, after the time that its tokens take."""
    wait_s = draft.first_token_s + draft.token_gap_s * draft.token_chunks
    length = len(body) if content_length is None else content_length
    head = Head(200, JSON_HEADERS + draft.format.headers + headers, framing, length)
    steps: tuple[Step, ...] = (head, Data(body, 1), *ending)
    return (Wait(wait_s), *steps) if wait_s else steps


def build_good(draft: Draft) -> tuple[Step, ...]:
    """Return the steps of the answer as it ought to be."""
    if draft.streams:
        return build_stream(draft, build_frames(draft))
    return build_body(draft, encode_body(draft))


def build_reply(status: int, body: bytes, headers: Headers = JSON_HEADERS) -> tuple[Step, ...]:
    """Return the steps of a short answer that takes no time."""
    return (Head(status, headers, "chunked", len(body)), Data(body, 1), End())


def build_failure(
    format_: WireFormat, status: int, words: Words, headers: Headers = ()
) -> tuple[Step, ...]:
    """Return the steps that answer with an error, as the format writes it."""
    status, headers, body = format_.build_error(status, words, headers)
    return build_reply(status, body, headers + format_.headers)


def build_error(error: ProxyError, format_: WireFormat = OPENAI) -> tuple[Step, ...]:
    """Return the steps that answer with an error of ours."""
    return build_failure(format_, error.status, describe_error(error))
