"""Verdicts of a health worker in the memory of one process, as the supervisor passes them on."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from proxy.domain.catalog import Provider
from proxy.domain.health import HealthNews, HealthVerdict

LONGEST_LIVES_S = 3600.0
"""Nothing is believed for longer than this without being told again."""

Version = tuple[int, int]
"""Fence and number of the news that something came with; later news have a greater one."""
NOTHING: Version = (0, 0)


class HeldVerdict(Struct, frozen=True):
    """A verdict, what it came with, and until when it is believed by this process's clock."""

    verdict: HealthVerdict
    version: Version
    until_s: float


class MemoryVerdicts:
    """
    A VerdictStore (see `base.py`) that believes what it is told, news by news.

    News that are not newer than all before are passed over, with one exception: when the health
    worker that was heard is silent, and nothing of what it has told later than that is believed
    any more. One that begins anew with a clock that was set back would else never be heard.
    """

    def __init__(self, read_clock_s: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing; `read_clock_s` is what verdicts age by."""
        self.on_change: Callable[[Sequence[str]], None] = ignore_verdicts
        self._read_clock_s = read_clock_s
        self._held: dict[str, HeldVerdict] = {}
        self._newest = NOTHING
        self._alive_until_s = -math.inf
        self._is_suspect = False
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._held)

    @property
    def is_alive(self) -> bool:
        """Return whether a health worker has been heard of lately (see `base.py`)."""
        return self._read_clock_s() < self._alive_until_s

    @property
    def is_suspect(self) -> bool:
        """Return whether the health worker doubts what it sees (see `base.py`)."""
        return self._is_suspect and self.is_alive

    def find(self, provider: Provider) -> HealthVerdict | None:
        """Return what is believed of a provider (see `base.py`)."""
        held = self._held.get(provider.name)
        if held is None or held.verdict.address != provider.base_url:
            return None
        return held.verdict if self._read_clock_s() < held.until_s else None

    def take(self, news: HealthNews) -> None:
        """Learn what a health worker tells (see `base.py`)."""
        now_s = self._read_clock_s()
        version = (news.fence, news.number)
        if version <= self._newest and not self._is_over_since(version, now_s):
            return
        changed: set[str] = set()
        if news.is_cleared:
            changed.update(self._held)
            self._held.clear()
        for verdict in news.verdicts:
            self._hold(verdict, version, now_s + limit_lives_s(verdict.lives_s))
            changed.add(verdict.provider)
        self._newest = version
        self._hear_sign_of_life(now_s + limit_lives_s(news.lives_s), is_suspect=news.is_suspect)
        self._tell(changed)

    def forget(self, names: Iterable[str]) -> None:
        """Believe nothing of these providers for now (see `base.py`)."""
        self._tell([name for name in names if self._held.pop(name, None) is not None])

    def sweep(self) -> None:
        """Let go of verdicts whose time is over, and say so; a timer of the loop does it too."""
        now_s = self._read_clock_s()
        over = [name for name, held in self._held.items() if held.until_s <= now_s]
        for name in over:
            del self._held[name]
        self._tell(over)

    async def close(self) -> None:
        """Leave no timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _hold(self, verdict: HealthVerdict, version: Version, until_s: float) -> None:
        self._held[verdict.provider] = HeldVerdict(verdict, version, until_s)

    def _hear_sign_of_life(self, until_s: float, *, is_suspect: bool) -> None:
        self._alive_until_s, self._is_suspect = until_s, is_suspect

    def _is_over_since(self, version: Version, now_s: float) -> bool:
        """Return whether nothing counts any more that was told with a version or after it."""
        if now_s < self._alive_until_s:
            return False
        later = (held for held in self._held.values() if held.version >= version)
        return all(held.until_s <= now_s for held in later)

    def _tell(self, changed: Iterable[str]) -> None:
        """Say of which providers something else is believed now, and await the next end of one."""
        if names := sorted(changed):
            self.on_change(names)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._held:
            soonest_s = min(held.until_s for held in self._held.values())
            wait_s = max(0.0, soonest_s - self._read_clock_s())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.sweep)


def limit_lives_s(lives_s: float) -> float:
    """Return how long something is believed that is said to live so long; no number: not at all."""
    return min(lives_s, LONGEST_LIVES_S) if lives_s > 0 else 0.0


def ignore_verdicts(names: Sequence[str]) -> None:
    """Nobody wants to know."""
