"""What a worker has to be told that starts after the orders were given."""

from proxy.control.messages import BreakerOrder
from proxy.supervisor import breaker_orders
from proxy.supervisor.breaker_orders import BreakerOrders

OPEN_UP = BreakerOrder("up", "open")
OPEN_M = BreakerOrder("up/m", "open")
CLOSE_M = BreakerOrder("up/m", "close")
RESET_M = BreakerOrder("up/m", "reset")
RESET_UP = BreakerOrder("up", "reset")
RESET_ALL = BreakerOrder("*", "reset")


def keep(*orders: BreakerOrder) -> tuple[BreakerOrder, ...]:
    """Return what is left of orders that were given one after the other."""
    kept = BreakerOrders(is_shared=False)
    assert all(kept.keep(order) for order in orders)
    return kept.kept


def test_the_last_word_holds() -> None:
    """A later order for the same takes the place of the earlier one; a reset ends it."""
    assert keep(OPEN_M, CLOSE_M) == (CLOSE_M,)
    assert keep(OPEN_M, RESET_M) == ()
    assert keep(RESET_M) == ()


def test_a_word_for_the_whole_ends_those_for_its_parts() -> None:
    """A provider's name and `*` say all about what is their own."""
    other = BreakerOrder("key:other", "open")
    assert keep(OPEN_M, BreakerOrder("host:up", "close"), other, OPEN_UP) == (other, OPEN_UP)
    assert keep(OPEN_M, other, RESET_UP) == (other,)
    assert keep(OPEN_M, other, RESET_ALL) == ()


def test_a_part_that_was_let_out_stays_out() -> None:
    """After an order for the whole, a reset of a part has to be said again."""
    assert keep(OPEN_UP, RESET_M) == (OPEN_UP, RESET_M)
    assert keep(OPEN_UP, RESET_M, OPEN_M) == (OPEN_UP, OPEN_M)


def test_with_redis_nothing_is_kept() -> None:
    """There every worker finds the state that was ordered, and it may have been changed since."""
    shared = BreakerOrders(is_shared=True)
    assert shared.keep(OPEN_UP)
    assert shared.kept == ()


def test_there_are_only_so_many() -> None:
    """Beyond a thousand an order is refused, but not one that replaces or ends another."""
    orders = BreakerOrders(is_shared=False)
    for n in range(breaker_orders.MAX_KEPT):
        assert orders.keep(BreakerOrder(f"up/{n}", "open"))
    assert not orders.keep(BreakerOrder("up/one-more", "open"))
    assert orders.keep(BreakerOrder("up/7", "close"))
    assert orders.keep(BreakerOrder("up/7", "reset"))
    assert len(orders.kept) == breaker_orders.MAX_KEPT - 1
