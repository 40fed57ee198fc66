"""What was thought before calls, where several processes serve one conversation: through Redis."""

import hashlib

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import Maker, Thought
from proxy.domain.reasoning import KeptReasoning
from proxy.stores.memory_reasoning import MOST_BYTES, MemoryReasoning
from proxy.stores.redis_errors import RedisUnavailable
from proxy.stores.redis_job import Reply
from proxy.stores.redis_link import KEY_PREFIX, RedisLink
from proxy.stores.redis_script import read_script

KEPT_MS = 3_600_000
"""A conversation that goes on after an hour has lost its thoughts, unless the process has them."""
MOST_SHARED_BYTES = 128 * 1024
"""Of one turn. Longer thoughts are kept by the process that has served it, and by no other."""
MOST_CALLS = 64
"""Of one turn, or of one request, so that no script takes long."""
_KEEP = read_script("reasoning_keep")
_FIND = read_script("reasoning_find")


class _Thought(Struct, array_like=True):
    text: str
    signature: str | None
    is_redacted: bool
    extra: str | None


class _Turn(Struct, array_like=True):
    maker: Maker
    thoughts: list[_Thought]
    signatures: dict[str, str]
    call_ids: tuple[str, ...]


_decode = msgspec.msgpack.Decoder(_Turn).decode
_encode = msgspec.msgpack.Encoder().encode


class RedisReasoning(MemoryReasoning):
    """
    A ReasoningStore (see `base.py`) over a link that may be there or not.

    The memory of this process comes first; Redis is asked only for what is not in it.
    """

    def __init__(self, link: RedisLink, most_bytes: int = MOST_BYTES) -> None:
        super().__init__(most_bytes)
        self._link = link

    @property
    def is_shared(self) -> bool:
        """Redis can be asked now."""
        return self._link.is_joined

    def keep(self, owner: str, kept: KeptReasoning) -> None:
        """Keep it here, and tell Redis behind the caller's back (see `base.py`)."""
        super().keep(owner, kept)
        if kept.size_bytes > MOST_SHARED_BYTES or len(kept.call_ids) > MOST_CALLS:
            return
        keys = [_build_key(owner, kept.maker, call_id) for call_id in kept.call_ids]
        self._link.post(_KEEP, keys, [_write(kept), KEPT_MS], _ignore, _ignore)

    async def fetch(
        self, owner: str, maker: Maker, call_ids: tuple[str, ...]
    ) -> dict[str, KeptReasoning]:
        """Return what Redis has, within one round trip (see `base.py`)."""
        call_ids = call_ids[-MOST_CALLS:]
        keys = [_build_key(owner, maker, call_id) for call_id in call_ids]
        try:
            reply = await self._link.run(_FIND, keys)
        except RedisUnavailable:
            return {}
        replies = reply if isinstance(reply, list) else []
        found: dict[str, KeptReasoning] = {}
        for call_id, each in zip(call_ids, replies, strict=False):
            kept = _read(each)
            if kept is not None:
                found[call_id] = kept
                super().keep(owner, kept)
        return found


def _build_key(owner: str, maker: Maker, call_id: str) -> str:
    # Ids come from providers and clients: hashed, none is long or means another's key.
    name = msgspec.json.encode([owner, maker, call_id])
    return f"{KEY_PREFIX}reasoning:{hashlib.sha256(name).hexdigest()[:40]}"


def _write(kept: KeptReasoning) -> bytes:
    thoughts = [
        _Thought(
            each.text,
            each.signature,
            each.is_redacted,
            None if each.extra is None else bytes(each.extra).decode(),
        )
        for each in kept.thoughts
    ]
    return _encode(_Turn(kept.maker, thoughts, kept.signatures, kept.call_ids))


def _read(reply: Reply) -> KeptReasoning | None:
    """Return what was written; None: nothing, or another version's."""
    if not isinstance(reply, bytes):
        return None
    try:
        turn = _decode(reply)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    thoughts = tuple(
        Thought(
            each.text,
            turn.maker,
            each.signature,
            each.is_redacted,
            None if each.extra is None else Raw(each.extra.encode()),
        )
        for each in turn.thoughts
    )
    return KeptReasoning(turn.maker, thoughts, turn.signatures, turn.call_ids)


def _ignore(outcome: object) -> None:
    """Do nothing: what Redis has not kept is told as missing, should it be wanted."""
