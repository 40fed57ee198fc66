"""
Answers of the Responses API where several processes serve one client: in Redis.

Only what Redis cannot have is in the memory of this process: what came while it was away, and
what is too long for it. Everything else is there alone, so that what one process has deleted no
other still has.
"""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec
from msgspec import Struct

from proxy.domain.service_errors import ResponseStoreUnavailable
from proxy.domain.stored_response import StoredResponse
from proxy.stores.memory_responses import USUAL_BYTES, USUAL_TTL_S, MemoryResponses
from proxy.stores.redis_errors import RedisUnavailable
from proxy.stores.redis_job import Reply
from proxy.stores.redis_link import KEY_PREFIX, RedisLink
from proxy.stores.redis_script import read_script

MOST_SHARED_BYTES = 1024 * 1024
"""Of one answer with all that led to it. A longer one is known to the process that served it."""
MOST_ITEMS = 64
"""Of one answer, under whose ids it is found too, so that no script takes long."""
FIND_S = 0.25
"""A client waits for it and has no answer without it: a busy Redis is given some time."""
_KEEP = read_script("response_keep")
_FIND = read_script("response_find")
_DELETE = read_script("response_delete")
_POINTER = b"="
"""Begins what leads to a response; a response itself begins as an array of msgpack does."""


class _Written(Struct, array_like=True):
    id: str
    provider: str | None
    model: str
    input: bytes
    body: bytes
    item_ids: tuple[str, ...]


_decode = msgspec.msgpack.Decoder(_Written).decode
_encode = msgspec.msgpack.Encoder().encode


class RedisResponses(MemoryResponses):
    """A ResponseStore (see `base.py`) over a link that may be there or not."""

    def __init__(
        self,
        link: RedisLink,
        ttl_s: float = USUAL_TTL_S,
        most_bytes: int = USUAL_BYTES,
        read_clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with what Redis has; see `MemoryResponses`, which what it cannot have is in."""
        super().__init__(ttl_s, most_bytes, read_clock_s)
        self._link = link
        self._ttl_ms = max(1, int(ttl_s * 1000))

    def keep(self, owner: str, stored: StoredResponse) -> None:
        """Have Redis keep it behind the caller's back, or keep it here (see `base.py`)."""
        if stored.size_bytes > MOST_SHARED_BYTES:
            super().keep(owner, stored)
            return
        keys = _list_keys(owner, stored)
        pointer = _POINTER + keys[0].encode()
        # The class is named, since a callback has no `super()` of its own.
        self._link.post(
            _KEEP,
            keys,
            [_write(stored), pointer, self._ttl_ms],
            _ignore,
            lambda _: MemoryResponses.keep(self, owner, stored),
        )

    async def settle(self) -> None:
        """Return once Redis has what it was told to keep (see `base.py`)."""
        # One connection does all in its order: what is asked now is answered after that.
        with suppress(RedisUnavailable):
            await self._link.command("PING", wait_s=FIND_S)

    async def find(self, owner: str, response_id: str) -> StoredResponse | None:
        """Return what this process or Redis has; it raises if Redis is away (see `base.py`)."""
        found = self._find(owner, response_id)
        if found is not None:
            return found
        reply = await self._get(_build_key(owner, response_id))
        if isinstance(reply, bytes) and reply.startswith(_POINTER):
            reply = await self._get(reply.removeprefix(_POINTER).decode())
        return _read(reply)

    async def delete(self, owner: str, response_id: str) -> bool:
        """Forget it here and in Redis (see `base.py`)."""
        was_here = self._delete(owner, response_id)
        try:
            stored = await self.find(owner, response_id)
            if stored is None or stored.id != response_id:
                return was_here
            count = await self._link.run(_DELETE, _list_keys(owner, stored), wait_s=FIND_S)
        except (RedisUnavailable, ResponseStoreUnavailable):
            if was_here:
                return True
            raise ResponseStoreUnavailable() from None
        return was_here or bool(count)

    async def _get(self, key: str) -> Reply:
        try:
            return await self._link.run(_FIND, [key], wait_s=FIND_S)
        except RedisUnavailable:
            # That there is nothing would be a guess, and a client would give up by it.
            raise ResponseStoreUnavailable() from None


def _list_keys(owner: str, stored: StoredResponse) -> list[str]:
    ids = (stored.id, *stored.item_ids[:MOST_ITEMS])
    return [_build_key(owner, each) for each in ids]


def _build_key(owner: str, an_id: str) -> str:
    # Ids come from providers and clients: hashed, none is long or means another's key.
    name = msgspec.json.encode([owner, an_id])
    return f"{KEY_PREFIX}response:{hashlib.sha256(name).hexdigest()[:40]}"


def _write(stored: StoredResponse) -> bytes:
    return _encode(
        _Written(
            stored.id, stored.provider, stored.model, stored.input, stored.body, stored.item_ids
        )
    )


def _read(reply: Reply) -> StoredResponse | None:
    """Return what was written; None: nothing, or another version's."""
    if not isinstance(reply, bytes):
        return None
    try:
        found = _decode(reply)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return StoredResponse(
        found.id,
        provider=found.provider,
        model=found.model,
        input=found.input,
        body=found.body,
        item_ids=found.item_ids,
    )


def _ignore(outcome: object) -> None:
    """Do nothing: it is where it belongs."""
