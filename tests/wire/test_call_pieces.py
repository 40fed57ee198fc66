"""Which call a piece of a stream is of."""

from typing import Any

import pytest

from proxy.wire.call_pieces import CallPieces, read_text


class Call:
    """A call as a test keeps it."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.id = ""


def find_all(*pieces: dict[str, Any]) -> list[int]:
    """Return for each piece which call it is of; `name` is the name that it has."""
    table = CallPieces(Call)
    found = []
    for piece in pieces:
        call = table.find(piece, piece.get("name", ""))
        call.id = call.id or read_text(piece, "id")
        found.append(call.position)
    assert [call.position for call in table.calls] == list(range(len(table.calls)))
    return found


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([{"index": 3, "id": "a"}, {"index": 5, "id": "b"}, {"index": 3}], [0, 1, 0]),
        ([{"id": "a"}, {"id": "b"}, {"id": "a"}], [0, 1, 0]),
        ([{"name": "f"}, {}, {"name": "g"}, {}], [0, 0, 1, 1]),
        ([{"index": 0, "id": "a", "name": "f"}, {"index": 0, "id": "b", "name": "g"}], [0, 1]),
        ([{"index": 0, "id": "a", "name": "f"}, {"index": 0, "id": "b"}], [0, 0]),
        ([{"index": 0, "id": "a"}, {"id": "a"}], [0, 0]),
        ([{"index": "0", "id": 7}, {"index": None}], [0, 0]),
    ],
    ids=["number", "id", "order", "same number", "another id alone", "number, then id", "odd"],
)
def test_a_piece_finds_its_call(pieces: list[dict[str, Any]], expected: list[int]) -> None:
    """By number, else by id, else by order; another id and name under one number is another."""
    assert find_all(*pieces) == expected


def test_who_begins_a_call_may_refuse_it() -> None:
    """What `begin` raises comes out, and the calls before stay as they were."""

    def begin(position: int) -> Call:
        if position:
            raise ValueError("one is enough")
        return Call(position)

    table = CallPieces(begin)
    first = table.find({"index": 0}, "f")
    with pytest.raises(ValueError, match="enough"):
        table.find({"index": 1}, "g")
    assert table.calls == [first]
    assert table.find({"index": 0}, "") is first
