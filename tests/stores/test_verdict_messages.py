"""Verdicts on their way through Redis: whole, bounded, and never believed unread."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.health import HealthNews
from proxy.stores.redis_job import Reply
from proxy.stores.verdict_messages import (
    MAX_NEWS_BYTES,
    MAX_VERDICT_BYTES,
    OrderMessage,
    build_order,
    build_publish_args,
    read_lease,
    read_news,
    read_order,
    read_page,
)
from tests.stores.verdict_contract import build_verdict

RECORD = msgspec.msgpack.encode((7, 3, 1500, 1, 7, 2, ["an-order"]))


def test_news_are_read_as_they_were_told() -> None:
    """What a health worker tells comes out at the other end, with all that it says."""
    news = HealthNews(7, 3, (build_verdict(),), 30.0, is_suspect=True, answered=("an-order",))
    holder, fence, lease_ms, channel, packed, _ = build_publish_args(news, "me", 10_000)
    assert (holder, fence, lease_ms) == ("me", 7, 10_000)
    assert str(channel).endswith("{health}:news")
    assert isinstance(packed, bytes)
    assert read_news(packed) == news


def test_a_verdict_with_too_many_models_is_told_with_those_that_fit() -> None:
    """However many a provider lists, its verdict stays small: the first of them are told."""
    models = tuple(f"model-{number:06}-{'ü' * 100}" for number in range(5000))
    news = HealthNews(1, 1, (build_verdict(models=models), build_verdict("other")), 30.0)
    *_, packed, _ = build_publish_args(news, "me", 10_000)
    assert isinstance(packed, bytes)
    told = read_news(packed)
    assert told is not None
    kept = told.verdicts[0].models
    assert kept == models[: len(kept)]
    assert MAX_VERDICT_BYTES / 2 < len(packed) < MAX_VERDICT_BYTES + 2000
    assert told.verdicts[1] == news.verdicts[1]


def test_an_order_is_read_as_it_was_given() -> None:
    """Its id, what to do and for whom."""
    order = OrderMessage("0123456789abcdef", "check", ("acme", "größer"))
    assert read_order(build_order(order.id, order.order, order.names)) == order
    for junk in (b"", b"x", build_order("i" * 65, "check", ()), msgspec.msgpack.encode([1])):
        assert read_order(junk) is None


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        b"\x81\xa1\x80\x01",
        msgspec.msgpack.encode({"fence": 1}),
        msgspec.msgpack.encode({"fence": -1, "number": 1}),
        msgspec.msgpack.encode({"fence": 2**53 + 1, "number": 1}),
        msgspec.msgpack.encode({"fence": 1, "number": 1, "verdicts": [{"provider": "x"}]}),
        bytes(MAX_NEWS_BYTES + 1),
    ],
)
def test_what_is_no_news_is_none(message: bytes) -> None:
    """Anybody may publish anything: of a wrong shape, type or size it says nothing."""
    assert read_news(message) is None


@given(st.binary(max_size=200))
def test_no_message_raises(message: bytes) -> None:
    """Whatever bytes come, they are read or are not."""
    read_news(message)
    read_order(message)


def test_a_page_is_read_without_the_verdicts_that_cannot_be() -> None:
    """One damaged entry costs itself; what is left of a life replaces what it began with."""
    good = msgspec.msgpack.encode((2500, 7, 3, msgspec.json.encode(build_verdict()).decode()))
    page = read_page([RECORD, b"x", good, 5, msgspec.msgpack.encode((1, 7, 3, "{}"))])
    assert page is not None
    assert (page.version, page.cleared, page.lives_s) == ((7, 3), (7, 2), 1.5)
    assert (page.is_suspect, page.answered) == (True, ("an-order",))
    assert page.entries == [((7, 3), build_verdict(lives_s=2.5))]
    assert read_page([]) is None


@pytest.mark.parametrize("reply", [None, 1, b"x", [1], [b"x"], [RECORD[:-1]]])
def test_another_shape_is_no_page(reply: Reply) -> None:
    """It is refused as a whole, and nothing is learned of it."""
    with pytest.raises(ValueError):
        read_page(reply)


def test_an_answer_about_a_lease_has_two_numbers() -> None:
    """Anything else is refused."""
    assert read_lease([7, 6]) == (7, 6)
    others: list[Reply] = [None, 7, [7], [b"7", 6], [7, 6, 5]]
    for reply in others:
        with pytest.raises(ValueError, match="lease"):
            read_lease(reply)
