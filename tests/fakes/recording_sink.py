"""A BodySink that writes down what it is told."""

import asyncio

from proxy.domain.errors import ProxyError


class RecordingSink:
    """Collects a body and how it ended; `over` is set by the end."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.endings: list[ProxyError | None] = []
        self.over = asyncio.Event()
        self.got_data = asyncio.Event()

    @property
    def body(self) -> bytes:
        """All bytes so far."""
        return b"".join(self.chunks)

    def data(self, chunk: bytes) -> None:
        """Take bytes."""
        assert chunk
        assert not self.endings
        self.chunks.append(chunk)
        self.got_data.set()

    def end(self) -> None:
        """Take note of a good end."""
        self.endings.append(None)
        self.over.set()

    def fail(self, error: ProxyError) -> None:
        """Take note of a bad end."""
        self.endings.append(error)
        self.over.set()
