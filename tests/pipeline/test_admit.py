"""Whether an attempt may go: what is known is enough, or the breakers are asked."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.domain.breaker import BreakerRules, BreakerView, Permit
from proxy.domain.catalog import Deployment
from proxy.domain.settings import Clocks, Settings
from proxy.pipeline.admit import ASK_AGAIN_S, LEASE_SLACK_S, admit
from proxy.pipeline.board import Board, Ticket
from proxy.policy.admission import PROBE_AGAIN_S, Admission
from proxy.stores.memory_breakers import MemoryBreakers
from tests.fakes.proxy_server import build_provider

CLOCKS = Clocks(headers_s=7.0, first_token_s=20.0, answer_s=50.0)
DEPLOYMENT = Deployment(build_provider("http://a.test/v1", name="a", clocks=CLOCKS), "m")


class WatchedBreakers(MemoryBreakers):
    """Breakers that write down what is acquired, and may be made to wait."""

    def __init__(self) -> None:
        super().__init__(BreakerRules(consecutive=1, open_ms=1, permits=1))
        self.acquired: list[tuple[str, float]] = []
        self.waits_at: str | None = None
        self.is_waiting = asyncio.Event()

    async def acquire(self, breaker_id: str, lease_s: float) -> Permit | BreakerView:
        """Take note, and wait for ever where that was asked for."""
        self.acquired.append((breaker_id, lease_s))
        if breaker_id == self.waits_at:
            self.is_waiting.set()
            await asyncio.Event().wait()
        return await super().acquire(breaker_id, lease_s)

    def hold(self, *breaker_ids: str) -> None:
        """Have breakers open whose time is over already."""
        for each in breaker_ids:
            self.report(each, "hold", hold_s=0.001, cause="auth")
            self._views[each] = BreakerView("open", self._views[each].epoch, 0.0, "auth")
            self._breakers[each].until_ms = 0


def build_exchange(
    breakers: MemoryBreakers, *, streams: bool = True, is_buffered: bool = False, room: bool = True
) -> Any:
    """Return as much of an exchange as is looked at."""
    return SimpleNamespace(
        runtime=SimpleNamespace(board=Board(breakers)),
        transports={"a": SimpleNamespace(has_room=room)},
        ask=SimpleNamespace(streams=streams),
        is_buffered=is_buffered,
        snapshot=SimpleNamespace(settings=Settings(request_timeout_s=100.0)),
    )


@pytest.fixture
def breakers() -> WatchedBreakers:
    """Breakers of which nothing is known."""
    return WatchedBreakers()


async def test_while_all_is_closed_nothing_is_asked(breakers: WatchedBreakers) -> None:
    """An attempt goes on what this process knows; no store is waited for."""
    assert await admit(build_exchange(breakers), DEPLOYMENT) == Ticket()
    assert breakers.acquired == []


async def test_the_epoch_goes_with_the_ticket(breakers: WatchedBreakers) -> None:
    """A ticket says in which epoch of the deployment's breaker the attempt began."""
    breakers.report("a/m", "neutral")
    await breakers.command("a/m", "reset")
    ticket = await admit(build_exchange(breakers), DEPLOYMENT)
    assert isinstance(ticket, Ticket)
    assert ticket.epoch == breakers.look("a/m").epoch != 0


async def test_no_room_is_a_refusal_unless_it_may_wait(breakers: WatchedBreakers) -> None:
    """Where all connections are in use the next candidate is tried, or one is waited for."""
    exchange = build_exchange(breakers, room=False)
    assert await admit(exchange, DEPLOYMENT) == Admission("refuse", "full")
    assert await admit(exchange, DEPLOYMENT, may_wait=True) == Ticket()


async def test_every_breaker_that_is_not_closed_gives_a_permit(breakers: WatchedBreakers) -> None:
    """Key, host and deployment are asked, in this order, and all three permits are held."""
    ids = ["key:a", "host:a", "a/m"]
    breakers.hold(*ids)
    ticket = await admit(build_exchange(breakers), DEPLOYMENT)
    assert isinstance(ticket, Ticket)
    assert ticket.reason == "probe"
    assert [each for each, _ in ticket.permits] == ids


async def test_a_refusal_gives_back_what_was_taken_before(breakers: WatchedBreakers) -> None:
    """When the deployment has no permit left, the key's is free again for another request."""
    breakers.hold("key:a", "a/m")
    await breakers.acquire("a/m", 60.0)
    refusal = await admit(build_exchange(breakers), DEPLOYMENT)
    assert isinstance(refusal, Admission)
    assert refusal.reason == "half_open"
    (report,) = await breakers.read(["key:a"])
    assert (report.state, report.permits_in_use) == ("half_open", 0)


async def test_a_client_that_leaves_while_asking_gives_back_too(breakers: WatchedBreakers) -> None:
    """A request that is cancelled between two permits returns the first."""
    breakers.hold("key:a", "a/m")
    breakers.waits_at = "a/m"
    task = asyncio.create_task(admit(build_exchange(breakers), DEPLOYMENT))
    await breakers.is_waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (report,) = await breakers.read(["key:a"])
    assert report.permits_in_use == 0


async def test_what_has_closed_meanwhile_needs_no_permit(breakers: WatchedBreakers) -> None:
    """Where the store says closed although this process thought open, the attempt goes."""
    breakers._views["a/m"] = BreakerView("open", 3, 0.0)
    assert await admit(build_exchange(breakers), DEPLOYMENT) == Ticket("closed", 0)


@pytest.mark.parametrize(
    ("streams", "is_buffered", "lease_s"),
    [(True, False, 20.0), (False, False, 50.0), (True, True, 100.0)],
)
async def test_a_lease_is_as_long_as_an_attempt_can_take(
    breakers: WatchedBreakers, streams: bool, is_buffered: bool, lease_s: float
) -> None:
    """To the first token of a stream, to the end of everything else, and a little more."""
    breakers.hold("a/m")
    await admit(build_exchange(breakers, streams=streams, is_buffered=is_buffered), DEPLOYMENT)
    assert breakers.acquired == [("a/m", lease_s + LEASE_SLACK_S)]


async def test_where_no_permit_is_left_nobody_asks_again_at_once(
    breakers: WatchedBreakers,
) -> None:
    """After one was refused the next ones are refused without asking, for a tenth of a second."""
    breakers.hold("a/m")
    exchange = build_exchange(breakers)
    assert isinstance(await admit(exchange, DEPLOYMENT), Ticket)
    for _ in range(10):
        refusal = await admit(exchange, DEPLOYMENT)
        assert refusal == Admission("refuse", "half_open", PROBE_AGAIN_S)
    assert len(breakers.acquired) == 2
    board = exchange.runtime.board
    now_s = board.read_clock_s()
    board.read_clock_s = lambda: now_s + ASK_AGAIN_S + 0.01
    await admit(exchange, DEPLOYMENT)
    assert len(breakers.acquired) == 3
