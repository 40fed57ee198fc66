"""
What the simulator keeps of responses, as OpenAI does: the newest, until it ends.

A response is kept with the items that led to it; requests go on from it, or ask for it again.
"""

from collections import OrderedDict
from typing import Any

import msgspec
from msgspec import Struct

from proxy.domain.errors import InvalidRequest
from proxy.domain.service_errors import ResponseNotFound

CAPACITY = 1000
MOST_BYTES = 64 * 1024 * 1024
"""Of all of them together, as JSON: what is asked of a simulator may be long, too."""
_LONGEST_PAGE = 100

Item = dict[str, Any]


class KeptResponse(Struct, frozen=True):
    """One response, and what had been said before it."""

    response: dict[str, Any]
    input: list[Item]

    @property
    def history(self) -> list[Item]:
        """All items up to its end."""
        return [*self.input, *self.response["output"]]


class ResponseMemory:
    """Responses by their ids, of which the oldest are forgotten."""

    def __init__(self, capacity: int = CAPACITY, most_bytes: int = MOST_BYTES) -> None:
        self._kept: OrderedDict[str, KeptResponse] = OrderedDict()
        self._sizes_bytes: dict[str, int] = {}
        self._room_bytes = most_bytes
        self._capacity = capacity

    def keep(self, kept: KeptResponse) -> None:
        """Keep a response; one of the same id takes the place of the one before."""
        name = kept.response["id"]
        self._drop(name)
        self._kept[name] = kept
        self._sizes_bytes[name] = len(msgspec.json.encode(kept))
        self._room_bytes -= self._sizes_bytes[name]
        while len(self._kept) > self._capacity or self._room_bytes < 0:
            self._drop(next(iter(self._kept)))

    def find(self, response_id: str) -> KeptResponse:
        """Return what is kept; ResponseNotFound if nothing is."""
        kept = self._kept.get(response_id)
        if kept is None:
            raise ResponseNotFound(f"Response with id '{response_id}' not found.")
        return kept

    def delete(self, response_id: str) -> dict[str, Any]:
        """Forget a response and return what tells that; ResponseNotFound if there was none."""
        self.find(response_id)
        self._drop(response_id)
        return {"id": response_id, "object": "response", "deleted": True}

    def find_item(self, item_id: str) -> Item | None:
        """Return an item that somebody has said, by its id."""
        for kept in reversed(self._kept.values()):
            for item in kept.history:
                if item.get("id") == item_id:
                    return item
        return None

    def list_input(self, response_id: str, query: dict[str, list[str]]) -> dict[str, Any]:
        """Return one page of what led to a response, the newest first unless `order` is `asc`."""
        items = [*self.find(response_id).input]
        last = {name: values[-1] for name, values in query.items()}
        try:
            limit = int(last.get("limit", "20"))
        except ValueError:
            limit = 0
        if not 1 <= limit <= _LONGEST_PAGE:
            raise InvalidRequest("Invalid 'limit'.", param="limit")
        if last.get("order", "desc") == "desc":
            items.reverse()
        if "after" in last:
            ids = [item["id"] for item in items]
            items = items[ids.index(last["after"]) + 1 :] if last["after"] in ids else []
        page = items[:limit]
        return {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(items) > len(page),
        }

    def _drop(self, response_id: str) -> None:
        if self._kept.pop(response_id, None) is not None:
            self._room_bytes += self._sizes_bytes.pop(response_id)
