"""Where words of Cohere's answers come from: its citations -> ours."""

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import Citation
from proxy.wire.openai_error import NO_VALUE

_OF_TEXT = "TEXT_CONTENT"
"""What is said of plans and thoughts has no place elsewhere."""


class _Source(Struct):
    """A document of the request, or what a tool has answered."""

    id: str | None = None
    document: Raw = NO_VALUE
    tool_output: Raw = NO_VALUE


class _Page(Struct):
    """What a document or a tool's answer may say of itself."""

    url: str | None = None
    title: str | None = None


class _Citation(Struct):
    start: int | None = None
    end: int | None = None
    text: str | None = None
    sources: list[_Source] | None = None
    content_index: int | None = None
    type: str | None = None


_decode = msgspec.json.Decoder(_Citation | list[_Citation]).decode
_decode_page = msgspec.json.Decoder(_Page).decode


def read_cohere_citations(raw: Raw, starts: Mapping[int, int]) -> list[Citation]:
    """
    Return a citation for each source that words of an answer come from.

    A document has an address only if the client has given it one as `url`; else it is told by
    its id, as `source:<id>`.

    Args:
        raw: one citation of a stream, or the list of a whole answer. An answer is worth more than
            its sources: what is of no known shape is passed over.
        starts: how many characters of text there are before each block of content.

    Source: wire-formats §3.3; tests/wire/test_cohere_sources.py.
    """
    try:
        found = _decode(raw)
    except (ValueError, RecursionError):
        return []
    cited = found if isinstance(found, list) else [found]
    return [citation for each in cited for citation in _read(each, starts)]


def _read(cited: _Citation, starts: Mapping[int, int]) -> Iterator[Citation]:
    if cited.type not in (None, _OF_TEXT):
        return
    start, end = cited.start, cited.end
    if start is None or end is None or not 0 <= start <= end:
        start = end = None
    else:
        before = starts.get(cited.content_index or 0, 0)
        start, end = before + start, before + end
    for source in cited.sources or ():
        page = _read_page(source)
        url = page.url if page.url and "://" in page.url else None
        if url is None and source.id:
            url = f"source:{source.id}"
        if url is not None:
            yield Citation(
                url=url, title=page.title or source.id, quoted=cited.text, start=start, end=end
            )


def _read_page(source: _Source) -> _Page:
    for raw in (source.document, source.tool_output):
        if raw is not NO_VALUE:
            try:
                return _decode_page(raw)
            except (ValueError, RecursionError):
                return _Page()
    return _Page()
