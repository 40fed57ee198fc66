"""Answers of the Responses API in the memory of one process, each for a limited time."""

import heapq
import time
from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct

from proxy.domain.settings import InstallSettings
from proxy.domain.stored_response import StoredResponse

USUAL_TTL_S = InstallSettings().response_ttl_s
USUAL_BYTES = InstallSettings().max_response_bytes
LARGEST_SHARE = 8
"""One answer may take so large a part of the room and no more: else it would drive out all."""

_LOOKS = 16
"""How often within its time it is looked for what is too old of those who ask no more."""


class _Kept(Struct, frozen=True):
    stored: StoredResponse
    until_s: float


class _Room:
    """What one organization has here, oldest first, with the ids that lead to it."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.kept: OrderedDict[str, _Kept] = OrderedDict()
        self.responses_of: dict[str, str] = {}
        """The id of the response that an item is of."""

    def put(self, kept: _Kept) -> None:
        self.drop(kept.stored.id)
        self.kept[kept.stored.id] = kept
        self.size_bytes += kept.stored.size_bytes
        for item_id in kept.stored.item_ids:
            self.responses_of[item_id] = kept.stored.id

    def find(self, an_id: str) -> _Kept | None:
        return self.kept.get(self.responses_of.get(an_id, an_id))

    def drop(self, response_id: str) -> bool:
        kept = self.kept.pop(response_id, None)
        if kept is None:
            return False
        self.size_bytes -= kept.stored.size_bytes
        for item_id in kept.stored.item_ids:
            if self.responses_of.get(item_id) == response_id:
                del self.responses_of[item_id]
        return True

    def drop_old(self, now_s: float) -> int:
        """Drop all whose time is over; all are kept equally long, so that the oldest are first."""
        before = self.size_bytes
        while self.kept:
            oldest = next(iter(self.kept.values()))
            if oldest.until_s > now_s:
                break
            self.drop(oldest.stored.id)
        return before - self.size_bytes


class MemoryResponses:
    """
    A ResponseStore (see `base.py`) that forgets the oldest, of whichever organization has most.

    So nobody is driven out by another who asks more.
    """

    def __init__(
        self,
        ttl_s: float = USUAL_TTL_S,
        most_bytes: int = USUAL_BYTES,
        read_clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Begin with nothing.

        Args:
            ttl_s: how long an answer is kept, in seconds.
            most_bytes: of all organizations together.
            read_clock_s: a clock that only moves on.
        """
        self._ttl_s = ttl_s
        self._most_bytes = most_bytes
        self._read_clock_s = read_clock_s
        self._rooms: dict[str, _Room] = {}
        self._size_bytes = 0
        self._look_at_s = read_clock_s()

    @property
    def size_bytes(self) -> int:
        """What all of it takes."""
        return self._size_bytes

    def keep(self, owner: str, stored: StoredResponse) -> None:
        """Keep an answer, unless it alone is too large (see `base.py`)."""
        if stored.size_bytes > self._most_bytes // LARGEST_SHARE:
            return
        now_s = self._read_clock_s()
        if now_s >= self._look_at_s:
            # Now and then: nobody finds what is too old, whether it has been dropped or not.
            self._look_at_s = now_s + self._ttl_s / _LOOKS
            for name in [*self._rooms]:
                self._drop_old(name, now_s)
        room = self._rooms.setdefault(owner, _Room())
        before = room.size_bytes
        room.put(_Kept(stored, now_s + self._ttl_s))
        self._size_bytes += room.size_bytes - before
        if self._size_bytes > self._most_bytes:
            self._make_room(room, stored.size_bytes)

    async def settle(self) -> None:
        """Return at once: nobody shares it (see `base.py`)."""

    async def find(self, owner: str, response_id: str) -> StoredResponse | None:
        """Return what is kept under an id of a response or of one of its items (see `base.py`)."""
        return self._find(owner, response_id)

    async def delete(self, owner: str, response_id: str) -> bool:
        """Forget an answer (see `base.py`)."""
        return self._delete(owner, response_id)

    def _find(self, owner: str, response_id: str) -> StoredResponse | None:
        self._drop_old(owner, self._read_clock_s())
        room = self._rooms.get(owner)
        kept = None if room is None else room.find(response_id)
        return None if kept is None else kept.stored

    def _delete(self, owner: str, response_id: str) -> bool:
        self._drop_old(owner, self._read_clock_s())
        room = self._rooms.get(owner)
        if room is None:
            return False
        before = room.size_bytes
        was_there = room.drop(response_id)
        self._size_bytes -= before - room.size_bytes
        return was_there

    def _drop_old(self, owner: str, now_s: float) -> None:
        room = self._rooms.get(owner)
        if room is not None:
            self._size_bytes -= room.drop_old(now_s)
            if not room.kept:
                del self._rooms[owner]

    def _make_room(self, newest: _Room, newest_bytes: int) -> None:
        """
        Drop the oldest where most of the room is taken, until all of it fits.

        What has just come, and is the last of its room, counts for nothing: else who alone has
        something long could never go on from it.
        """
        largest = [
            (newest_bytes - room.size_bytes if room is newest else -room.size_bytes, number, room)
            for number, room in enumerate(self._rooms.values())
        ]
        heapq.heapify(largest)
        while self._size_bytes > self._most_bytes:
            size, number, room = largest[0]
            before = room.size_bytes
            room.drop(next(iter(room.kept)))
            freed_bytes = before - room.size_bytes
            self._size_bytes -= freed_bytes
            heapq.heapreplace(largest, (size + freed_bytes, number, room))
