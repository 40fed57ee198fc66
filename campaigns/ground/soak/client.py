"""Clients on bare connections, lean enough that thousands of requests a second can be judged."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from msgspec import Struct

from campaigns.ground.soak.plan import CRLF2

CHUNKS_END = b"\r\n0\r\n\r\n"
CRLF = b"\r\n"


class Ask(Struct, eq=False):
    """
    One request on its way; `on_done` is called once, with status and body or with what went wrong.

    A client that leaves is gone so many bytes of answer or seconds after it has asked, whichever
    comes first, or with so much of its request unsent.
    """

    request: bytes
    on_done: "Callable[[Ask, int, bytes, str | None], None]"
    begun_s: float
    closes: bool = False
    leaves_after_bytes: int | None = None
    leaves_after_s: float | None = None
    sends_bytes: int | None = None

    @property
    def leaves(self) -> bool:
        """Whether the client does not stay to the end."""
        return self.leaves_after_s is not None


class Connection(asyncio.Protocol):
    """One connection to the service, with one request at a time."""

    def __init__(self, idle: "deque[Connection]", ask: Ask) -> None:
        self._idle = idle
        self._ask: Ask | None = ask
        self._received = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._whole_bytes = 0
        """0 while the answer comes in chunks."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._ask is not None:
            self._send(self._ask)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        if self._ask is not None:
            how = "closed" if error is None else f"broken ({type(error).__name__})"
            self._end(0, b"", f"{how} after {len(self._received)} bytes of its answer")

    def data_received(self, data: bytes) -> None:
        self._received += data
        ask = self._ask
        if ask is None:
            self._transport.abort()
            return
        if ask.leaves_after_bytes is not None and len(self._received) >= ask.leaves_after_bytes:
            self._leave()
        elif self._is_whole():
            status, body = read_answer(bytes(self._received), self._head_bytes)
            self._received.clear()
            self._head_bytes = 0
            if ask.closes:
                self._transport.close()
            else:
                self._idle.append(self)
            self._end(status, body, None)

    def ask(self, ask: Ask) -> None:
        """Send one more request."""
        self._ask = ask
        self._send(ask)

    def close(self) -> None:
        """Close it."""
        self._transport.close()

    def abort(self) -> None:
        """Close it in the middle of an answer."""
        self._transport.abort()

    def _send(self, ask: Ask) -> None:
        self._transport.write(ask.request[: ask.sends_bytes])
        if ask.leaves_after_s is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(ask.leaves_after_s, self._leave)

    def _leave(self) -> None:
        if self._ask is not None:
            self._transport.abort()
            self._end(0, b"", None)

    def _end(self, status: int, body: bytes, complaint: str | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ask, self._ask = self._ask, None
        if ask is not None:
            ask.on_done(ask, status, body, complaint)

    def _is_whole(self) -> bool:
        if not self._head_bytes:
            end = self._received.find(CRLF2)
            if end < 0:
                return False
            self._head_bytes = end + len(CRLF2)
            head = bytes(self._received[:end]).lower()
            size = head.partition(b"\r\ncontent-length:")[2].partition(CRLF)[0]
            self._whole_bytes = self._head_bytes + int(size) if size else 0
        if self._whole_bytes:
            return len(self._received) >= self._whole_bytes
        return self._received.endswith(CHUNKS_END)


def read_answer(received: bytes, head_bytes: int) -> tuple[int, bytes]:
    """Return status and body of a whole answer, without the framing of its chunks."""
    status, rest = int(received[9:12]), received[head_bytes:]
    if b"\r\ntransfer-encoding: chunked" not in received[:head_bytes].lower():
        return status, rest
    parts: list[bytes] = []
    position = 0
    while True:
        line_end = rest.index(CRLF, position)
        size = int(rest[position:line_end], 16)
        if not size:
            return status, b"".join(parts)
        begin = line_end + len(CRLF)
        parts.append(rest[begin : begin + size])
        position = begin + size + len(CRLF)
