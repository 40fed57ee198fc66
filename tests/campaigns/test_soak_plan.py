"""What the campaign of soak asks for, how its client reads answers, and when it complains."""

import pytest

from campaigns.ground.soak.client import read_answer
from campaigns.ground.soak.plan import (
    CRLF2,
    HELD,
    KINDS,
    STREAM_HEAD,
    TROUBLES,
    Order,
    build_event,
    build_request,
    build_stream_end,
    build_whole,
    judge,
    read_order,
)

TAG = "tag-00000017"


def build_answer(order: Order) -> bytes:
    """Return what the provider sends for an order."""
    count = KINDS[order.kind].events
    if not count:
        return build_whole(order)
    return STREAM_HEAD + build_event(order) * count + build_stream_end()


def read_body(order: Order) -> bytes:
    """Return the body that a client gets; the proxy takes out the usage that nobody asked for."""
    answer = build_answer(order)
    _, body = read_answer(answer, answer.index(CRLF2) + 4)
    return b"\n\n".join(event for event in body.split(b"\n\n") if b'"choices":[],' not in event)


def test_all_shares_together_are_all_requests() -> None:
    """The shares of the kinds make 1, and so do those of the troubles."""
    assert sum(kind.share for kind in KINDS.values()) == pytest.approx(1.0)
    assert sum(TROUBLES.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_provider_reads_what_was_ordered(kind: str) -> None:
    """A request holds its order, and says how long it is."""
    order = Order(kind, "hasty", TAG)
    head, _, body = build_request(order, "first", closes=True).partition(CRLF2)
    assert read_order(body) == order
    assert f"Content-Length: {len(body)}\r\nConnection: close".encode() in head
    assert len(body) >= KINDS[kind].asked_bytes


@pytest.mark.parametrize("kind", KINDS)
def test_only_its_own_whole_answer_is_good(kind: str) -> None:
    """An answer of another, one that was cut, one twice and an error are complaints."""
    order = Order(kind, "none", TAG)
    body = read_body(order)
    assert judge(order, 200, body) is None
    assert judge(Order(kind, "none", "tag-00000018"), 200, body)
    assert judge(order, 200, body[:-1])
    assert judge(order, 200, body[: len(body) // 2])
    assert judge(order, 200, body + body)
    assert judge(order, 503, body)


def test_a_stream_without_an_event_is_no_whole_one() -> None:
    """One event too few, or an error in the place of the end, is a complaint."""
    order = Order("stream", "none", TAG)
    events = read_body(order).split(b"\n\n")
    assert judge(order, 200, b"\n\n".join(events[1:]))
    assert judge(order, 200, b"\n\n".join([*events[:-2], b'data: {"error":{}}', b""]))


def test_no_request_is_held_by_chance() -> None:
    """The kind that waits for the campaign's word is asked for by nobody else."""
    assert KINDS[HELD].share == 0.0
