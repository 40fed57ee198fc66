"""The clocks of one stream, on one timer that is set anew only when it fires."""

import asyncio
from collections.abc import Callable

from proxy.domain.errors import ProxyError, UpstreamTimeout
from proxy.domain.settings import Clocks
from proxy.upstream.deadline import GRACE_TURNS


class StreamClock:
    """
    Watches one stream: first token, idle between events, total, and the client's silence.

    First token and total count from dispatch, which was `spent_s` ago; silence towards the
    client counts once something has been written. Every event only writes down the time.
    The timer looks at what was written when the earliest clock could have run out, so that
    a busy stream costs next to nothing.
    """

    def __init__(
        self,
        clocks: Clocks,
        keep_alive_s: float,
        spent_s: float,
        on_timeout: Callable[[ProxyError], None],
        on_silence: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._clocks = clocks
        self._keep_alive_s = keep_alive_s
        self._on_timeout = on_timeout
        self._on_silence = on_silence
        self._event_s = self._loop.time()
        self._started_s = self._event_s - spent_s
        self._written_s: float | None = None
        self._has_content = False
        self._is_paused = False
        self._due_s = 0.0
        self._timer: asyncio.Handle | None = None
        self._arm()

    def note_event(self) -> None:
        """Note that a whole event has arrived."""
        self._event_s = self._loop.time()

    def note_write(self) -> None:
        """Note that the client has been sent something; the first call starts its clock."""
        is_first = self._written_s is None
        self._written_s = self._loop.time()
        if is_first and self._timer is not None:
            self._arm()

    def note_content(self) -> None:
        """Note that content has arrived: from now on the idle clock holds."""
        self._has_content = True
        self._event_s = self._loop.time()
        if self._timer is not None:
            self._arm()

    def note_pause(self, is_paused: bool) -> None:
        """Note that the client holds the stream up, which is not the provider's fault."""
        self._is_paused = is_paused
        self._event_s = self._loop.time()

    def stop(self) -> None:
        """Stop all clocks."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Stop for good and forget whom to call: a ring with them would wait for the collector."""
        self.stop()
        self._on_timeout = self._on_silence = _ignore

    def _arm(self) -> None:
        """Have the timer look when the earliest clock could run out, or before."""
        due_s = self._started_s + self._clocks.total_s
        if not self._has_content:
            due_s = min(due_s, self._started_s + self._clocks.first_token_s)
        elif not self._is_paused:
            due_s = min(due_s, self._event_s + self._clocks.idle_s)
        else:
            due_s = min(due_s, self._loop.time() + self._clocks.idle_s)
        if self._written_s is not None:
            due_s = min(due_s, self._written_s + self._keep_alive_s)
        if self._timer is not None:
            if self._due_s <= due_s:
                return  # it looks early, and is set anew then: cheaper than setting it twice
            self._timer.cancel()
        self._due_s = due_s
        self._timer = self._loop.call_at(due_s, self._look)

    def _look(self, turns_left: int = GRACE_TURNS) -> None:
        self._timer = None
        now_s = self._loop.time()
        code = self._expired(now_s)
        if code is not None and turns_left:
            self._timer = self._loop.call_soon(self._look, turns_left - 1)
            return
        if code is not None:
            self._on_timeout(UpstreamTimeout(code=code))
            return
        if self._written_s is not None and now_s >= self._written_s + self._keep_alive_s:
            self._written_s = now_s
            if not self._is_paused:
                self._on_silence()
        self._arm()

    def _expired(self, now_s: float) -> str | None:
        """Return the code of the clock that has run out, or None."""
        if now_s >= self._started_s + self._clocks.total_s:
            return "upstream_total_timeout"
        if not self._has_content:
            is_late = now_s >= self._started_s + self._clocks.first_token_s
            return "upstream_first_token_timeout" if is_late else None
        if not self._is_paused and now_s >= self._event_s + self._clocks.idle_s:
            return "upstream_stalled"
        return None


def _ignore(*_: object) -> None:
    """Stand in for a callback that is not wanted any more."""
