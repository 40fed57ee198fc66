"""
The providers of the campaign of soak, which answer each request as its prompt says.

A process of its own. Prints its ports, two without TLS and two with; then each line of its
standard input is a command and is answered by one line of counts: `count`, or `release`, which
answers what was held. It ends with its standard input.
"""

import asyncio
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from itertools import cycle
from math import inf
from typing import cast

import msgspec
import uvloop

from campaigns.ground.soak.plan import (
    BUSY,
    CRLF2,
    FAILING,
    HELD,
    KINDS,
    LEAVING,
    STREAM_HEAD,
    Order,
    build_event,
    build_stream_end,
    build_whole,
    read_order,
)
from tests.fakes.tls_relay import TLS

IDLE_S = 1.0
"""So long a connection is kept: much shorter than the proxy keeps it, and not announced."""
SWEEP_S = 0.25
HASTY_AFTER_S = (0.0, 0.0005, 0.002, 0.01)
STREAM_END = build_stream_end()


class PortCounts(msgspec.Struct):
    """What one provider has seen since the start, and what it has now; of whole requests."""

    requests: int = 0
    """Of clients that stay."""
    leaving: int = 0
    """Of clients that leave."""
    refused: int = 0
    """Answered with 503: the proxy must see an error."""
    lost_new: int = 0
    """Reset or cut as the first of their connection: the proxy must see an error."""
    lost_pooled: int = 0
    """Reset or cut later than that: the proxy must take the connection for a stale one."""
    hasty: int = 0
    """Met by an unannounced close, which is a stale connection too."""
    hasty_leaving: int = 0
    """The same, of clients that leave."""
    abandoned: int = 0
    """Of clients that stay, and yet the proxy has closed the connection under them."""
    connections: int = 0
    held: int = 0

    @property
    def failed(self) -> int:
        """Requests that got nothing or 503 because they were to fail."""
        return self.refused + self.lost_new + self.lost_pooled


class Counts(msgspec.Struct):
    """What all have seen since the start."""

    ports: list[PortCounts]
    accepted: int = 0
    repeated: int = 0
    """Failed requests that were asked again and answered."""
    closed_idle: int = 0
    closed_hastily: int = 0
    late_s: float = 0.0
    """The longest that this process stood still: a connection is stale for a second only."""

    @property
    def failed(self) -> int:
        """Those of all ports."""
        return sum(each.failed for each in self.ports)


class Providers:
    """All ports."""

    def __init__(self, ports: int) -> None:
        self.counts = Counts([PortCounts() for _ in range(ports)])
        self.connections: set[Connection] = set()
        self.failed: set[str] = set()
        """Tags that have failed once, and never will again: one may be asked for three times."""
        self.repeated: set[str] = set()
        """Those of them that were asked for again."""
        self.hasty_after_s = cycle(HASTY_AFTER_S)
        self._sweep_at_s = inf

    def sweep(self) -> None:
        """Close what has been idle for too long, every now and then."""
        loop = asyncio.get_running_loop()
        for connection in list(self.connections):
            if connection.is_idle_since(loop.time() - IDLE_S):
                self.counts.closed_idle += 1
                connection.close()
        self.counts.late_s = max(self.counts.late_s, loop.time() - self._sweep_at_s)
        self._sweep_at_s = loop.time() + SWEEP_S
        loop.call_at(self._sweep_at_s, self.sweep)

    def release(self) -> None:
        """Answer what was held."""
        for connection in list(self.connections):
            connection.release()


class Connection(asyncio.Protocol):
    """One connection; one request after the other."""

    def __init__(self, providers: Providers, number: int) -> None:
        self._all = providers
        self._seen = providers.counts.ports[number]
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._wanted_bytes = 0
        self._order: Order | None = None
        self._has_begun = False
        """Something of the answer has gone out: closing now would be a broken answer."""
        self._was_used = False
        """It has had an answer: the proxy has pooled it."""
        self._is_closed = False
        """By us."""
        self._timer: asyncio.TimerHandle | None = None
        # A new one is not idle: its first request is on the way.
        self._idle_since_s = inf

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._all.connections.add(self)
        self._seen.connections += 1
        self._all.counts.accepted += 1

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._order is not None and not self._is_closed and self._order.trouble != LEAVING:
            self._seen.abandoned += 1
        self._let_go()
        self._all.connections.discard(self)
        self._seen.connections -= 1

    def data_received(self, data: bytes) -> None:
        if self._is_closed:
            return  # over TLS it still comes: what nobody answers was not seen
        self._received += data
        if not self._wanted_bytes:
            head, end, _ = self._received.partition(CRLF2)
            if not end:
                return
            size = bytes(head).lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._wanted_bytes = len(head) + len(CRLF2) + int(size)
        if len(self._received) >= self._wanted_bytes:
            order = read_order(bytes(self._received))
            self._received.clear()
            self._wanted_bytes = 0
            assert order is not None
            if order.trouble == LEAVING:
                self._seen.leaving += 1
            else:
                self._seen.requests += 1
            self._answer(order)

    def is_idle_since(self, at_s: float) -> bool:
        """Say whether nothing was asked since its last answer, which was before then."""
        return self._order is None and not self._received and self._idle_since_s < at_s

    def close(self) -> None:
        """Close it, without a word."""
        self._is_closed = True
        self._transport.close()

    def release(self) -> None:
        """Answer if it is held."""
        if self._order is not None and self._order.kind == HELD:
            self._give_whole()

    def _answer(self, order: Order) -> None:
        self._order = order
        self._has_begun = False
        if order.trouble in FAILING and order.tag not in self._all.failed:
            self._all.failed.add(order.tag)
            self._fail(order.trouble)
            return
        if order.trouble in FAILING and order.tag not in self._all.repeated:
            self._all.repeated.add(order.tag)
            self._all.counts.repeated += 1
        kind = KINDS[order.kind]
        if order.kind == HELD:
            self._seen.held += 1
        elif kind.events:
            self._has_begun = True
            self._transport.write(STREAM_HEAD)
            self._give_events(build_event(order), kind.events, kind.pause_s)
        else:
            self._after(kind.pause_s, self._give_whole)

    def _fail(self, trouble: str) -> None:
        if trouble == "busy":
            self._seen.refused += 1
            self._transport.write(BUSY)
            self._let_go()
            return
        if self._was_used:
            self._seen.lost_pooled += 1
        else:
            self._seen.lost_new += 1
        if trouble == "reset":
            self._is_closed = True
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self.close()

    def _give_events(self, event: bytes, left: int, pause_s: float) -> None:
        if left:
            self._transport.write(event)
            self._after(pause_s, lambda: self._give_events(event, left - 1, pause_s))
        else:
            self._transport.write(STREAM_END)
            self._end()

    def _give_whole(self) -> None:
        assert self._order is not None
        self._transport.write(build_whole(self._order))
        self._end()

    def _end(self) -> None:
        order = self._order
        self._let_go()
        if order is not None and order.trouble == "hasty":
            self._loop.call_later(next(self._all.hasty_after_s), self._close_hastily)

    def _close_hastily(self) -> None:
        """Close, also if the next request is here already: it has got no byte of an answer."""
        if self._has_begun or self._transport.is_closing():
            return
        self._all.counts.closed_hastily += 1
        if self._order is not None and self._order.trouble == LEAVING:
            self._seen.hasty_leaving += 1
        elif self._order is not None:
            self._seen.hasty += 1
        if self._timer is not None:
            self._timer.cancel()
        self.close()

    def _let_go(self) -> None:
        if self._order is not None and self._order.kind == HELD:
            self._seen.held -= 1
        self._order = None
        self._has_begun = False
        self._was_used = True
        self._idle_since_s = self._loop.time()

    def _after(self, pause_s: float, then: Callable[[], None]) -> None:
        self._timer = self._loop.call_later(pause_s, then)


async def main() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    loop = asyncio.get_running_loop()
    contexts = (None, None, context, context)
    providers = Providers(len(contexts))
    ports = []
    for number, each in enumerate(contexts):
        server = await loop.create_server(
            lambda number=number: Connection(providers, number),
            "127.0.0.1",
            0,
            ssl=each,
            backlog=4096,
        )
        ports.append(server.sockets[0].getsockname()[1])
    providers.sweep()
    print(*ports, flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := (await commands.readline()).decode().strip():
        if line == "release":
            providers.release()
        print(msgspec.json.encode(providers.counts).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
