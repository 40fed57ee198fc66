"""
An upstream that does everything wrong, at any byte of its answer; over `raw_upstream.py`.

An answer is bytes: `build_stream` and `build_json` make good ones, `EVENT_FAULTS` spoil the
events of a stream, `BAD_HEADS` are answers whose head is the fault. A `Deed` says what is done
with an answer on the wire: `tell` it whole, `cut`, `reset` or `stall` it after any number of
bytes, `drip` it, `flood` with it. `FaultUpstream` is the script that does one deed for each
request. TAG in an answer becomes the tag of the request that it answers (see `oracle.py`).
"""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from socket import socket
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from proxy.domain.catalog import Deployment, Group
from proxy.domain.settings import Clocks
from tests.fakes.proxy_server import ANSWER, DONE, USAGE, ProxyServer, build_chunk, proxying
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.faults.oracle import UPSTREAM_SECRET, Judge, judging, mark_tag, read_tag

TAG = b"tag-00000000"
CERTIFICATES = Path(__file__).parents[1] / "fakes" / "tls"

Framing = Literal["chunked", "length", "close"]
Deed = Callable[[UpstreamConnection, bytes], Awaitable[None]]
"""What is done with one request, whose tag it is given; a closed connection is its last."""

_ID = TAG.decode()
"""Also of each event, so that none can be taken for another answer's."""
ROLE = build_chunk("", id=_ID).replace(b'"content":""', b'"role":"assistant"')
CONTENT = build_chunk(f"{_ID} says", id=_ID)
MORE = build_chunk(" more", id=_ID)
FINISH = build_chunk(finish="stop", id=_ID)
USAGE_EVENT = build_chunk(id=_ID, choices=[], usage=USAGE)
GOOD_EVENTS = (ROLE, CONTENT, MORE, FINISH, USAGE_EVENT, DONE)
ERROR_EVENT = (
    b'data: {"error":{"message":"%b","type":"server_error"}}\n\n' % UPSTREAM_SECRET.encode()
)


def build_answer(content: str = f"{TAG.decode()} says hello", **fields: Any) -> dict[str, Any]:
    """Return a good whole answer with the tag in it."""
    message = {"role": "assistant", "content": content}
    return {
        **ANSWER,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        **fields,
    }


def build_reply(
    body: bytes,
    media_type: str,
    framing: Framing = "length",
    status: int = 200,
    *headers: str,
) -> bytes:
    """Return the bytes of an HTTP answer; chunked, each line of the body is a chunk."""
    fields = [f"HTTP/1.1 {status} Status", f"Content-Type: {media_type}", *headers]
    if framing == "chunked":
        fields.append("Transfer-Encoding: chunked")
        lines = body.splitlines(keepends=True)
        body = b"".join(b"%x\r\n%b\r\n" % (len(line), line) for line in lines) + b"0\r\n\r\n"
    elif framing == "length":
        fields.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*fields, "", ""]).encode("latin-1") + body


def build_stream(
    events: Sequence[bytes] = GOOD_EVENTS, framing: Framing = "chunked", *headers: str
) -> bytes:
    """Return the bytes of a streamed answer of these events."""
    return build_reply(b"".join(events), "text/event-stream", framing, 200, *headers)


def build_json(
    value: Any = None, framing: Framing = "length", status: int = 200, *headers: str
) -> bytes:
    """Return the bytes of a JSON answer, a good one if no value is given."""
    body = msgspec.json.encode(build_answer() if value is None else value)
    return build_reply(body, "application/json", framing, status, *headers)


def build_secret_error(message: str = UPSTREAM_SECRET, **fields: Any) -> dict[str, Any]:
    """Return an error body whose words nobody but the provider may know."""
    return {"error": {"message": message, "type": "server_error", **fields}}


class FaultUpstream:
    """
    A script for `open_raw_upstream`: one deed for each request, the last one for ever.

    With `source` its answers are marked as those of the provider of that number (`oracle.py`).
    """

    def __init__(self, *deeds: Deed, source: int = 0) -> None:
        self._deeds = list(deeds)
        self._source = source
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections: list[UpstreamConnection] = []

    async def __call__(self, connection: UpstreamConnection) -> None:
        self.connections.append(connection)
        while not connection.closed_by_peer.is_set():
            try:
                request = await connection.read_request()
            except (asyncio.IncompleteReadError, ConnectionError):
                # Tells those who wait for it that the proxy has closed this connection.
                await connection.watch()
                break
            self.requests.append(request)
            deed = self._deeds.pop(0) if len(self._deeds) > 1 else self._deeds[0]
            await deed(connection, mark_tag(read_tag(request[2]), self._source))


@asynccontextmanager
async def judging_faults(
    *deeds: Deed, clocks: Clocks | None = None, tls: ssl.SSLContext | None = None, **settings: Any
) -> AsyncIterator[tuple[Judge, FaultUpstream]]:
    """Serve the model `m` of an upstream that does these deeds, under the oracle."""
    script = FaultUpstream(*deeds)
    async with (
        open_raw_upstream(script, tls) as upstream,
        judging(proxying(upstream.url, clocks=clocks, **settings)) as judge,
    ):
        yield judge, script


def give_time(server: ProxyServer) -> None:
    """Have the one provider of a server from now on all the time that it needs."""
    before = server.runtime.snapshot
    (provider,) = before.providers.values()
    patient = replace(provider, clocks=Clocks())
    groups = {"m": Group("m", (Deployment(patient, "m"),))}
    server.runtime.snapshot = replace(before, providers={patient.name: patient}, groups=groups)


def build_good(stream: bool) -> bytes:
    """Return a good answer, streamed or whole."""
    return build_stream() if stream else build_json()


def tell(data: bytes) -> Deed:
    """Return the deed of sending an answer whole and staying for the next request."""

    async def deed(connection: UpstreamConnection, tag: bytes) -> None:
        await connection.write(data.replace(TAG, tag))

    return deed


def cut(data: bytes, at: int | None = None) -> Deed:
    """Return the deed of closing the connection after `at` bytes, or behind the last."""

    async def deed(connection: UpstreamConnection, tag: bytes) -> None:
        await connection.write(data.replace(TAG, tag)[:at])
        connection.close()
        await connection.watch()

    return deed


def reset(data: bytes, at: int | None = None) -> Deed:
    """Return the deed of resetting the connection after `at` bytes, or behind the last."""

    async def deed(connection: UpstreamConnection, tag: bytes) -> None:
        await connection.write(data.replace(TAG, tag)[:at])
        connection.reset()
        connection.closed_by_peer.set()

    return deed


def stall(data: bytes, at: int | None = None) -> Deed:
    """Return the deed of falling silent after `at` bytes, until the proxy gives up."""

    async def deed(connection: UpstreamConnection, tag: bytes) -> None:
        await connection.write(data.replace(TAG, tag)[:at])
        await connection.watch()

    return deed


STRIKES: dict[str, Callable[[bytes, int | None], Deed]] = {
    "cut": cut,
    "reset": reset,
    "stall": stall,
}
"""What can happen to an answer after any of its bytes."""


def drip(data: bytes, at: int, pace_s: float) -> Deed:
    """Return the deed of sending `at` bytes at once and then one byte each `pace_s`, for ever."""

    async def deed(connection: UpstreamConnection, tag: bytes) -> None:
        answer = data.replace(TAG, tag)
        await connection.write(answer[:at])
        watcher = asyncio.create_task(connection.watch())
        try:
            rest = answer[at:]
            while rest and not (await asyncio.wait([watcher], timeout=pace_s))[0]:
                await connection.write(rest[:1])
                rest = rest[1:]
            await watcher
        finally:
            watcher.cancel()

    return deed


def flood(data: bytes, again: bytes, at_most: int = 1 << 30) -> Deed:
    """Return the deed of sending `data` and then `again` over and over, until told to stop."""

    async def deed(connection: UpstreamConnection, tag: bytes) -> None:
        await connection.write(data.replace(TAG, tag))
        block = again.replace(TAG, tag) * max(1, 16_384 // len(again))
        sent_bytes = 0
        while sent_bytes < at_most:
            await connection.write(block)
            sent_bytes += len(block)
            # Leave the loop to the proxy, which is in this process too.
            await asyncio.sleep(0)
        await connection.watch()

    return deed


class Gate:
    """An answer that waits for a test: `begun` is set when it is asked for, `go` lets it go."""

    def __init__(self, data: bytes, start: bytes = b"") -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self._data = data
        self._start = start

    async def __call__(self, connection: UpstreamConnection, tag: bytes) -> None:
        """Be the deed: `start` goes out at once, the rest when it may, if anybody still waits."""
        if self._start:
            await connection.write(self._start.replace(TAG, tag))
        self.begun.set()
        watcher = asyncio.create_task(connection.watch())
        going = asyncio.create_task(self.go.wait())
        try:
            await asyncio.wait([watcher, going], return_when=asyncio.FIRST_COMPLETED)
            if not watcher.done():
                await connection.write(self._data.replace(TAG, tag))
                connection.close()
                await watcher
        finally:
            watcher.cancel()
            going.cancel()


def split(data: bytes) -> Deed:
    """Return the deed of sending every byte alone."""

    async def deed(connection: UpstreamConnection, tag: bytes) -> None:
        for byte in data.replace(TAG, tag):
            await connection.write(bytes([byte]))
            await asyncio.sleep(0)

    return deed


def take_turns(deeds: Sequence[Deed], ahead: int = 0) -> Deed:
    """Return the deed that is another one for each tag, however often one is asked with."""

    async def deed(connection: UpstreamConnection, tag: bytes) -> None:
        await deeds[(int(tag[5:]) + ahead) % len(deeds)](connection, tag)

    return deed


EventFault = Callable[[Sequence[bytes], int], list[bytes]]

EVENT_FAULTS: dict[str, EventFault] = {
    "cut after event": lambda events, n: list(events[:n]),
    "duplicate event": lambda events, n: [*events[:n], events[n], *events[n:]],
    "drop terminal event": lambda events, n: [each for each in events if each != DONE],
    "error as event": lambda events, n: [*events[:n], ERROR_EVENT, *events[n:]],
    "junk as event": lambda events, n: [*events[:n], b"data: {oops\n\n", *events[n:]],
    "invalid utf-8 outside strings": lambda events, n: [
        *events[:n],
        b"data: {\xff}\n\n",
        *events[n:],
    ],
    "invalid utf-8 in a string": lambda events, n: [
        *events[:n],
        build_chunk("broken ? text").replace(b"?", b"\xff\xc3"),
        *events[n:],
    ],
    "oversize event": lambda events, n: [*events[:n], build_chunk("x" * 100_000), *events[n:]],
    "oversize line": lambda events, n: [*events[:n], b"data: " + b"x" * 100_000, *events[n:]],
}
"""What can be wrong with the events of a stream; `n` is where."""

_FEW = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_SMALL = msgspec.json.encode(build_answer())
_REST = f"Content-Length: {len(_SMALL)}\r\n\r\n".encode() + _SMALL

BAD_HEADS: dict[str, bytes] = {
    "junk": b"\x16\x03\x01 not HTTP at all\r\n\r\n",
    "junk status line": b"HTTP/1.1 abc OK\r\n" + _REST,
    "status of four digits": b"HTTP/1.1 2000 OK\r\n" + _REST,
    "no version": b"200 OK\r\n" + _REST,
    "http/0.9": _SMALL,
    "long status line": b"HTTP/1.1 200 " + b"O" * 20_000 + b"\r\n" + _REST,
    "long header": f"{_FEW}X-Long: {'x' * 20_000}\r\n".encode() + _REST,
    "endless header": f"{_FEW}X-Long: ".encode() + b"x" * 300_000,
    "many headers": (_FEW + "".join(f"X-{n}: y\r\n" for n in range(200))).encode() + _REST,
    "header without a colon": f"{_FEW}nonsense\r\n".encode() + _REST,
    "space before the colon": f"{_FEW}Content-Length : 3\r\n".encode() + _REST,
    "nul in a header": f"{_FEW}X-A: a\0b\r\n".encode() + _REST,
    "1xx flood": b"HTTP/1.1 100 Continue\r\n\r\n" * 500 + _FEW.encode() + _REST,
    "two lengths": f"{_FEW}Content-Length: 1\r\n".encode() + _REST,
    "negative length": f"{_FEW}Content-Length: -5\r\n\r\n".encode() + _SMALL,
    "length and chunks": f"{_FEW}Transfer-Encoding: chunked\r\n".encode() + _REST,
}
"""Answers whose head is what nobody may accept."""


def build_gzip(events: Sequence[bytes] = GOOD_EVENTS) -> bytes:
    """Return a good stream, compressed although nobody asked for it."""
    # The tag must be found in the bytes on the wire: stored, not packed.
    return build_encoded(gzip.compress(b"".join(events), 0), "gzip")


def build_encoded(
    body: bytes, encoding: str, media_type: str = "text/event-stream", status: int = 200
) -> bytes:
    """Return an answer whose body claims to be encoded."""
    return build_reply(body, media_type, "length", status, f"Content-Encoding: {encoding}")


@asynccontextmanager
async def open_black_hole(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Give a port of this machine that answers no SYN: its queue of connections is full."""
    loop = asyncio.get_running_loop()
    with socket() as listener:
        listener.bind((host, port))
        listener.listen(0)
        fillers: list[socket] = []
        try:
            while True:
                filler = socket()
                filler.setblocking(False)
                fillers.append(filler)
                try:
                    async with asyncio.timeout(0.1):
                        await loop.sock_connect(filler, listener.getsockname())
                except TimeoutError:
                    break
            yield listener.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


@asynccontextmanager
async def open_canary() -> AsyncIterator[tuple[int, list[int]]]:
    """Give a port to which nobody may ever connect, and the list of those who did."""
    seen: list[int] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(1)
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        await server.wait_closed()


def build_server_tls(certificate: str = "server.pem") -> ssl.SSLContext:
    """Return what a server needs to show a certificate of `tests/fakes/tls`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / certificate, CERTIFICATES / "server.key")
    return context
