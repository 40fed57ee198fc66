"""
Whether this machine itself is cut off, rather than one of its providers.

Who is cut off sees every provider fail at once, and would open every breaker for a fault that
is none of theirs. `pipeline/` tells what it sees; while the way out is down, failures that
are `is_local_network` (see `verdict.py`) weigh on nobody.
"""

WITHIN_S = 10.0
"""Two providers must have been out of reach within this time of each other."""
STANDS_S = 300.0
"""How long after the last attempt that failed so the way out is still taken for down."""


class EgressWatch:
    """
    Believes the way out to be down once two providers are out of reach with no answer between.

    It ends with the first sign of life of anybody. Two providers and two times are all that is
    remembered, so that a sign of life costs next to nothing while all is well.

    Source: reliability.md I38; tests/policy/test_egress.py.
    """

    __slots__ = ("_is_down", "_last", "_last_s", "_other_s")

    def __init__(self) -> None:
        self._last = ""
        self._last_s = 0.0
        self._other_s: float | None = None
        self._is_down = False

    def note_fault(self, provider: str, now_s: float) -> None:
        """
        Take note that the network of this machine let nothing through to a provider.

        Args:
            provider: its name.
            now_s: seconds of any clock, the same one each time.
        """
        if now_s - self._last_s > STANDS_S:
            self.note_life()  # what was known is too old to go on from
        if self._last and provider != self._last:
            self._other_s = self._last_s
        self._last, self._last_s = provider, now_s
        if self._other_s is not None and now_s - self._other_s <= WITHIN_S:
            self._is_down = True

    def note_life(self) -> None:
        """
        Take note that something came from outside: an answer, a handshake, also a refusal.

        What runs on this machine proves nothing about the way out of it.
        """
        if self._last:
            self._last, self._other_s, self._is_down = "", None, False

    def is_down(self, now_s: float) -> bool:
        """
        Return whether the way out is down.

        Args:
            now_s: seconds of the same clock.

        Returns:
            True from the fault of a second provider on, until there is a sign of life or
            nobody has failed so for STANDS_S: nobody has tried, and nothing is known any more.
        """
        return self._is_down and now_s - self._last_s <= STANDS_S
