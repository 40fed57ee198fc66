"""
What health workers and this process say to each other through Redis: packed, verdicts as JSON.

Whatever comes from Redis is checked for its types and lengths here: anybody who may write there
may have written it.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from proxy.domain.health import HealthNews, HealthOrder, HealthVerdict
from proxy.stores.memory_verdicts import Version, limit_lives_s
from proxy.stores.redis_job import Reply
from proxy.stores.redis_link import KEY_PREFIX
from proxy.stores.redis_script import read_script

PREFIX = KEY_PREFIX + "{health}:"
"""With the braces a cluster keeps all of it in one place."""
LEASE_KEY = PREFIX + "lease"
FENCE_KEY = PREFIX + "fence"
VERDICTS_KEY = PREFIX + "verdicts"
NEWS_CHANNEL = PREFIX + "news"
ORDERS_CHANNEL = PREFIX + "orders"

LEASE_SCRIPT = read_script("verdict_lease")
PUBLISH_SCRIPT = read_script("verdict_publish", "verdict_record")
POLL_SCRIPT = read_script("verdict_poll", "verdict_record")

MAX_NEWS_BYTES = 16 * 1024 * 1024
MAX_VERDICT_BYTES = 64 * 1024
"""A provider that lists more models than fit is told with those that do."""

Number = Annotated[int, Meta(ge=0, le=2**53)]
OrderId = Annotated[str, Meta(max_length=64)]


class OrderMessage(Struct, frozen=True, array_like=True):
    """What somebody asks of whoever leads; the id comes back in the `answered` of its news."""

    id: OrderId
    order: HealthOrder
    names: tuple[str, ...]
    """Providers; none of them stands for all."""


class VerdictPage(Struct, frozen=True):
    """What a poll is told: how the health worker stands, and verdicts that are new to the asker."""

    version: Version
    """Of the last news."""
    lives_s: float
    """So much longer the health worker counts as alive."""
    is_suspect: bool
    cleared: Version
    """What was told before this is forgotten."""
    answered: tuple[str, ...]
    """The orders that were carried out last."""
    entries: list[tuple[Version, HealthVerdict]]
    """Each with what it came with; its `lives_s` is what is left of it."""


class _Record(Struct, frozen=True, array_like=True):
    fence: Number
    number: Number
    lives_ms: Number
    is_suspect: Annotated[int, Meta(ge=0, le=1)]
    cleared_fence: Number
    cleared_number: Number
    answered: tuple[OrderId, ...]


class _Entry(Struct, frozen=True, array_like=True):
    lives_ms: Number
    fence: Number
    number: Number
    verdict: str


_encode = msgspec.msgpack.Encoder().encode
_encode_json = msgspec.json.Encoder().encode
_decode_news = msgspec.msgpack.Decoder(HealthNews).decode
_decode_order = msgspec.msgpack.Decoder(OrderMessage).decode
_decode_record = msgspec.msgpack.Decoder(_Record).decode
_decode_entry = msgspec.msgpack.Decoder(_Entry).decode
_decode_verdict = msgspec.json.Decoder(HealthVerdict).decode


def build_publish_args(
    news: HealthNews, holder: str, lease_ms: int, channel: str = NEWS_CHANNEL
) -> tuple[str | bytes | int, ...]:
    """Return ARGV for `verdict_publish.lua`."""
    news = replace(news, verdicts=tuple(map(_shorten, news.verdicts)))
    verdicts = [
        (each.provider, _round_ms(each.lives_s), _encode_json(each).decode())
        for each in news.verdicts
    ]
    told = (
        news.number,
        _round_ms(news.lives_s),
        int(news.is_suspect),
        int(news.is_cleared),
        news.answered,
        verdicts,
    )
    return holder, news.fence, lease_ms, channel, _encode(news), _encode(told)


def build_order(order_id: str, order: HealthOrder, names: tuple[str, ...]) -> bytes:
    """Return an order as it is published."""
    return _encode(OrderMessage(order_id, order, names))


def read_order(message: bytes) -> OrderMessage | None:
    """Return what is asked, None if that cannot be understood."""
    try:
        return _decode_order(message)
    except ValueError:  # also for text that is no UTF-8
        return None


def read_news(message: bytes) -> HealthNews | None:
    """Return what is told, None if that cannot be understood."""
    if len(message) > MAX_NEWS_BYTES:
        return None
    try:
        news = _decode_news(message)
    except ValueError:  # also for text that is no UTF-8
        return None
    is_numbered = 0 <= news.fence <= 2**53 and 0 <= news.number <= 2**53
    return news if is_numbered else None


def read_lease(reply: Reply) -> Version:
    """
    Return the fence that the asker has, 0 for none, and the one that was there before.

    Raises:
        ValueError: that is not what the reply says.
    """
    match reply:
        case [int(fence), int(before)]:
            return fence, before
    raise ValueError("not an answer about a lease")


def read_page(reply: Reply) -> VerdictPage | None:
    """
    Return what a poll was told, without verdicts that cannot be read; None: there is nothing.

    Raises:
        ValueError: the reply has another shape.
    """
    if not isinstance(reply, list):
        raise ValueError("not a page of verdicts")
    if not reply:
        return None
    record = _decode_record(_take_bytes(reply[0]))
    return VerdictPage(
        (record.fence, record.number),
        record.lives_ms / 1000,
        bool(record.is_suspect),
        (record.cleared_fence, record.cleared_number),
        record.answered,
        [entry for each in reply[1:] if (entry := _read_entry(each)) is not None],
    )


def _read_entry(each: Reply) -> tuple[Version, HealthVerdict] | None:
    try:
        entry = _decode_entry(_take_bytes(each))
        verdict = _decode_verdict(entry.verdict)
    except ValueError:
        return None
    return (entry.fence, entry.number), replace(verdict, lives_s=entry.lives_ms / 1000)


def _take_bytes(reply: Reply) -> bytes:
    if not isinstance(reply, bytes):
        raise ValueError("a reply of another type")
    return reply


def _shorten(verdict: HealthVerdict) -> HealthVerdict:
    """Return a verdict with as many of its models as may travel."""
    room, kept = MAX_VERDICT_BYTES, 0
    for model in verdict.models:
        room -= len(_encode_json(model)) + 1
        if room < 0:
            break
        kept += 1
    return (
        verdict if kept == len(verdict.models) else replace(verdict, models=verdict.models[:kept])
    )


def _round_ms(lives_s: float) -> int:
    return round(limit_lives_s(lives_s) * 1000)
