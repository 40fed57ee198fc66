"""
Where an answer's words come from, as Gemini tells it -> citations.

Google counts bytes of UTF-8 (UNVERIFIED), OpenAI's clients characters; so a place is only told
where the words that Gemini quotes stand there in one of the two ways, or where it cannot matter.
"""

from collections.abc import Iterator
from itertools import islice

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import Citation

MAX_CITATIONS = 200


class _Web(Struct, gc=False):
    uri: str | None = None
    title: str | None = None


class _Chunk(Struct, rename="camel", gc=False):
    web: _Web | None = None
    retrieved_context: _Web | None = None
    maps: _Web | None = None


class _Segment(Struct, rename="camel", gc=False):
    start_index: int = 0
    end_index: int | None = None
    text: str | None = None


class _Support(Struct, rename="camel", gc=False):
    segment: _Segment | None = None
    grounding_chunk_indices: list[int] = []


class _Grounding(Struct, rename="camel", gc=False):
    grounding_chunks: list[_Chunk] = []
    grounding_supports: list[_Support] = []


class _Source(Struct, rename="camel", gc=False):
    start_index: int = 0
    end_index: int | None = None
    uri: str | None = None
    title: str | None = None


class _Sources(Struct, rename="camel", gc=False):
    citations: list[_Source] = []
    citation_sources: list[_Source] = []


_decode_grounding = msgspec.json.Decoder(_Grounding).decode
_decode_sources = msgspec.json.Decoder(_Sources).decode


def read_grounding(raw: Raw, text: str | None) -> list[Citation]:
    """
    Return what a `groundingMetadata` object says, nothing where it cannot be read.

    Args:
        raw: the object's JSON.
        text: all of the answer's text before it; None: it has not been kept.
    """
    try:
        found = _decode_grounding(raw)
    except (ValueError, RecursionError):
        return []
    return list(islice(_list(found, _Text(text)), MAX_CITATIONS))


def read_citations(raw: Raw, text: str | None) -> list[Citation]:
    """Return what a `citationMetadata` object says of words that stand elsewhere, too."""
    try:
        found = _decode_sources(raw)
    except (ValueError, RecursionError):
        return []
    sources = (found.citations or found.citation_sources)[:MAX_CITATIONS]
    said = _Text(text)
    return [
        _cite(_Web(source.uri, source.title), _Segment(source.start_index, source.end_index), said)
        for source in sources
        if source.uri or source.title
    ]


class _Text:
    """An answer's text, encoded once for all of its sources."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.encoded = b"" if text is None or text.isascii() else text.encode()


def _list(found: _Grounding, said: _Text) -> Iterator[Citation]:
    chunks = [
        chunk.web or chunk.retrieved_context or chunk.maps for chunk in found.grounding_chunks
    ]
    if not found.grounding_supports:
        yield from (Citation(url=web.uri, title=web.title) for web in chunks if web is not None)
    for support in found.grounding_supports:
        for index in support.grounding_chunk_indices:
            web = chunks[index] if 0 <= index < len(chunks) else None
            if web is not None:
                yield _cite(web, support.segment or _Segment(), said)


def _cite(web: _Web, segment: _Segment, said: _Text) -> Citation:
    start, end = _find_place(segment, said)
    return Citation(url=web.uri, title=web.title, quoted=segment.text, start=start, end=end)


def _find_place(segment: _Segment, said: _Text) -> tuple[int | None, int | None]:
    """Return where the segment is, in characters; None where that is not sure."""
    start, end, quoted = segment.start_index, segment.end_index, segment.text
    text, encoded = said.text, said.encoded
    if text is None or end is None or not 0 <= start <= end:
        return None, None
    if text.isascii():
        return (start, end) if end <= len(text) else (None, None)
    try:
        words = encoded[start:end].decode()
        before = len(encoded[:start].decode())
    except UnicodeDecodeError:
        words, before = "", 0
    if quoted is None or words == quoted:
        return (before, before + len(words)) if words else (None, None)
    return (start, end) if text[start:end] == quoted else (None, None)
