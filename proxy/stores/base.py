"""What the request's path needs of state that outlives a request. Implementations stand beside."""

from typing import Protocol

from proxy.domain.settings import RateLimit
from proxy.policy.limits import RateDecision


class RateStore(Protocol):
    """
    What each key has used of its rate limit.

    Reading, deciding and writing are one step, so that no two requests can take the same
    place, also where several processes share one store.
    """

    async def take(self, key: str, limit: RateLimit) -> RateDecision:
        """
        Count one request of a key, if its limit has room for it.

        Time is the store's own: processes that share a store need not share a clock.

        Args:
            key: who is counted, such as `default:key_0123456789ab`.
            limit: what holds for the key now.

        Returns:
            The decision; a request that is refused has used nothing.

        Raises:
            Nothing.

        Source: `policy/limits.py` is the rule, docs/security.md says what clients see of it.
        """
