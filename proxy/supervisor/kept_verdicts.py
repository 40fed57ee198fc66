"""The verdicts that a worker has to get which starts after they were told."""

import time
from collections.abc import Callable

from msgspec.structs import replace

from proxy.domain.health import HealthNews, HealthVerdict


class KeptVerdicts:
    """What the health worker believes, as far as that is still to be believed."""

    def __init__(self, read_clock_s: Callable[[], float] = time.monotonic) -> None:
        self._read_clock_s = read_clock_s
        self._newest: HealthNews | None = None
        self._newest_s = 0.0
        self._told: dict[str, tuple[HealthVerdict, float]] = {}

    def take(self, news: HealthNews) -> bool:
        """Keep what is told; False if it is older than what is known."""
        newest = self._newest
        if newest is not None and (news.fence, news.number) <= (newest.fence, newest.number):
            return False
        now_s = self._read_clock_s()
        if news.is_cleared:
            self._told.clear()
        # Providers come and go: what is over is no more kept than it is told.
        self._drop_what_is_over(now_s)
        self._told.update((verdict.provider, (verdict, now_s)) for verdict in news.verdicts)
        self._newest, self._newest_s = news, now_s
        return True

    def __len__(self) -> int:
        return len(self._told)

    def gather(self) -> HealthNews | None:
        """Return all that is believed now, as one piece of news; None: nobody has told anything."""
        if self._newest is None:
            return None
        now_s = self._read_clock_s()
        self._drop_what_is_over(now_s)
        return replace(
            self._newest,
            verdicts=tuple(
                replace(verdict, lives_s=verdict.lives_s - (now_s - told_s))
                for verdict, told_s in self._told.values()
            ),
            lives_s=max(0.0, self._newest.lives_s - (now_s - self._newest_s)),
            is_cleared=False,
            answered=(),
        )

    def _drop_what_is_over(self, now_s: float) -> None:
        self._told = {
            name: (verdict, told_s)
            for name, (verdict, told_s) in self._told.items()
            if now_s - told_s < verdict.lives_s
        }
