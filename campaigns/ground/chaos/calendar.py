"""Which trouble there was when: of providers, and of Redis."""

import math

from msgspec import Struct, field

REDIS = "redis"


class Trouble(Struct):
    """
    Something is not well from `begun_s` on, and nobody counts on it before `over_s`.

    Times are of the monotonic clock. Between `ended_s` and `over_s` it is well again, and those
    who have left it alone are finding out.
    """

    what: str
    kind: str
    begun_s: float
    ended_s: float = math.inf
    over_s: float = math.inf


class Calendar(Struct):
    """All troubles since the start."""

    troubles: list[Trouble] = field(default_factory=list)

    def begin(self, what: str, kind: str, now_s: float) -> Trouble:
        """Note that a trouble begins, which is to be called before it does."""
        trouble = Trouble(what, kind, now_s)
        self.troubles.append(trouble)
        return trouble

    def is_clear(self, what: str, from_s: float, to_s: float) -> bool:
        """Return whether something was well, and counted on, all of that time."""
        return not any(
            each.what == what and each.begun_s <= to_s and from_s < each.over_s
            for each in self.troubles
        )

    def is_troubled(self, what: str, from_s: float, to_s: float) -> bool:
        """Return whether something was not well at any moment of that time."""
        return any(
            each.what == what and each.begun_s <= to_s and from_s < each.ended_s
            for each in self.troubles
        )

    def count(self, what: str, *kinds: str) -> int:
        """Return how many troubles of some kinds there were, of all kinds if none is named."""
        return sum(
            each.what == what and (not kinds or each.kind in kinds) for each in self.troubles
        )
