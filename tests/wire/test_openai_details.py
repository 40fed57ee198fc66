"""Tests of `proxy/wire/openai_details.py`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire import openai_details
from proxy.wire.openai_details import DetailsReader


def joined(*deltas: Any) -> Any:
    """What the pieces of these deltas come to, None for nothing."""
    reader = DetailsReader()
    for delta in deltas:
        reader.take(delta)
    raw = reader.build()
    return None if raw is None else json.loads(bytes(raw))


def test_pieces_of_one_index_are_one_item() -> None:
    """Texts are joined, a signature is the one that came, all else stands once."""
    first = {"type": "reasoning.text", "text": "Let ", "index": 0, "format": "f", "signature": None}
    second = {"type": "reasoning.text", "text": "me", "index": 0, "format": "f", "signature": "s"}
    other = {"type": "reasoning.encrypted", "data": "QUI=", "index": 1}
    assert joined([first], [second], [other]) == [
        {**first, "text": "Let me", "signature": "s"},
        other,
    ]


def test_items_without_an_index_are_all_kept() -> None:
    """A whole answer's items stay as they came, in their order."""
    items = [{"type": "a", "text": "x"}, {"type": "a", "text": "x"}]
    assert joined(items) == items


def test_nothing_is_none() -> None:
    """Of no items, and of what is none, nothing is built."""
    assert joined() is joined([], None, "x", [7]) is None


def test_more_than_is_kept_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of it would be of no use to its maker."""
    monkeypatch.setattr(openai_details, "MOST_CHARACTERS", 40)
    assert joined([{"index": 0, "text": "1234"}]) is not None
    assert joined([{"index": 0, "text": "1234"}], [{"index": 0, "text": "x" * 40}]) is None
    assert joined([{"index": 0}], [{"index": 0, "signature": "x" * 40}]) is None
    assert joined([{"text": "x" * 40}]) is None


VALUES = st.none() | st.integers() | st.text(max_size=3)
PIECES = st.dictionaries(st.sampled_from(["index", "text", "data", "signature"]), VALUES)


@given(st.lists(st.lists(PIECES | VALUES) | VALUES, max_size=4))
def test_nothing_raises(deltas: list[Any]) -> None:
    """Whatever a provider sends, it is joined or passed over."""
    joined(*deltas)
