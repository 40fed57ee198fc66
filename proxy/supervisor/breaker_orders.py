"""The orders for breakers that a worker has to get which starts after they were given."""

from proxy.control.messages import BreakerOrder
from proxy.policy.breaker_targets import covers

MAX_KEPT = 1000


class BreakerOrders:
    """
    What operators have said to breakers, as long as it holds; gone when the service ends.

    With Redis nothing is kept: there a forced state is every worker's, and outlives them all.
    """

    def __init__(self, *, is_shared: bool) -> None:
        self._is_shared = is_shared
        self._kept: list[BreakerOrder] = []

    @property
    def kept(self) -> tuple[BreakerOrder, ...]:
        """Those in force, in their order."""
        return tuple(self._kept)

    def keep(self, order: BreakerOrder) -> bool:
        """Keep an order, and forget those that it ends; False if there are too many."""
        if self._is_shared:
            return True
        others = [each for each in self._kept if not covers(order.target, each.target)]
        # A reset of a part has to be repeated after the order for the whole.
        is_needed = order.command != "reset" or any(
            covers(each.target, order.target) for each in others
        )
        if is_needed and len(others) >= MAX_KEPT:
            return False
        self._kept = [*others, order] if is_needed else others
        return True
