"""
Plays cases to a transport over real sockets, and writes down what the pipeline would see.

One server serves all cases: what it does with a request stands in the request's body, which is
the number of a case, or a tag that it answers rightly. Server and transport share a loop, and a
few turns of it stand for "the other side has seen that".
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import cast

from msgspec import Struct

from proxy.domain.catalog import Provider
from proxy.domain.errors import ProxyError
from proxy.domain.exchange import ResponseHead
from proxy.upstream.base import Transport
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.resolver import Resolver
from tests.fakes.proxy_server import build_provider
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import LOOPBACK, build_request, take_turns
from tests.upstream.differential.responses import Case

HANG_S = 20.0
SEEN_TURNS = 3
SETTLED_TURNS = 12
LARGE_BYTES = 20_000


class Side(Struct, frozen=True):
    """One of the transports that are compared; `charset` is what it decodes headers by."""

    name: str
    make: Callable[[Provider, Resolver, ConnectionCap | None], Transport]
    charset: str


class Events(Struct, frozen=True):
    """
    One case as the pipeline sees it.

    `refusal` is what `open` raised, `ending` how the body ended: "" for neither, `complete`, or
    the error's class and code. `waited` says that the transport was still waiting for more when
    all had been sent and settled; `sent` how often it has sent the request. `reused` says that
    the next request came over the same connection; whether that one was answered rightly is no
    event but must always be so: `after` says what it got. Headers are as bytes: which characters
    bytes beyond ASCII stand for is nobody's business, and transports differ in it.
    """

    refusal: str = ""
    status: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    ending: str = ""
    waited: bool = False
    sent: int = 0
    reused: bool = False
    after: str = "right"


class _Play:
    """One case while it is being played."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.sent = 0
        self.waited = False
        self.is_told = False
        """The transport has told the end of its answer."""
        self.over = asyncio.Event()
        """The server has done all that the case says."""
        self.connection: _Connection | None = None
        self.next_connection: _Connection | None = None


class _Connection(asyncio.Protocol):
    """One connection to the server."""

    def __init__(self, server: "CaseServer") -> None:
        self._server = server
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.transports.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._server.transports.discard(self._transport)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) >= size:
            self._buffer = rest[size:]
            self._answer(rest[:size].decode())

    def _answer(self, tag: str) -> None:
        what, _, number = tag.partition(" ")
        play = self._server.plays[int(number)]
        if what == "case":
            play.sent += 1
            play.connection = self
            self._task = asyncio.ensure_future(self._play(play))
            return
        if what == "after":
            play.next_connection = self
        if self._transport is not None:
            body = tag.encode()
            extra = b"Connection: close\r\n" if what == "after" else b""
            head = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (extra, len(body))
            self._transport.write(head + body)

    async def _play(self, play: _Play) -> None:
        turns = self._server.patience
        for piece in play.case.pieces:
            if self._transport is None:
                break
            self._transport.write(piece)
            await take_turns(SEEN_TURNS * turns)
            while self._transport is not None and self._transport.get_write_buffer_size():
                await take_turns(1)
        large = len(play.case.data) // LARGE_BYTES
        await take_turns((SETTLED_TURNS + SEEN_TURNS * large) * turns)
        if play.case.ending == "stay":
            # Whoever still waits would wait for ever.
            play.waited = not play.is_told
            if play.waited and self._transport is not None:
                self._transport.close()
        elif self._transport is not None:
            if play.case.ending == "reset":
                sock = self._transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._transport.abort()
            else:
                self._transport.close()
        play.over.set()


class CaseServer:
    """A running server: where it is, and what it plays; more patience is more turns of the loop."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.port = 0
        self.plays: dict[int, _Play] = {}
        self.transports: set[asyncio.Transport] = set()


@asynccontextmanager
async def serving_cases(patience: int = 1) -> AsyncIterator[CaseServer]:
    """Run a server of cases; all its connections are cut when the block ends."""
    server = CaseServer(patience)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: _Connection(server), "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for transport in list(server.transports):
            transport.abort()
        await listener.wait_closed()


async def play_case(server: CaseServer, side: Side, case: Case) -> Events:
    """Play one case to a transport of its own, and return what it told."""
    transport = side.make(build_provider(LOOPBACK), Resolver(), None)
    try:
        async with asyncio.timeout(HANG_S):
            return await _play_case(server, transport, case, side.charset)
    except TimeoutError:
        return Events(after="nothing: the transport hangs")
    finally:
        await transport.close()
        del server.plays[case.number]


async def _play_case(server: CaseServer, transport: Transport, case: Case, charset: str) -> Events:
    play = server.plays[case.number] = _Play(case)
    if case.is_warm:
        assert await _ask_rightly(server, transport, f"before {case.number}") == "right"
    sink = RecordingSink()
    head: ResponseHead | None = None
    refusal = ""
    try:
        opened = await transport.open(build_request(server.port, b"case %d" % case.number), sink)
    except ProxyError as error:
        refusal = show_ending(error)
    else:
        head = opened.head
        opened.resume()
        await sink.over.wait()
    play.is_told = True
    await play.over.wait()
    await take_turns(SEEN_TURNS * server.patience)
    after = await _ask_rightly(server, transport, f"after {case.number}")
    return Events(
        refusal=refusal,
        status=0 if head is None else head.status,
        headers=() if head is None else read_headers(head.headers, charset),
        body=sink.body,
        ending=" ".join(show_ending(ending) for ending in sink.endings),
        waited=play.waited,
        sent=play.sent,
        reused=play.connection is play.next_connection,
        after=after,
    )


async def _ask_rightly(server: CaseServer, transport: Transport, tag: str) -> str:
    """Send a request that the server answers rightly; return `right`, or what came instead."""
    sink = RecordingSink()
    try:
        (await transport.open(build_request(server.port, tag.encode()), sink)).resume()
    except ProxyError as error:
        return show_ending(error)
    await sink.over.wait()
    is_right = sink.body == tag.encode() and sink.endings == [None]
    return "right" if is_right else f"{sink.body[:80]!r} {sink.endings}"


def read_headers(headers: Mapping[str, str], charset: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return each name in lower case with the value that is found under it."""
    names = {name.lower() for name in headers}
    return tuple(
        sorted(
            (
                name.encode(charset, "surrogateescape"),
                headers[name].encode(charset, "surrogateescape"),
            )
            for name in names
        )
    )


def show_ending(ending: ProxyError | None) -> str:
    """Return how an answer ended: `complete`, or the error's class and code."""
    return "complete" if ending is None else f"{type(ending).__name__}:{ending.code}"
