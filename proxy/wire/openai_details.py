"""OpenRouter's `reasoning_details`, joined over a stream: what its models want back unaltered."""

from typing import Any

import msgspec
from msgspec import Raw

MOST_CHARACTERS = 256 * 1024
"""Of one choice; what is longer is not kept, since only all of it is of use."""
_JOINED = frozenset(("text", "summary", "data"))
"""Members that come in pieces; all others are whole each time."""

_encode = msgspec.json.encode


class DetailsReader:
    """Joins the pieces of one choice by their `index`."""

    def __init__(self) -> None:
        self._items: list[dict[str, Any]] = []
        self._by_index: dict[int, dict[str, Any]] = {}
        self._room = MOST_CHARACTERS

    def take(self, pieces: Any) -> None:
        """
        Add the pieces of one delta, or the items of a whole message.

        Args:
            pieces: the decoded member; what is no item is passed over.
        """
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict) and self._room >= 0:
                self._add(piece)

    def build(self) -> Raw | None:
        """Return all of them as one list, None where there are none, or more than are kept."""
        return Raw(_encode(self._items)) if self._items and self._room >= 0 else None

    def _add(self, piece: dict[str, Any]) -> None:
        index = piece.get("index")
        item = self._by_index.get(index) if isinstance(index, int) else None
        if item is None:
            self._room -= len(_encode(piece))
            item = dict(piece)
            self._items.append(item)
            if isinstance(index, int):
                self._by_index[index] = item
            return
        for name, value in piece.items():
            before = item.get(name)
            if name in _JOINED and isinstance(before, str) and isinstance(value, str):
                self._room -= len(value)
                item[name] = before + value
            elif value is not None and value != before:
                self._room -= len(_encode(value))
                item[name] = value
