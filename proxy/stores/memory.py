"""State in the memory of one process: exact for it, and gone with it."""

import time
from collections.abc import Callable

from proxy.domain.settings import RateLimit
from proxy.policy.limits import Meter, RateDecision, decide_rate, is_unused, share_limit

FEWEST_KEPT = 1024
"""Up to here nobody looks for what can be forgotten."""


class MemoryRateStore:
    """
    A RateStore (see `base.py`) that never holds more than twice what is in use.

    A key is forgotten when nothing of its limit is used any more: that is what an unknown
    key starts with, so forgetting gives nobody more. Keys are looked through each time
    their number has doubled.
    """

    def __init__(
        self, read_clock_s: Callable[[], float] = time.monotonic, *, processes: int = 1
    ) -> None:
        """Count for one of several `processes`, of which each admits its share."""
        self._read_clock_s = read_clock_s
        self._processes = processes
        self._meters: dict[str, tuple[Meter, RateLimit]] = {}
        self._look_at = FEWEST_KEPT

    def __len__(self) -> int:
        return len(self._meters)

    async def take(self, key: str, limit: RateLimit) -> RateDecision:
        """Count one request of a key, if its limit has room for it (see `base.py`)."""
        if self._processes > 1:
            limit = share_limit(limit, self._processes)
        now_s = self._read_clock_s()
        kept = self._meters.get(key)
        if kept is None and len(self._meters) >= self._look_at:
            self._forget_unused(now_s)
        meter, decision = decide_rate(None if kept is None else kept[0], limit, now_s)
        self._meters[key] = (meter, limit)
        return decision

    def _forget_unused(self, now_s: float) -> None:
        self._meters = {
            key: (meter, limit)
            for key, (meter, limit) in self._meters.items()
            if not is_unused(meter, limit, now_s)
        }
        self._look_at = max(FEWEST_KEPT, 2 * len(self._meters))
