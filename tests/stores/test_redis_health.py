"""When a link is given up and how long it waits: a table of faults, without a clock."""

import pytest

from proxy.stores.redis_health import (
    CONNECTION_LOST,
    NEWS_S,
    NO_SOCKET,
    NOTHING_LISTENS,
    FaultKind,
    LinkBreaker,
    LinkFault,
    ReasonNews,
)

LOST = LinkFault("lost", "reset")


def silence(waited_s: float) -> LinkFault:
    """A round trip that was given up."""
    return LinkFault("timeout", "silence", waited_s)


@pytest.mark.parametrize("kind", ["lost", "refused", "denied"])
def test_it_opens_at_the_third_hard_error_in_a_row(kind: FaultKind) -> None:
    """Two hard errors are forgiven, the third opens; a success in between begins anew."""
    breaker = LinkBreaker()
    fault = LinkFault(kind, "")
    assert [breaker.note_fault(fault) for _ in range(2)] == [False, False]
    breaker.note_success()
    assert [breaker.note_fault(fault) for _ in range(3)] == [False, False, True]
    assert breaker.is_open


def test_it_opens_when_silence_adds_up() -> None:
    """Timeouts of 50 ms open it at the fifth; a success in between begins anew."""
    breaker = LinkBreaker()
    assert not any(breaker.note_fault(silence(0.05)) for _ in range(4))
    assert breaker.patience_s == pytest.approx(0.05)
    breaker.note_success()
    assert breaker.patience_s == 0.25
    assert [breaker.note_fault(silence(0.05)) for _ in range(5)] == [*[False] * 4, True]


def test_timeouts_are_no_hard_errors() -> None:
    """Ten short timeouts and two hard errors keep it closed."""
    breaker = LinkBreaker()
    assert not any(breaker.note_fault(silence(0.001)) for _ in range(10))
    assert not any(breaker.note_fault(LOST) for _ in range(2))


def test_many_refusals_in_one_round_trip_open_it_at_once() -> None:
    """A pipeline whose three jobs are all refused is three errors in a row."""
    assert LinkBreaker().note_fault(LinkFault("refused", ""), 3)


def test_it_opens_once() -> None:
    """An open one does not open again, whatever else goes wrong; closed, it does."""
    breaker = LinkBreaker()
    assert breaker.open(LOST)
    assert not breaker.open(LOST)
    assert not breaker.note_fault(LOST, 9)
    breaker.close(0.0)
    assert not breaker.is_open
    assert not breaker.note_fault(LOST)
    assert breaker.open(LOST)


def test_attempts_to_come_back_are_spread_over_a_quarter_of_a_second() -> None:
    """The wait is 0.25 to 0.5 s, however long Redis has been away."""
    breaker = LinkBreaker()
    breaker.open(LOST)
    assert breaker.decide_wait_s(9e9, lambda: 0.0) == 0.25
    assert breaker.decide_wait_s(9e9, lambda: 1.0) == 0.5


def test_a_user_who_may_not_do_the_work_comes_and_goes_ever_less_often() -> None:
    """Each round of joining and being denied doubles the wait up to 60 s; a quiet hour ends it."""
    breaker = LinkBreaker()
    waits = []
    for round_at_s in range(10):
        breaker.open(LinkFault("denied", ""))
        waits.append(breaker.decide_wait_s(round_at_s, lambda: 1.0))
        breaker.close(round_at_s)
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    breaker.open(LinkFault("denied", ""))
    assert breaker.decide_wait_s(10_000.0, lambda: 1.0) == 0.5


def test_a_new_reason_is_told_once() -> None:
    """What the link opened for is not told again, another reason is, and then that is old."""
    news = ReasonNews()
    news.open(LOST)
    denied = LinkFault("denied", "not this user")
    assert [news.take(fault, 0.0) for fault in (LOST, denied, denied)] == [False, True, False]
    assert not news.take(denied, 10 * NEWS_S)


def test_reasons_that_alternate_are_told_once_a_minute() -> None:
    """Two attempts a second for ten minutes make ten lines, also if the link joins in between."""
    news = ReasonNews()
    told = 0
    for number in range(1200):
        fault = LinkFault("refused", f"{number % 2}")
        if number % 300 == 0:
            news.open(fault)
        told += news.take(fault, number / 2)
    assert told == 10


def test_a_redis_that_has_ended_is_one_reason() -> None:
    """Its connection is lost, then nobody listens, then its socket is gone: that is no news."""
    news = ReasonNews()
    news.open(LinkFault("lost", CONNECTION_LOST))
    for reason in (NOTHING_LISTENS, NO_SOCKET, CONNECTION_LOST):
        assert not news.take(LinkFault("lost", reason), 0.0)
    assert news.take(LinkFault("denied", "not this user"), 0.0)
    assert news.take(LinkFault("lost", NOTHING_LISTENS), NEWS_S)
