"""Pages of the items that led to a response."""

import json
from typing import Any

import pytest

from proxy.domain.errors import InvalidRequest
from proxy.wire.responses_page import MOST_ITEMS, build_item_page, read_page_query

ITEMS = json.dumps([{"id": f"i{number}"} for number in range(5)]).encode()


def page(**query: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(build_item_page(ITEMS, read_page_query(query)))
    found["data"] = [item["id"] for item in found["data"]]
    return found


def test_the_newest_are_first_unless_said_otherwise() -> None:
    """All of a short list are one page."""
    assert page() == {
        "object": "list",
        "data": ["i4", "i3", "i2", "i1", "i0"],
        "first_id": "i4",
        "last_id": "i0",
        "has_more": False,
    }
    assert page(order="asc")["data"] == ["i0", "i1", "i2", "i3", "i4"]


def test_pages_follow_each_other() -> None:
    """By the last id of the one before, until there is no more."""
    first = page(limit="2", order="asc")
    assert (first["data"], first["has_more"]) == (["i0", "i1"], True)
    second = page(limit="2", order="asc", after=first["last_id"])
    assert (second["data"], second["has_more"]) == (["i2", "i3"], True)
    last = page(limit="2", order="asc", after=second["last_id"])
    assert (last["data"], last["has_more"]) == (["i4"], False)
    assert page(before="i2")["data"] == ["i4", "i3"]


def test_beside_an_item_that_is_not_there_stands_nothing() -> None:
    """An empty page has no ids."""
    for query in ({"after": "x"}, {"before": "x"}):
        found = page(**query)
        assert (found["data"], found["first_id"], found["has_more"]) == ([], None, False)
    assert json.loads(build_item_page(b"[]", read_page_query({})))["data"] == []


def test_items_without_an_id_are_shown_all_the_same() -> None:
    """They cannot be a place to go on from."""
    found = json.loads(build_item_page(b'[{"role":"user"},{"id":"a"}]', read_page_query({})))
    assert found["data"] == [{"id": "a"}, {"role": "user"}]
    assert found["last_id"] is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", value) for value in ("0", str(MOST_ITEMS + 1), "-1", "x", "", "9" * 5000)),
        ("order", "up"),
        *(("after", ""), ("before", "x" * 257)),
    ],
    ids=range(9),
)
def test_what_makes_no_sense_is_refused_by_name(name: str, value: str) -> None:
    """A query is the client's to mend."""
    with pytest.raises(InvalidRequest) as caught:
        read_page_query({name: value})
    assert caught.value.param == name


def test_a_query_is_told_as_it_came() -> None:
    """To a provider that has the same list."""
    asked = {"limit": "7", "order": "asc", "after": "a", "before": "b"}
    assert dict(read_page_query(asked).list_asked()) == asked
    assert dict(read_page_query({}).list_asked()) == {"limit": "20", "order": "desc"}
