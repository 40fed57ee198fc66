"""A client that does not take what was written to it, and the clock that ends its connection."""

import asyncio
from collections.abc import Callable

from proxy.server.tcp_state import read_acked_bytes

LONGEST_S = 1800.0
"""How long one backlog may take to leave, however steadily little of it is taken."""
LOOKS = 4
"""How often a client is looked at within `stall_s`: it is ended at most a fourth later."""


class WriteStall:
    """
    Runs while bytes wait to be taken; `on_stall` is called when none were for `stall_s`.

    A client that takes a little within each `stall_s` is slow, not stalled, for LONGEST_S.
    """

    __slots__ = (
        "_began_s",
        "_loop",
        "_moved_s",
        "_on_stall",
        "_seen",
        "_stall_s",
        "_timer",
        "_transport",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        on_stall: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._on_stall = on_stall
        self._timer: asyncio.TimerHandle | None = None
        self._stall_s = 0.0
        self._began_s = self._moved_s = 0.0
        self._seen: tuple[int, int | None] = (0, None)

    def watch(self, stall_s: float) -> None:
        """Begin to watch, or go on as before."""
        if self._timer is None:
            self._stall_s = stall_s
            self._began_s = self._loop.time()
            self._note_progress(self._look())
            self._timer = self._loop.call_later(stall_s / LOOKS, self._check)

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        self._timer = None
        (waiting_before, acked_before), (waiting, acked) = self._seen, self._look()
        if not waiting:
            return
        # What waits here shrinks in leaps: the kernel asks for more when a third of its buffer
        # is free. What the client has acknowledged grows with each of its windows.
        now_s = self._loop.time()
        if waiting < waiting_before or acked != acked_before:
            self._note_progress((waiting, acked))
        if now_s - self._moved_s >= self._stall_s or now_s - self._began_s >= LONGEST_S:
            self._on_stall()
            return
        self._timer = self._loop.call_later(self._stall_s / LOOKS, self._check)

    def _note_progress(self, seen: tuple[int, int | None]) -> None:
        self._seen, self._moved_s = seen, self._loop.time()

    def _look(self) -> tuple[int, int | None]:
        return self._transport.get_write_buffer_size(), read_acked_bytes(self._transport)
