"""Whether a number stays where it is over a long run. Pure."""

from collections.abc import Sequence
from statistics import linear_regression, median

from msgspec import Struct

EARLY = (0.10, 0.25)
LATE = (0.85, 1.0)
"""Parts of the run that are compared; before the first everything is still filling."""
MOST_CHANGE = 0.05


class Trend(Struct, frozen=True):
    """How a number has moved; `early` and `late` are medians of two parts of the run."""

    early: float
    late: float
    most: float
    slope_per_s: float
    """Of the line through all that was measured from the first part on."""

    @property
    def change(self) -> float:
        """From the first part to the last, as a share of the first."""
        return self.late / self.early - 1 if self.early else float("inf")

    @property
    def is_flat(self) -> bool:
        """The change is within what is allowed, up as well as down."""
        return abs(self.change) <= MOST_CHANGE


def find_trend(points: Sequence[tuple[float, float]], lasts_s: float) -> Trend | None:
    """
    Return how a number has moved, None if too little was measured to tell.

    Args:
        points: (seconds since the start, value), in order.
        lasts_s: how long the run was to last.
    """
    early = [value for at_s, value in points if EARLY[0] <= at_s / lasts_s <= EARLY[1]]
    late = [value for at_s, value in points if at_s / lasts_s >= LATE[0]]
    if not early or not late:
        return None
    line = [(at_s, value) for at_s, value in points if at_s / lasts_s >= EARLY[0]]
    slope, _ = linear_regression(*zip(*line, strict=True))
    return Trend(median(early), median(late), max(value for _, value in points), slope)
