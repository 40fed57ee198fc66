"""An Upload (see `domain/exchange.py`) of pieces that a test hands out."""

import asyncio
from collections.abc import Iterable

from proxy.domain.errors import ProxyError


class MadeUpload:
    """Gives out pieces, then waits, fails or ends; counts what was taken of it."""

    def __init__(
        self,
        pieces: Iterable[bytes],
        size_bytes: int | None = None,
        *,
        error: ProxyError | None = None,
        waits: bool = False,
    ) -> None:
        self.size_bytes = size_bytes
        self.taken_bytes = 0
        self.was_cancelled = False
        self.is_waiting = asyncio.Event()
        self._pieces = iter(pieces)
        self._error = error
        self._waits = waits

    async def read(self) -> bytes:
        """Return the next piece."""
        for piece in self._pieces:
            self.taken_bytes += len(piece)
            return piece
        if self._error is not None:
            raise self._error
        if self._waits:
            self.is_waiting.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.was_cancelled = True
                raise
        return b""
