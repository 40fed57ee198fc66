"""A sink that writes down what a transport pushes, and lets a test wait for it."""

import asyncio

from proxy.domain.errors import ProxyError
from tests.simulator.asking import turns_until


class RecordingSink:
    """Keeps all calls; `finished` is set by `end()` and `fail()`."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.error: ProxyError | None = None
        self.endings = 0
        self.finished = asyncio.Event()

    @property
    def body(self) -> bytes:
        """Everything that has come so far."""
        return b"".join(self.chunks)

    def data(self, chunk: bytes) -> None:
        """Keep a chunk; nothing may come after the end."""
        assert chunk
        assert not self.finished.is_set()
        self.chunks.append(chunk)

    def end(self) -> None:
        """Note the good end."""
        self.endings += 1
        self.finished.set()

    def fail(self, error: ProxyError) -> None:
        """Note the bad end."""
        self.endings += 1
        self.error = error
        self.finished.set()

    async def wait_chunks(self, count: int) -> None:
        """Give the loop its turns until `count` chunks have come."""
        await turns_until(lambda: len(self.chunks) >= count)

    async def wait_events(self, count: int) -> None:
        """Give the loop its turns until `count` whole events have come, however split."""
        await turns_until(lambda: self.body.count(b"\n\n") >= count)
