"""
`GET /v1/models` as Anthropic's clients get it: page by page, each model with its display name.

`model_endpoints.py` answers with it where a request says `anthropic-version`.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from proxy.domain.catalog import Group, Snapshot
from proxy.domain.errors import InvalidRequest
from proxy.domain.identity import Caller
from proxy.server.model_list import GROUPS_PER_TURN, list_groups

USUAL_LIMIT = 20
HIGHEST_LIMIT = 1000


async def read_page(snapshot: Snapshot, caller: Caller, query: Mapping[str, str]) -> bytes:
    """
    Return one page of a caller's models.

    Args:
        snapshot: what is served.
        caller: who asks.
        query: `limit`, 1 to 1000 or 20, and `after_id` or `before_id`: the last model of the page
            before, or the first one of the page behind.

    Raises:
        InvalidRequest: a limit that is none, both ids, or an id that is no model.

    Source: wire-formats §2.6; Anthropic's SDK pages by `has_more` and `last_id`.
    """
    limit = _read_limit(query.get("limit"))
    groups: list[Group] = []
    for index, group in enumerate(list_groups(snapshot, caller)):
        if index % GROUPS_PER_TURN == GROUPS_PER_TURN - 1:
            await asyncio.sleep(0)
        if group.deployments:
            groups.append(group)
    shown, has_more = _cut(groups, limit, query.get("after_id"), query.get("before_id"))
    return msgspec.json.encode(
        {
            "data": [describe_for_anthropic(group, snapshot) for group in shown],
            "has_more": has_more,
            "first_id": shown[0].name if shown else None,
            "last_id": shown[-1].name if shown else None,
        }
    )


def describe_for_anthropic(group: Group, snapshot: Snapshot) -> dict[str, object]:
    """Return a model as a page has it, and as it is shown alone."""
    created_at = datetime.fromtimestamp(int(snapshot.created_at), UTC)
    return {
        "type": "model",
        "id": group.name,
        "display_name": group.name,
        "created_at": created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _cut(
    groups: list[Group], limit: int, after_id: str | None, before_id: str | None
) -> tuple[list[Group], bool]:
    """Return a page, and whether there are more models in the direction that is gone."""
    if after_id and before_id:
        raise InvalidRequest("Send 'after_id' or 'before_id', not both.", param="before_id")
    if before_id:
        end = _find(groups, before_id, "before_id")
        start = max(0, end - limit)
        return groups[start:end], start > 0
    start = _find(groups, after_id, "after_id") + 1 if after_id else 0
    return groups[start : start + limit], start + limit < len(groups)


def _find(groups: list[Group], name: str, param: str) -> int:
    for index, group in enumerate(groups):
        if group.name == name:
            return index
    raise InvalidRequest(f"'{param}' is no model of this list.", param=param)


def _read_limit(text: str | None) -> int:
    if text is None:
        return USUAL_LIMIT
    is_number = text.isascii() and text.isdigit() and len(text) <= 4
    if not is_number or not 1 <= int(text) <= HIGHEST_LIMIT:
        raise InvalidRequest(f"'limit' must be 1 to {HIGHEST_LIMIT}.", param="limit")
    return int(text)
