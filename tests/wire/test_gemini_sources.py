"""Tests of `proxy/wire/gemini_sources.py`."""

import json
from typing import Any

import pytest
from google.genai import types
from msgspec import Raw

from proxy.domain.chat import Citation
from proxy.wire.gemini_sources import MAX_CITATIONS, read_citations, read_grounding

WEB = {"web": {"uri": "https://a.example", "title": "A"}}
TEXT = "Zoë lives in Paris."
# Bytes, as Google counts: the text before has one character of two bytes.
IN_BYTES = {"startIndex": 14, "endIndex": 19, "text": "Paris"}
IN_CHARACTERS = {"startIndex": 13, "endIndex": 18, "text": "Paris"}


def ground(text: str | None, segment: dict[str, Any] | None, **more: Any) -> list[Citation]:
    value: dict[str, Any] = {"groundingChunks": [WEB], **more}
    if segment is not None:
        value["groundingSupports"] = [{"segment": segment, "groundingChunkIndices": [0]}]
    types.GroundingMetadata.model_validate(value)
    return read_grounding(Raw(json.dumps(value).encode()), text)


@pytest.mark.parametrize("segment", [IN_BYTES, IN_CHARACTERS])
def test_a_place_is_told_in_characters(segment: dict[str, Any]) -> None:
    """Bytes or characters: where the quoted words stand there, that is the place."""
    assert ground(TEXT, segment) == [Citation("https://a.example", "A", "Paris", 13, 18)]


@pytest.mark.parametrize(
    ("text", "segment"),
    [
        (None, IN_BYTES),
        (TEXT, {"startIndex": 2, "endIndex": 3, "text": "Paris"}),
        (TEXT, {"startIndex": 3, "endIndex": 5, "text": "x"}),
        (TEXT, {"startIndex": 500, "endIndex": 505}),
        (TEXT, {"startIndex": 5, "endIndex": 2, "text": "Paris"}),
        (TEXT, {"startIndex": -3, "endIndex": 2}),
        ("ascii", {"startIndex": 0, "endIndex": 50}),
        (TEXT, {}),
    ],
)
def test_a_place_that_is_not_sure_is_not_told(text: str | None, segment: dict[str, Any]) -> None:
    """The source is told all the same."""
    (found,) = ground(text, segment)
    assert (found.url, found.start, found.end) == ("https://a.example", None, None)


def test_in_plain_text_bytes_are_characters() -> None:
    """There no words need to be quoted."""
    (found,) = ground("in Paris", {"startIndex": 3, "endIndex": 8})
    assert (found.start, found.end) == (3, 8)


def test_sources_without_places_are_told() -> None:
    """A source that supports nothing in particular is one of the whole answer."""
    assert ground(TEXT, None) == [Citation("https://a.example", "A")]


def test_each_source_of_a_place_is_told() -> None:
    """Indices that lead to no source are passed over, as are sources of unknown kinds."""
    chunks = [WEB, {"other": {}}, {"retrievedContext": {"uri": "gs://b/c", "title": "C"}}]
    support = {
        "segment": {"startIndex": 0, "endIndex": 2},
        "groundingChunkIndices": [2, 0, 1, 9, -1],
    }
    value = {"groundingChunks": chunks, "groundingSupports": [support]}
    found = read_grounding(Raw(json.dumps(value).encode()), "text")
    assert [citation.title for citation in found] == ["C", "A"]


def test_words_that_stand_elsewhere_are_told() -> None:
    """A `citationMetadata` has addresses and places, too."""
    value = {"citations": [{"startIndex": 3, "endIndex": 8, "uri": "https://b.example"}, {}]}
    found = read_citations(Raw(json.dumps(value).encode()), "in Paris")
    assert found == [Citation("https://b.example", None, None, 3, 8)]
    old = {"citationSources": [{"uri": "https://b.example"}]}
    assert read_citations(Raw(json.dumps(old).encode()), None) == [Citation("https://b.example")]


@pytest.mark.parametrize("raw", [b"", b"5", b'{"groundingChunks":5}', b'{"citations":{}}', b"{"])
def test_what_cannot_be_read_is_nothing(raw: bytes) -> None:
    """Sources are an extra: an answer is never lost for them."""
    assert read_grounding(Raw(raw), "text") == read_citations(Raw(raw), "text") == []


def test_sources_have_a_cap() -> None:
    """A provider that names millions of them is heard for the first few."""
    value = {"groundingChunks": [WEB] * (MAX_CITATIONS + 5)}
    assert len(read_grounding(Raw(json.dumps(value).encode()), None)) == MAX_CITATIONS
