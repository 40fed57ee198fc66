"""Whether a number stays where it is over a long run. Pure."""

from collections.abc import Sequence
from statistics import linear_regression, median

from msgspec import Struct

EARLY = (0.10, 0.25)
"""The part of the run that others are compared with; before it everything is still filling."""
LATER = ((0.25, 0.35), (0.35, 0.45), (0.45, 0.55), (0.55, 0.65), (0.65, 0.75), (0.75, 0.85))
LATE = (0.85, 1.0)
MOST_CHANGE = 0.05


class Trend(Struct, frozen=True):
    """How a number has moved; `early`, `late` and `furthest` are medians of parts of the run."""

    early: float
    late: float
    furthest: float
    """Of all parts behind the first the one that differs most from it, up or down."""
    most: float
    slope_per_s: float
    """Of the line through all that was measured from the first part on."""

    @property
    def change(self) -> float:
        """From the first part to the last, as a share of the first."""
        return self._compare(self.late)

    @property
    def most_change(self) -> float:
        """From the first part to the one that differs most from it."""
        return self._compare(self.furthest)

    @property
    def is_flat(self) -> bool:
        """No part differs by more than what is allowed, up as well as down."""
        return abs(self.most_change) <= MOST_CHANGE

    def _compare(self, value: float) -> float:
        return value / self.early - 1 if self.early else float("inf")


def find_trend(points: Sequence[tuple[float, float]], lasts_s: float) -> Trend | None:
    """
    Return how a number has moved, None if some part of the run was not measured.

    Args:
        points: (seconds since the start, value), in order.
        lasts_s: how long the run was to last.
    """
    parts = [
        [value for at_s, value in points if begin <= at_s / lasts_s < end]
        for begin, end in (EARLY, *LATER, LATE)
    ]
    if not all(parts):
        return None
    early, *later = (median(part) for part in parts)
    furthest = max(later, key=lambda value: abs(value - early))
    line = [(at_s, value) for at_s, value in points if at_s / lasts_s >= EARLY[0]]
    slope, _ = linear_regression(*zip(*line, strict=True))
    return Trend(early, later[-1], furthest, max(value for _, value in points), slope)
