"""Events of this worker on their way to the others: gathered for a moment, and never too many."""

import asyncio
from collections.abc import Callable

from proxy.control.messages import Happened
from proxy.domain.event import Event

GATHER_S = 0.05
MAX_AT_ONCE = 64
"""More than these in one moment are not passed on: the others go by their own breakers anyway."""


class EventRelay:
    """Sends what it is given, some at a time."""

    def __init__(self, send: Callable[[Happened], None]) -> None:
        self._send = send
        self._gathered: list[Event] = []

    def take(self, event: Event) -> None:
        """Have an event sent with those that come in the next moment."""
        if not self._gathered:
            asyncio.get_running_loop().call_later(GATHER_S, self._send_gathered)
        if len(self._gathered) < MAX_AT_ONCE:
            self._gathered.append(event)

    def _send_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._send(Happened(tuple(gathered)))
