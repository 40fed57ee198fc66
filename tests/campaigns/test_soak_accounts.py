"""Attempts that fail by themselves, or are hidden, are found by the accounts of soak."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from campaigns.ground.service import Service
from campaigns.ground.soak.accounts import (
    Numbers,
    check_attempts,
    check_failures,
    check_lines,
    check_stale,
    read_numbers,
)
from campaigns.ground.soak.log import LogCounts, RotatedLog
from campaigns.ground.soak.plan import HELD, LEAVING, PROVIDERS, Order, build_request
from campaigns.ground.soak.watch import find_metric
from campaigns.programs.soak_upstream import Connection, Counts, PortCounts, Providers


class Books:
    """What is counted if a provider has failed two requests, and has broken three on the pool."""

    def __init__(self) -> None:
        one = PortCounts(requests=105, leaving=9, refused=1, lost_new=1, lost_pooled=1, hasty=2)
        self.counts = Counts([msgspec.structs.replace(one) for _ in PROVIDERS])
        some = dict.fromkeys(PROVIDERS, 2)
        self.numbers = Numbers(dict.fromkeys(PROVIDERS, 112), some, dict(some), 8, 0, 440)
        self.log = LogCounts()
        for name in PROVIDERS:
            self.log.lines.update({name: 2, f"only-{name}": 98, f"leaving-{name}": 10})
            self.log.attempts[name] = 102
            self.log.attempts_leaving[name] = 10
        self.asked = Counter(self.log.lines)

    def find_failed(self) -> list[str]:
        """Return which of the checks complain."""
        complaints = {
            "failures": check_failures(self.counts, self.numbers),
            "attempts": check_attempts(self.counts, self.log, self.numbers),
            "stale": check_stale(self.counts),
            "lines": check_lines(self.asked, 40, self.log, self.numbers.requests),
        }
        return [name for name, each in complaints.items() if each]


def test_books_that_agree_have_no_complaint() -> None:
    """What providers have provoked is no fault."""
    assert Books().find_failed() == []


def fail_by_itself(books: Books) -> None:
    """An attempt fails before its provider saw it; the other transport hides it."""
    books.numbers.errors["first"] += 1
    books.numbers.failovers["first"] += 1
    books.numbers.all_failovers += 1
    for name in ("first", "second"):
        books.numbers.attempts[name] += 1
        books.log.attempts[name] += 1
    books.counts.ports[1].requests += 1


def repeat_by_itself(books: Books) -> None:
    """The same provider is asked again, and hides what went wrong."""
    books.numbers.retries += 1


def go_astray(books: Books) -> None:
    """A request goes on to a provider that is not its other one."""
    books.numbers.all_failovers += 1


def send_twice(books: Books) -> None:
    """The transport sends a request twice that nobody has cut off."""
    books.counts.ports[2].requests += 1


def lose_one(books: Books) -> None:
    """An attempt is told of that its provider has never seen."""
    books.log.attempts["first"] += 1
    books.numbers.attempts["first"] += 1


def tell_a_stale_one(books: Books) -> None:
    """A stale connection is an error where it should have been repeated unseen."""
    books.numbers.errors["second"] += 1
    books.counts.ports[1].requests -= 1


def let_go(books: Books) -> None:
    """The proxy closes a connection under the request of a client that stays."""
    books.counts.ports[0].abandoned += 1


def send_leaving_twice(books: Books) -> None:
    """Requests of clients that leave are seen more often than they were attempted."""
    books.counts.ports[0].leaving += 2


def count_wrong(books: Books) -> None:
    """An attempt is missing in the numbers."""
    books.numbers.attempts["first"] -= 1


def drop_line(books: Books) -> None:
    """One line in hundreds is missing, fewer than there are clients that leave."""
    books.log.lines["only-first"] -= 1


def drop_leaving_line(books: Books) -> None:
    """The line of a client that left is missing; only the numbers know of it."""
    books.log.lines["leaving-first"] -= 1


def write_for_another(books: Books) -> None:
    """A line names another request than the one that was asked."""
    books.log.lines["only-first"] -= 1
    books.log.lines["only-second"] += 1


def invent_lines(books: Books) -> None:
    """More lines tell of clients that left than have left."""
    books.log.lines[""] += 1
    books.numbers.requests += 1


def meet_nothing(books: Books) -> None:
    """No connection was closed under a request of the second transport: nothing was shown."""
    for each in books.counts.ports[1::2]:
        each.requests -= each.hasty
        each.hasty = 0


@pytest.mark.parametrize(
    ("spoil", "failed"),
    [
        (fail_by_itself, ["failures", "attempts"]),
        (repeat_by_itself, ["failures"]),
        (go_astray, ["failures"]),
        (send_twice, ["attempts"]),
        (lose_one, ["attempts"]),
        (tell_a_stale_one, ["failures", "attempts"]),
        (let_go, ["attempts"]),
        (send_leaving_twice, ["attempts"]),
        (count_wrong, ["attempts"]),
        (drop_line, ["lines"]),
        (drop_leaving_line, ["lines"]),
        (write_for_another, ["lines"]),
        (invent_lines, ["lines"]),
        (meet_nothing, ["stale"]),
    ],
)
def test_each_difference_is_found(spoil: Callable[[Books], None], failed: list[str]) -> None:
    """One request, attempt, error or line too many or too few is a complaint."""
    books = Books()
    spoil(books)
    assert books.find_failed() == failed


def test_numbers_are_added_over_labels() -> None:
    """A number is found by some of its labels, and is 0 where there is none."""
    text = 'a{x="1",y="2"} 3.0\na{x="1",y="3"} 4.0\nab 5.0\n# a 9\n'
    assert find_metric(text, "a") == 7.0
    assert find_metric(text, "a", y="3") == 4.0
    assert find_metric(text, "ab") == 5.0
    assert find_metric(text, "c") == 0.0


def test_numbers_are_read_by_provider() -> None:
    """Attempts, errors and failovers go by provider, requests only by what clients ask for."""
    text = (
        'llm_proxy_attempts_total{provider="first",outcome="ok"} 5.0\n'
        'llm_proxy_attempts_total{provider="first-tls",outcome="ok"} 7.0\n'
        'llm_proxy_errors_total{provider="first",error_type="upstream_server_error"} 2.0\n'
        'llm_proxy_failovers_total{from="first",to="second",reason="upstream_disconnected"} 1.0\n'
        'llm_proxy_failovers_total{from="first",to="first-tls",reason="full"} 1.0\n'
        'llm_proxy_retries_total{provider="second"} 3.0\n'
        'llm_proxy_requests_total{provider="first",endpoint="/embeddings",status="200"} 4.0\n'
        'llm_proxy_requests_total{provider="none",endpoint="/metrics",status="200"} 9.0\n'
    )
    numbers = read_numbers(text)
    assert (numbers.attempts["first"], numbers.attempts["first-tls"]) == (5, 7)
    assert numbers.errors["first"] == 2
    assert (numbers.failovers["first"], numbers.all_failovers) == (1, 2)
    assert (numbers.retries, numbers.requests) == (3, 4)


def build_line(alias: str | None, provider: str | None, *tried: str, attempts: int = 1) -> bytes:
    """Return a line as the service writes it of a request."""
    fields = {"alias": alias, "provider": provider, "tried": tried, "attempts": attempts}
    where = {"logger": "llm_proxy.requests", "level": "INFO", "message": "m"}
    return msgspec.json.encode({**where, "endpoint": "/embeddings", **fields}) + b"\n"


async def test_attempts_are_read_from_each_file_of_the_log(tmp_path: Path) -> None:
    """What is written behind its turning over is counted, and so are attempts in vain."""
    log = RotatedLog(tmp_path / "soak.log")
    log.path.write_bytes(build_line("only-first", "first"))
    service = cast(Service, _NoService())
    await log.rotate(service)
    with log.path.with_suffix(".old").open("ab") as file:
        file.write(build_line("first", "second", "first/soaked upstream_disconnected", attempts=2))
    log.path.write_bytes(build_line("leaving-first", "first") + build_line(None, None, attempts=0))
    await log.rotate(service)
    log.path.write_bytes(
        build_line("leaving-first", None, attempts=0)
        + b'{"logger":"llm_proxy.requests","level":"INFO","message":"m","endpoint":"/metrics"}\n'
        + b'{"logger":"other","level":"ERROR","message":"broken"}\n'
    )
    await asyncio.to_thread(log.read_rest)
    assert log.counts.lines == {"only-first": 1, "first": 1, "leaving-first": 2, "": 1}
    assert {name: log.counts.attempts[name] for name in PROVIDERS[:2]} == {"first": 2, "second": 1}
    assert log.counts.attempts_leaving["first"] == 1
    assert log.counts.failed == {"first/soaked upstream_disconnected": 1}
    assert len(log.complaints) == 1


async def test_a_log_that_is_not_opened_anew_is_a_complaint(tmp_path: Path) -> None:
    """The service has until the next turn to begin its new file."""
    log = RotatedLog(tmp_path / "soak.log")
    await log.rotate(cast(Service, _NoService()))
    assert log.complaints


class _NoService:
    def signal(self, number: Any) -> None:
        """Take no note of it."""


class _Wire(asyncio.Transport):
    """What a provider's connection writes to; `closed` is set when it closes."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take it."""

    def close(self) -> None:
        """Take note of it."""
        self.closed.set()

    def is_closing(self) -> bool:
        """Say whether it was closed."""
        return self.closed.is_set()


def open_connection(providers: Providers) -> tuple[Connection, _Wire]:
    """Return one connection to the first provider."""
    connection, wire = Connection(providers, 0), _Wire()
    connection.connection_made(wire)
    return connection, wire


@pytest.mark.parametrize("trouble", ["none", LEAVING])
async def test_a_hasty_close_under_a_request_is_counted(trouble: str) -> None:
    """The request counts as seen and as stale; what comes behind the close counts as neither."""
    providers = Providers(1)
    connection, wire = open_connection(providers)
    connection.data_received(build_request(Order(HELD, "hasty", "tag-00000001"), "a"))
    connection.release()
    connection.data_received(build_request(Order(HELD, trouble, "tag-00000002"), "a"))
    await asyncio.wait_for(wire.closed.wait(), 5.0)
    connection.data_received(build_request(Order(HELD, trouble, "tag-00000003"), "a"))
    connection.connection_lost(None)
    (seen,) = providers.counts.ports
    leaves = int(trouble == LEAVING)
    assert (seen.requests, seen.leaving) == (2 - leaves, leaves)
    assert (seen.hasty, seen.hasty_leaving) == (1 - leaves, leaves)
    assert (seen.abandoned, seen.held, seen.connections) == (0, 0, 0)


@pytest.mark.parametrize(("trouble", "abandoned"), [("none", 1), (LEAVING, 0)])
async def test_a_request_that_is_let_go_of_is_counted(trouble: str, abandoned: int) -> None:
    """The proxy may close a connection under a request only if its client leaves."""
    providers = Providers(1)
    connection, _ = open_connection(providers)
    connection.data_received(build_request(Order(HELD, trouble, "tag-00000001"), "a"))
    connection.connection_lost(None)
    assert providers.counts.ports[0].abandoned == abandoned
