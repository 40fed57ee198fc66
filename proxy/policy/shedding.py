"""
How many requests a worker may have under way while its event loop is late.

Pure: `LagMeter` measures, `wiring.py` tells. As long as the loop is in time there is no ceiling.
Once it has been late for about a second there is one, below what was under way; it falls while the
loop is later than a quarter of the bound, rises while it is not and somebody was refused,
and goes when nobody is any more. So a worker whose processor is used up takes as much as it can
answer, and not in turns everything and nothing.

The median of several beats is gone by: one hiccup, such as a collection of garbage or a large
configuration, makes one beat late, however long it is. And only own lag counts: a loop that is late
because others have the processor would not be in time with fewer requests.
"""

from statistics import median
from typing import Literal

ShedReason = Literal["full", "key_share", "late"]
"""Why a request finds no place: all are taken, all that its key may have, or the loop is late."""
BEATS_PER_ROUND = 5
"""After so many beats it is decided anew."""
LATE_ROUNDS = 4
"""So many in a row before there is a ceiling: a crowd that comes at once is served by then."""
HELD_SHARE = 0.25
"""With a ceiling, this part of the bound is in time: where somebody is refused, whoever is told so
is told soon, and so is `/health`."""
LEAST_IN_FLIGHT = 64
"""However late the loop: whoever holds the processor up, somebody is served."""
SOFT_CUT, HARD_CUT = 0.9, 0.5
"""What is left of a ceiling after a late round, and after one that was far too late."""
FAR_TOO_LATE = 4.0
"""So many times what is in time. Nearer to it a little less is enough: lag rises steeply."""
GROWTH = 0.02
"""By which part a ceiling rises after a round in time."""
CALM_S = 2.0
"""How long nobody must have been refused, and the loop be in time, before the ceiling goes."""


class Shedding:
    """Turns the lag of an event loop into a ceiling for requests under way."""

    __slots__ = (
        "_calm_since_s",
        "_lags_s",
        "_late_rounds",
        "_peak",
        "_was_pressed",
        "ceiling",
    )

    def __init__(self) -> None:
        self.ceiling: int | None = None
        """How many requests may be under way; None: as many as are allowed anyway."""
        self._lags_s: list[float] = []
        self._late_rounds = 0
        self._peak = 0
        self._was_pressed = False
        self._calm_since_s = 0.0

    def has_room(self, in_flight: int) -> bool:
        """Return whether one more may begin beside so many."""
        return self.ceiling is None or in_flight < self.ceiling

    def beat(
        self,
        lag_s: float,
        in_flight: int,
        now_s: float,
        *,
        max_lag_s: float | None,
        was_pressed: bool = False,
    ) -> None:
        """
        Take note of one measurement of the loop, and decide anew if the round is full.

        Args:
            lag_s: by how many seconds the loop was late because of its own work.
            in_flight: how many requests are under way.
            now_s: seconds of a clock that only goes forward.
            max_lag_s: the bound: up to it the loop is in time as long as there is no ceiling, and
                up to HELD_SHARE of it with one; None takes the ceiling away.
            was_pressed: somebody was refused by the ceiling since the last beat.
        """
        if max_lag_s is None:
            self.__init__()  # type: ignore[misc]
            return
        self._lags_s.append(lag_s)
        self._peak = max(self._peak, in_flight)
        self._was_pressed |= was_pressed
        if len(self._lags_s) < BEATS_PER_ROUND:
            return
        middle_s = median(self._lags_s)
        in_time_s = max_lag_s * HELD_SHARE
        if middle_s > (max_lag_s if self.ceiling is None else in_time_s):
            self._late_rounds += 1
            self._fall(HARD_CUT if middle_s > FAR_TOO_LATE * in_time_s else SOFT_CUT)
            self._calm_since_s = now_s
        else:
            self._late_rounds = 0
            self._rise(now_s)
        self._lags_s.clear()
        self._peak, self._was_pressed = 0, False

    def _fall(self, cut: float) -> None:
        ceiling = self.ceiling
        if ceiling is None:
            if self._late_rounds < LATE_ROUNDS:
                return
            ceiling = self._peak
        elif self._peak > ceiling and cut != HARD_CUT:
            return  # the last cut has not had its effect yet, and is not known to be too small
        self.ceiling = max(LEAST_IN_FLIGHT, int(min(ceiling, self._peak) * cut))

    def _rise(self, now_s: float) -> None:
        if self.ceiling is None:
            return
        # What is under way is not too much, as it turns out.
        self.ceiling = max(self.ceiling, self._peak)
        if self._was_pressed:
            self.ceiling += max(1, int(self.ceiling * GROWTH))
            self._calm_since_s = now_s
        elif now_s - self._calm_since_s >= CALM_S:
            self.ceiling = None
