"""Tests of `proxy/wire/cohere_sources.py`."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import Citation
from proxy.wire.cohere_sources import read_cohere_citations

PAGE = {"type": "document", "id": "d1", "document": {"url": "https://a.example/", "title": "A"}}
BARE = {"type": "document", "id": "d2", "document": {"text": "x"}}
TOOL = {"type": "tool", "id": "t1", "tool_output": {"url": "http://b.example"}}


def read(value: Any, starts: dict[int, int] | None = None) -> list[Citation]:
    return read_cohere_citations(Raw(json.dumps(value).encode()), starts or {})


def test_each_source_is_a_citation() -> None:
    """Words that come from three places lead to all of them; who has no address has its id."""
    cited = {"start": 2, "end": 5, "text": "dry", "sources": [PAGE, BARE, TOOL]}
    wanted = [
        Citation("https://a.example/", "A", "dry", 2, 5),
        Citation("source:d2", "d2", "dry", 2, 5),
        Citation("http://b.example", "t1", "dry", 2, 5),
    ]
    assert read(cited) == wanted
    assert read([cited, cited]) == wanted * 2


def test_positions_are_those_of_the_whole_text() -> None:
    """A block's own positions begin at 0, where the text before it is not counted."""
    cited = {"start": 2, "end": 5, "sources": [BARE], "content_index": 1, "type": "TEXT_CONTENT"}
    assert [(each.start, each.end) for each in read(cited, {0: 0, 1: 40})] == [(42, 45)]


@pytest.mark.parametrize("place", [(-1, 2), (5, 2), (None, 2), (1, None)])
def test_a_place_that_cannot_be_is_none(place: tuple[Any, Any]) -> None:
    """The source is told all the same."""
    (cited,) = read({"start": place[0], "end": place[1], "sources": [BARE]})
    assert (cited.start, cited.end, cited.url) == (None, None, "source:d2")


@pytest.mark.parametrize(
    "value",
    [
        {"sources": []},
        {"sources": [{"type": "document"}]},
        {"sources": [BARE], "type": "PLAN"},
        {"sources": [BARE], "type": "THINKING_CONTENT"},
        {"sources": {}},
        "x",
        [3],
    ],
    ids=str,
)
def test_what_leads_nowhere_is_passed_over(value: Any) -> None:
    """Sources of plans and thoughts have no place, and odd shapes cost no answer."""
    assert read(value) == []


@pytest.mark.parametrize(
    "source",
    [
        {"id": "d", "document": {"url": "javascript:x", "title": 3}},
        {"id": "d", "document": [1]},
        {"id": "d", "document": None},
    ],
    ids=str,
)
def test_a_document_of_odd_shape_has_its_id(source: Any) -> None:
    """What is no address is not shown as one."""
    assert [(each.url, each.title) for each in read({"sources": [source]})] == [("source:d", "d")]
