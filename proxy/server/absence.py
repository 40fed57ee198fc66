"""A client that is not read from: whether it is still there."""

import asyncio

from proxy.server.tcp_state import is_peer_gone

ABSENCE_S = 0.25
"""How often it is looked for."""


class AbsenceWatch:
    """Runs while reading is paused, and ends the connection of a client that has left."""

    __slots__ = ("_loop", "_timer", "_transport", "is_on")

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._timer: asyncio.TimerHandle | None = None
        self.is_on = False

    def begin(self) -> None:
        """Watch from now on."""
        self.is_on = True
        if self._timer is None:
            self._timer = self._loop.call_later(ABSENCE_S, self._look)

    def pause(self) -> None:
        """Watch no longer, until the next `begin`; a timer that is set runs out by itself."""
        self.is_on = False

    def stop(self) -> None:
        """Let go of the timer: the connection is over."""
        self.is_on = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if not self.is_on:
            return
        if is_peer_gone(self._transport):
            self._transport.abort()
        else:
            self._timer = self._loop.call_later(ABSENCE_S, self._look)
