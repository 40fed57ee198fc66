"""
The pipeline's request (see `pipeline/base.py`) without aiohttp: a plain head, and its body.

`lean_connection.py` makes one for each head that `lean_head.py` has read, and feeds it.
"""

import asyncio
from collections.abc import Callable

from multidict import MultiMapping

from proxy.domain.errors import RequestTimeout
from proxy.domain.exchange import Operation
from proxy.domain.settings import Settings
from proxy.server.lean_head import PlainHead
from proxy.server.request_body import BodyClock, check_kind, check_size

UNASKED_BYTES = 64 * 1024
"""How much of a body is taken in before anybody has asked for it."""


class LeanRequest:
    """An InboundRequest, whose body may still be coming."""

    __slots__ = (
        "_clock",
        "_loop",
        "_on_wanted",
        "_parts",
        "_timer",
        "_whole",
        "endpoint",
        "headers",
        "is_wanted",
        "keeps_alive",
        "missing_bytes",
        "model",
        "operation",
        "size_bytes",
    )

    def __init__(
        self,
        head: PlainHead,
        begun: bytes,
        loop: asyncio.AbstractEventLoop,
        on_wanted: Callable[[], None],
    ) -> None:
        """
        Begin with what has come.

        Args:
            head: the head.
            begun: the beginning of the body, often all of it.
            loop: where the rest is waited for.
            on_wanted: called when somebody begins to wait for the rest.
        """
        self.operation: Operation = head.route.operation
        self.endpoint = head.route.endpoint
        self.headers: MultiMapping[str] = head.headers
        self.model: str | None = None
        self.size_bytes = head.size_bytes
        self.missing_bytes = head.size_bytes - len(begun)
        """How much of the body has not come yet."""
        self.is_wanted = False
        """Somebody waits for the rest of the body, to use it or to drop it."""
        self.keeps_alive = head.keeps_alive
        """Whether the connection may go on after the answer."""
        self._loop = loop
        self._on_wanted = on_wanted
        self._parts = [begun]
        self._whole: asyncio.Future[None] | None = None
        self._clock: BodyClock | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_too_much(self) -> bool:
        """More of the body has come than is kept while nobody asks for it."""
        if self.is_wanted or not self.missing_bytes:
            return False
        return self.size_bytes - self.missing_bytes > UNASKED_BYTES

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body, and no more than are missing."""
        self.missing_bytes -= len(data)
        self._parts.append(data)
        if self._clock is not None:
            self._clock.last_part_s = self._loop.time()
        if not self.missing_bytes and self._whole is not None and not self._whole.done():
            self._whole.set_result(None)

    async def read_body(self, settings: Settings) -> bytes:
        """Return the whole body (see `pipeline/base.py`)."""
        check_kind(self.headers)
        check_size(self.size_bytes, settings)
        if self.missing_bytes:
            self._clock = BodyClock(settings, self._loop.time())
            self._set_timer(self._clock)
            try:
                await self._wait()
            finally:
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = self._clock = None
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def drop_rest(self, within_s: float) -> bool:
        """Wait for the rest of a body that nobody reads, and return whether it came in time."""
        self._parts.clear()
        try:
            async with asyncio.timeout(within_s):
                await self._wait()
        except TimeoutError:
            return False
        return True

    async def _wait(self) -> None:
        self._whole = self._loop.create_future()
        self.is_wanted = True
        self._on_wanted()
        await self._whole

    def _set_timer(self, clock: BodyClock) -> None:
        end_s = clock.find_end(self.size_bytes - self.missing_bytes)
        self._timer = self._loop.call_at(end_s, self._look_at_clock, clock)

    def _look_at_clock(self, clock: BodyClock) -> None:
        # Data moves nothing but numbers: when the timer runs out is asked how late it is.
        if clock.find_end(self.size_bytes - self.missing_bytes) > self._loop.time():
            self._set_timer(clock)
        elif self._whole is not None and not self._whole.done():
            self._whole.set_exception(RequestTimeout())
