"""Tests of `proxy/wire/anthropic_shapes.py`."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from proxy.domain.chat import Citation
from proxy.wire.anthropic_shapes import (
    Block,
    build_citation,
    decode_event,
    find_type,
    read_block,
    read_explanation,
)


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


def test_unknown_members_are_passed_over() -> None:
    """Tomorrow's fields cost an event nothing."""
    event = decode_event(
        b'{"type":"content_block_delta","index":2,"new":{"a":[1]},'
        b'"delta":{"type":"text_delta","text":"Hi","logprobs":[0.1]}}'
    )
    assert event.delta is not None
    assert (event.index, event.delta.text) == (2, "Hi")


def test_a_block_of_an_unknown_type_is_of_none() -> None:
    """Whatever shape a new block has, it is no fault; one that we know must have its own."""
    assert read_block(raw({"type": "tool_use", "id": "t", "name": "f"})) == Block(
        type="tool_use", id="t", name="f"
    )
    assert read_block(raw({"type": "hologram", "text": {"x": 1}})) == Block()
    with pytest.raises(msgspec.ValidationError):
        read_block(raw({"type": "text", "text": {"x": 1}}))


@pytest.mark.parametrize("value", [3, [], {"type": 3}, {}, "text"])
def test_what_says_no_type_has_none(value: Any) -> None:
    """Anything but an object with a type in words is of the type "" """
    assert find_type(raw(value)) == ""
    assert find_type(Raw(b"")) == ""


def test_the_words_of_a_refusal_are_found() -> None:
    """They stand in the details; details of any other shape have none."""
    assert read_explanation(raw({"type": "refusal", "explanation": "No."})) == "No."
    others: list[Any] = [{"type": "refusal", "explanation": None}, [], None, {"explanation": 4}]
    for value in others:
        assert read_explanation(raw(value)) is None
    assert read_explanation(Raw(b"")) is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (
            {"type": "web_search_result_location", "url": "https://a.b/c", "title": "T"},
            ("https://a.b/c", "T", None),
        ),
        (
            {"type": "char_location", "document_title": "Doc", "cited_text": "so"},
            (None, "Doc", "so"),
        ),
        (
            {"type": "search_result_location", "source": "https://x.y", "title": "S"},
            ("https://x.y", "S", None),
        ),
        ({"type": "search_result_location", "source": "shelf 4"}, (None, None, None)),
        ({"title": 5}, (None, None, None)),
        ([], (None, None, None)),
    ],
)
def test_a_citation_says_where_words_come_from(value: Any, found: tuple[str | None, ...]) -> None:
    """Address, title and quoted words are found by any of their names; the whole is kept."""
    url, title, quoted = found
    text = raw(value)
    assert build_citation(text, 3, 9) == Citation(url, title, quoted, 3, 9, text, "anthropic")
