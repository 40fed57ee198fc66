"""
What this process and `breaker.lua` say to each other, packed as msgpack.

Whatever comes from Redis is checked for its types and lengths here: anybody who may write there
may have written it.
"""

import hashlib
from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from proxy.domain.breaker import BreakerCause, BreakerResult, BreakerRules, BreakerState
from proxy.policy.breaker import LONGEST_HOLD_WAIT_MS, Breaker
from proxy.stores.redis_job import Reply
from proxy.stores.redis_link import KEY_PREFIX
from proxy.stores.redis_script import read_script

PREFIX = KEY_PREFIX + "{breakers}:"
"""With the braces a cluster keeps all of it in one place."""
INDEX_KEY = PREFIX + "open"
ORDER_KEY = PREFIX + "order"
CHANNEL = PREFIX + "changes"

BREAKER_SCRIPT = read_script("breaker", "breaker_order")
INDEX_SCRIPT = read_script("breaker_index", "breaker_order")

Number = Annotated[int, Meta(ge=0, le=2**53)]
Id = Annotated[str, Meta(max_length=8192)]


class Stand(Struct, frozen=True, array_like=True):
    """How a breaker stands in Redis, and what came of what was asked."""

    state: BreakerState
    epoch: Number
    """0 while it is closed and has never been anything else."""
    wait_ms: Number
    cause: BreakerCause
    failures: Number
    trips: Number
    answer: Number
    """Of acquire: 1 is a permit; of a report: how many counted."""
    retry_in_ms: Number
    """Of an acquire that was refused: when it is worth asking again."""


class Entry(Struct, frozen=True, array_like=True):
    """What the index says of one that is not closed, or was not once."""

    id: Id
    state: BreakerState
    epoch: Number
    until_ms: Number
    cause: BreakerCause
    failures: Number
    trips: Number


class IndexPage(Struct, frozen=True):
    """What a poll is told: entries of the index that have changed since another poll."""

    now_ms: int
    """Redis's time."""
    first: int
    """The number with which the index began; another one than before says that it began anew."""
    since: int
    """The number after which it tells; 0 where it tells everything."""
    told: int
    """The number up to which it tells."""
    is_more: bool
    """There is more to be told after `told`."""
    place: int
    """Where Redis should look next for entries whose breaker is gone."""
    entries: list[Entry]


class ChangeMessage(Struct, frozen=True, array_like=True):
    """A breaker has changed its state, says some process."""

    id: Id
    before: BreakerState
    after: BreakerState
    epoch: Number
    wait_ms: Number
    cause: BreakerCause
    failures: Number
    trips: Number


class ReportRun(Struct, array_like=True):
    """So many reports in a row of one breaker that say the same."""

    result: BreakerResult
    epoch: int
    token: str
    hold_ms: int
    cause: BreakerCause
    count: int = 1


encode = msgspec.msgpack.Encoder().encode
_decode_stand = msgspec.msgpack.Decoder(Stand).decode
_decode_change = msgspec.msgpack.Decoder(ChangeMessage).decode
_decode_entry = msgspec.msgpack.Decoder(Entry).decode
_decode_read = msgspec.msgpack.Decoder(tuple[Number, Breaker]).decode


@lru_cache(maxsize=4096)
def name_field(breaker_id: str) -> str:
    """Return the short name of a breaker: its field in the index, the end of its key."""
    return hashlib.sha256(breaker_id.encode()).hexdigest()[:32]


def build_keys(breaker_id: str) -> tuple[str, str, str]:
    """Return KEYS for `breaker.lua`."""
    return PREFIX + name_field(breaker_id), INDEX_KEY, ORDER_KEY


def encode_rules(rules: BreakerRules) -> bytes:
    """Return the rules as `breaker.lua` takes them."""
    return encode(msgspec.structs.astuple(rules))


def leave_time_to_redis() -> str:
    """Return what stands for the time where the scripts go by Redis's own clock: nothing."""
    return ""


def build_args(
    operation: str, breaker_id: str, rules: bytes, *with_what: object, now: str = ""
) -> tuple[str | bytes, ...]:
    """Return ARGV for `breaker.lua`; `now`, in ms, is for those who compare it with its twin."""
    field = name_field(breaker_id)
    return operation, breaker_id, field, CHANNEL, rules, encode(with_what), now


def find_longest_ms(rules: BreakerRules) -> int:
    """Return the longest wait that there can be (see `Breaker.wait_ms`)."""
    return max(rules.open_ms, rules.open_max_ms, LONGEST_HOLD_WAIT_MS)


def read_stand(reply: Reply) -> Stand:
    """
    Return how a breaker stands.

    Raises:
        ValueError: that is not what the reply says.
    """
    return _decode_stand(_take_bytes(reply))


def read_breaker(reply: Reply) -> tuple[int, Breaker]:
    """
    Return the time and a whole breaker.

    Raises:
        ValueError: that is not what the reply says.
    """
    return _decode_read(_take_bytes(reply))


def read_index(reply: Reply) -> IndexPage:
    """
    Return a page with all entries that can be read; others are as good as none.

    Raises:
        ValueError: the reply has another shape.
    """
    if not isinstance(reply, list):
        raise ValueError("not an index of breakers")
    numbers = [each for each in reply[:6] if isinstance(each, int)]
    if len(numbers) < 6:
        raise ValueError("not an index of breakers")
    now_ms, first, since, told, more, place = numbers
    entries = [entry for each in reply[6:] if (entry := _read_entry(each)) is not None]
    return IndexPage(now_ms, first, since, told, bool(more), place, entries)


def read_change(message: bytes) -> ChangeMessage | None:
    """Return what a message says, None if it says nothing that can be understood."""
    try:
        return _decode_change(message)
    except ValueError:  # also for text that is no UTF-8
        return None


def _read_entry(each: Reply) -> Entry | None:
    try:
        return _decode_entry(_take_bytes(each))
    except ValueError:
        return None


def _take_bytes(reply: Reply) -> bytes:
    if not isinstance(reply, bytes):
        raise ValueError("a reply of another type")
    return reply
