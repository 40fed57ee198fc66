"""
A limit on how often the same operational event is written.

Here lives the counting; `logs.py` asks it before it writes. Request lines do not pass here:
there is one per request, always.
"""

MAX_EVENTS_PER_WINDOW = 10
WINDOW_S = 1.0
_MAX_EVENTS_KNOWN = 256


class FloodGate:
    """Let each event through a few times a second; say later how many were held back."""

    __slots__ = ("_events",)

    def __init__(self) -> None:
        self._events: dict[tuple[str, str], tuple[float, int, int]] = {}

    def admit(self, event: tuple[str, str], now_monotonic_s: float) -> int | None:
        """
        Return how many of `event` were held back since the last one, None to hold this one too.

        Args:
            event: (logger, message); a message that varies is an event of its own.
            now_monotonic_s: seconds of this process's duration clock.
        """
        started_s, passed, held = self._events.get(event, (now_monotonic_s, 0, 0))
        if now_monotonic_s - started_s >= WINDOW_S:
            started_s, passed = now_monotonic_s, 0
        if passed >= MAX_EVENTS_PER_WINDOW:
            self._events[event] = (started_s, passed, held + 1)
            return None
        if len(self._events) >= _MAX_EVENTS_KNOWN and event not in self._events:
            self._events.clear()
        self._events[event] = (started_s, passed + 1, 0)
        return held
