"""One page of the items that led to a response, as `GET /v1/responses/{id}/input_items` has it."""

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import InvalidRequest
from proxy.wire.json_text import build_object, encode

MOST_ITEMS = 100
_LONGEST_ID = 256


class PageQuery(Struct, frozen=True):
    """Which of them, in which order; the newest are first unless `order` is `asc`."""

    limit: int = 20
    is_ascending: bool = False
    after: str | None = None
    before: str | None = None

    def list_asked(self) -> Iterator[tuple[str, str]]:
        """Give the members of the query, as a provider is asked the same."""
        yield "limit", str(self.limit)
        yield "order", "asc" if self.is_ascending else "desc"
        if self.after is not None:
            yield "after", self.after
        if self.before is not None:
            yield "before", self.before


class _Item(Struct):
    id: Raw = Raw(b"null")


_decode_items = msgspec.json.Decoder(list[Raw]).decode
_decode_item = msgspec.json.Decoder(_Item).decode


def read_page_query(query: Mapping[str, str]) -> PageQuery:
    """
    Return what a query asks for; names that are not known say nothing.

    Raises:
        InvalidRequest: a value that is none, named in `param`.

    Source: OpenAI's API reference, "List input items".
    """
    limit = query.get("limit", "20")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= MOST_ITEMS):
        raise InvalidRequest(f"'limit' must be a number from 1 to {MOST_ITEMS}.", param="limit")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest("'order' must be 'asc' or 'desc'.", param="order")
    return PageQuery(
        int(limit), order == "asc", _read_id(query, "after"), _read_id(query, "before")
    )


def build_item_page(items: bytes, page: PageQuery) -> bytes:
    """
    Return one page of a list of items.

    Args:
        items: a JSON array, the oldest first.
        page: which of them. After or before an item that is not there stands nothing.

    Source: wire-formats §2.7; tests/wire/test_responses_page.py.
    """
    listed = _decode_items(items)
    if not page.is_ascending:
        listed.reverse()
    ids = [bytes(_decode_item(item).id) for item in listed]
    begin, end = 0, len(listed)
    if page.after is not None:
        begin = _find(ids, page.after, end) + 1
    if page.before is not None:
        end = _find(ids, page.before, 0)
    shown = listed[begin:end][: page.limit]
    shown_ids = ids[begin:end][: page.limit]
    return build_object(
        {
            "object": b'"list"',
            "data": b"[" + b",".join([bytes(item) for item in shown]) + b"]",
            "first_id": shown_ids[0] if shown_ids else b"null",
            "last_id": shown_ids[-1] if shown_ids else b"null",
            "has_more": b"true" if end - begin > len(shown) else b"false",
        }
    )


def _find(ids: list[bytes], wanted: str, otherwise: int) -> int:
    encoded = encode(wanted)
    return ids.index(encoded) if encoded in ids else otherwise


def _read_id(query: Mapping[str, str], name: str) -> str | None:
    value = query.get(name)
    if value is not None and not 0 < len(value) <= _LONGEST_ID:
        raise InvalidRequest(f"'{name}' must be the id of an item.", param=name)
    return value
