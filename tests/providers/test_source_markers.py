"""Markers such as `[1]`, and the sources that they stand for."""

import pytest

from proxy.providers.source_markers import (
    LONGEST_ADDRESS,
    MAX_MARKERS,
    Marker,
    MarkerReader,
    build_annotations,
)

URLS = ["https://a.example/1", "https://b.example/2"]


def read(*pieces: str) -> list[Marker]:
    """Return the markers of a text that came in these pieces."""
    reader = MarkerReader()
    for piece in pieces:
        reader.feed(piece)
    return reader.markers


TEXT = "Zoë [1][22], [x] [ 3] [1234] [] a[0] [3"


@pytest.mark.parametrize("size", [1, 2, 3, 5, len(TEXT)])
def test_markers_are_found_wherever_the_text_was_cut(size: int) -> None:
    """Places are characters of the whole text; what only looks like a marker is none."""
    pieces = [TEXT[start : start + size] for start in range(0, len(TEXT), size)]
    found = read(*pieces)
    assert found == [Marker(1, 4, 7), Marker(22, 7, 11), Marker(0, 33, 36)]
    assert [TEXT[each.start : each.end] for each in found] == ["[1]", "[22]", "[0]"]


def test_markers_are_bounded() -> None:
    """A text of nothing but markers has no more than are kept."""
    assert len(read("[1]" * 1000)) == MAX_MARKERS


def test_each_marker_with_a_source_is_an_annotation() -> None:
    """Its title is that of what was found there, else its address; no source, no annotation."""
    results = [{"url": URLS[0], "title": "A"}, {"url": 7}, "x", {"title": "no address"}]
    found = build_annotations(read("[2] [1] [3] [0]"), URLS, results)
    assert [each["url_citation"] for each in found] == [
        {"start_index": 0, "end_index": 3, "title": URLS[1], "url": URLS[1]},
        {"start_index": 4, "end_index": 7, "title": "A", "url": URLS[0]},
    ]
    assert {each["type"] for each in found} == {"url_citation"}


def test_what_was_found_stands_for_sources_that_are_not_named() -> None:
    """Without `citations` markers count the search results, the same address twice as two."""
    results = [{"url": URLS[0]}, {"url": URLS[0]}, {"url": URLS[1], "title": "B"}]
    (found,) = build_annotations(read("[3]"), None, results)
    assert found["url_citation"]["title"] == "B"


@pytest.mark.parametrize(
    ("citations", "results"),
    [
        (None, None),
        ({"a": 1}, "x"),
        ([7, None], []),
        (["https://a.example/" + "x" * LONGEST_ADDRESS], []),
        ([""], [None]),
    ],
)
def test_what_is_no_source_is_passed_over(citations: object, results: object) -> None:
    """Other shapes than addresses, and addresses without end, are cited by nobody."""
    assert build_annotations(read("[1]"), citations, results) == []
