"""
The body of `GET /v1/models`, which is the same for most callers and large where there is much.

It is put together once for each snapshot, a little at a time: other requests go on meanwhile.
`model_endpoints.py` answers with it.
"""

import asyncio
from collections.abc import Iterable, Iterator

import msgspec

from proxy.domain.catalog import Group, Snapshot
from proxy.domain.identity import Caller

GROUPS_PER_TURN = 500
"""Describing so many takes about half a millisecond."""


class ModelList:
    """Keeps the body of the newest snapshot that was asked for."""

    def __init__(self) -> None:
        # Not the snapshot itself: a large one would live on here when it is served no more.
        self._built_for: tuple[int, float] | None = None
        self._body = b""
        self._turn = asyncio.Lock()

    async def read(self, snapshot: Snapshot, caller: Caller) -> bytes:
        """Return the list of a caller."""
        if caller.models is not None:
            return await _build(snapshot, list_groups(snapshot, caller))
        number = (snapshot.generation, snapshot.created_at)
        if self._built_for != number:
            # Of many who ask at once one builds it, and the others wait for that.
            async with self._turn:
                if self._built_for != number:
                    self._body = await _build(snapshot, list_groups(snapshot, caller))
                    self._built_for = number
                return self._body
        return self._body


def list_groups(snapshot: Snapshot, caller: Caller) -> Iterable[Group]:
    """Return what a caller can ask for; some of it may have no deployment now."""
    if caller.models is not None:
        return _list_own(snapshot, caller.models)
    return snapshot.groups.values()


def describe_model(group: Group, snapshot: Snapshot) -> dict[str, object]:
    """Return a model as the list has it, and as it is shown alone."""
    return {
        "id": group.name,
        "object": "model",
        "created": int(snapshot.created_at),
        "owned_by": group.owned_by,
    }


def _list_own(snapshot: Snapshot, names: frozenset[str]) -> Iterator[Group]:
    """Yield what a key with names of its own can ask for, also as `provider/model`."""
    listed = names & snapshot.groups.keys()
    for name in (*sorted(listed), *sorted(names - listed)):
        group = snapshot.find_group(name)
        if group is not None:
            yield group


async def _build(snapshot: Snapshot, groups: Iterable[Group]) -> bytes:
    parts: list[bytes] = []
    for index, group in enumerate(groups):
        if index % GROUPS_PER_TURN == GROUPS_PER_TURN - 1:
            await asyncio.sleep(0)
        if group.deployments:
            parts.append(msgspec.json.encode(describe_model(group, snapshot)))
    return b'{"object":"list","data":[%b]}' % b",".join(parts)
