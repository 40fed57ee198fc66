"""
Whether the link to Redis is worth using: a pure breaker, to which time comes as an argument.

It counts what happened to the connection, so that it does not matter who asked and whether they
cared. The link itself, its clocks and its log lines are in `redis_link.py`.
"""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

FaultKind = Literal["lost", "refused", "denied", "timeout"]
"""
`lost`: no connection, or none any more. `refused`: Redis answers, but cannot serve now.
`denied`: it will not serve this user. `timeout`: silence.
"""
CONNECTION_LOST = "the connection was lost"
NOTHING_LISTENS = "nothing listens there"
NO_SOCKET = "its socket does not exist"
NEWS_S = 60.0
"""From one line about a new reason to the next, at least."""
_ENDED = {CONNECTION_LOST, NOTHING_LISTENS, NO_SOCKET}


class LinkFault(Struct, frozen=True):
    """One thing that went wrong with the connection."""

    kind: FaultKind
    reason: str
    """In words, for the log; holds no address and nothing that somebody sent."""
    waited_s: float = 0.0
    """Of a `timeout`: how long nothing came."""


class LinkBroken(Exception):
    """The connection cannot be used (any more)."""

    def __init__(self, fault: LinkFault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


class LinkBreaker:
    """
    Opens after several hard errors in a row, or after silence that adds up, and says how long
    to wait before each attempt to come back.
    """

    def __init__(self, *, max_errors: int = 3, max_silence_s: float = 0.25) -> None:
        """Begin closed."""
        self._max_errors = max_errors
        self._max_silence_s = max_silence_s
        self._errors = 0
        self._silence_s = 0.0
        self._denials = 0
        self._closed_at_s = float("-inf")
        self.is_open = False

    @property
    def patience_s(self) -> float:
        """Seconds of silence that are left before it opens."""
        return max(0.0, self._max_silence_s - self._silence_s)

    def note_success(self) -> None:
        """Begin the count anew: something was done."""
        self._errors = 0
        self._silence_s = 0.0

    def note_fault(self, fault: LinkFault, times: int = 1) -> bool:
        """Count a fault that came up so many times at once; return whether it opens now."""
        if fault.kind == "timeout":
            self._silence_s += fault.waited_s
        else:
            self._errors += times
        is_too_much = self._errors >= self._max_errors or self._silence_s >= self._max_silence_s
        return is_too_much and self.open(fault)

    def open(self, fault: LinkFault) -> bool:
        """Open, whatever the count; return whether it was closed."""
        was_closed = not self.is_open
        self.is_open = True
        if was_closed and fault.kind == "denied":
            self._denials += 1
        return was_closed

    def close(self, now_s: float) -> None:
        """Close: Redis has been seen to do all that it is asked for."""
        self.is_open = False
        self._closed_at_s = now_s
        self.note_success()

    def decide_wait_s(self, now_s: float, draw: Callable[[], float]) -> float:
        """
        Return the seconds until the next attempt: 0.25 to 0.5, spread by `draw()` in 0..1.

        A user who is let in and then may not do the work would come and go for ever, two log
        lines each time: each such round doubles the wait, up to 60 s, until an hour is quiet.
        """
        if now_s - self._closed_at_s > 3600:
            self._denials = 1
        longer = 2.0 ** min(self._denials - 1, 7) if self._denials > 1 else 1.0
        return min(60.0, 0.25 * (1.0 + draw()) * longer)


class ReasonNews:
    """
    Whether why Redis is away is worth a line of its own, while it stays away.

    The reason that the link opened for is told with that. Another one is told when it first comes
    up, but reasons that alternate get one line a minute, also where the link comes and goes. A
    Redis that has ended is one reason, whether its old connection tells or a new one.
    """

    def __init__(self) -> None:
        """Begin with nothing told."""
        self._told = ""
        self._told_at_s = float("-inf")

    def open(self, fault: LinkFault) -> None:
        """Take note of what the link has opened for, which is told in any case."""
        self._told = fault.reason

    def take(self, fault: LinkFault, now_s: float) -> bool:
        """Take note of an attempt that failed; return whether its reason is to be told."""
        is_same = fault.reason == self._told or {fault.reason, self._told} <= _ENDED
        if is_same or now_s - self._told_at_s < NEWS_S:
            return False
        self._told, self._told_at_s = fault.reason, now_s
        return True
