"""
Whether requests prove that a provider works: what outweighs a health check that says otherwise.

One for each provider and process; `pipeline/provider_health.py` keeps them.
"""

from collections import deque

ENOUGH = 5
WITHIN_S = 30.0
FAILURES_TO_FORGET = 2
"""In a row: one may happen to anybody, and a second one says that the good times are over."""


class RecentSuccesses:
    """When the last attempts at one provider succeeded."""

    __slots__ = ("_failures", "_times_s")

    def __init__(self) -> None:
        self._failures = 0
        self._times_s: deque[float] = deque(maxlen=ENOUGH)

    def note(self, now_s: float) -> None:
        """
        Take note that an attempt has succeeded.

        Args:
            now_s: by any clock that never goes back, always the same.
        """
        self._times_s.append(now_s)
        self._failures = 0

    def note_failure(self) -> None:
        """
        Take note that an attempt has failed, by the provider's fault.

        Two in a row, at whichever of its models, and everything before is forgotten.

        Source: docs/health.md, "When requests know better".
        """
        self._failures += 1
        if self._failures >= FAILURES_TO_FORGET:
            self._times_s.clear()

    def is_enough(self, now_s: float) -> bool:
        """
        Return whether 5 attempts have succeeded within the last 30 seconds.

        Args:
            now_s: by the clock of `note`.

        Returns:
            True if that many have, and no two attempts have failed in a row since.

        Raises:
            Nothing.

        Source: docs/health.md, "When requests know better"; I33 of docs/reliability.md.
        """
        return len(self._times_s) == ENOUGH and now_s - self._times_s[0] <= WITHIN_S
