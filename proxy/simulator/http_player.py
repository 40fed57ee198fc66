"""
Plays plans over HTTP: plain ones through aiohttp, broken ones by writing to the socket.

aiohttp would never send what the broken ones need (half a chunk, a junk status line), so
those take the connection away from it and never give it back.
"""

import asyncio
import http
import socket
import struct

from aiohttp import web

from proxy.simulator.ledger import Entry, Outcome
from proxy.simulator.plan import (
    Again,
    Cut,
    Data,
    End,
    Framing,
    Head,
    Plan,
    Raw,
    Reset,
    Stall,
    Step,
    Wait,
)

_LINGER_NONE = struct.pack("ii", 1, 0)
_WRITES_PER_TURN = 64


async def play_plain(plan: Plan, request: web.Request, entry: Entry) -> web.StreamResponse:
    """Send an answer that is whole HTTP, and return it when the last byte is out."""
    response: web.StreamResponse | None = None
    number = written = 0
    while number < len(plan.steps):
        step = plan.steps[number]
        number += 1
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Head):
            response = await _send_head(step, plan.steps[number:], request)
            entry.status = step.status
        elif isinstance(step, Again):
            number -= step.back + 1
        elif response is not None and isinstance(step, Data):
            await response.write(step.chunk)
            _count(entry, step)
            written += 1
            # A write returns at once while buffers have room: let others have their turn.
            if written % _WRITES_PER_TURN == 0:
                await asyncio.sleep(0)
        elif response is not None and isinstance(step, End):
            await response.write_eof()
    if response is None:
        raise ValueError("a plain plan begins with a head")
    return response


async def play_broken(plan: Plan, request: web.Request, entry: Entry) -> Outcome:
    """Write the plan to the socket as it is; the connection is over afterwards."""
    transport = request.transport
    if transport is None:
        return "client_closed"
    # With no allowance, `drain` waits until the kernel has everything: a reset comes after it.
    transport.set_write_buffer_limits(0)
    framing: Framing = "close"
    for number, step in enumerate(plan.steps):
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Head):
            framing = step.framing
            entry.status = step.status
            is_last_answer = not isinstance(plan.steps[-1], Stall)
            transport.write(_encode_head(step, closes=framing == "close" or is_last_answer))
        elif isinstance(step, Data):
            transport.write(_frame(step.chunk) if framing == "chunked" else step.chunk)
            _count(entry, step)
        elif isinstance(step, Raw):
            transport.write(step.wire)
            entry.bytes_sent += len(step.wire)
        elif isinstance(step, End):
            transport.write(b"0\r\n\r\n" if framing == "chunked" else b"")
        elif isinstance(step, Stall):
            await asyncio.Event().wait()
        elif isinstance(step, Reset):
            await request.writer.drain()
            _reset(transport)
            return "broken"
        elif isinstance(step, Cut):
            await request.writer.drain()
            transport.close()
            return "broken"
        await request.writer.drain()
        if number % _WRITES_PER_TURN == 0:
            await asyncio.sleep(0)
    return "completed"


def reset_connection(request: web.Request) -> None:
    """Break the request's connection with a TCP reset."""
    if request.transport is not None:
        _reset(request.transport)


async def _send_head(
    head: Head, rest: tuple[Step, ...], request: web.Request
) -> web.StreamResponse:
    response = web.StreamResponse(status=head.status)
    for name, value in head.headers:
        response.headers.add(name, value)
    if len(rest) >= 2 and isinstance(rest[0], Data) and isinstance(rest[1], End):
        response.content_length = len(rest[0].chunk)
    await response.prepare(request)
    return response


def _encode_head(head: Head, *, closes: bool) -> bytes:
    try:
        reason = http.HTTPStatus(head.status).phrase
    except ValueError:
        reason = "Unknown"
    lines = [f"HTTP/1.1 {head.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in head.headers]
    if head.framing == "chunked":
        lines.append("transfer-encoding: chunked")
    elif head.framing == "length":
        lines.append(f"content-length: {head.content_length}")
    if closes:
        lines.append("connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _frame(chunk: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(chunk), chunk)


def _reset(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None:
        # No lingering: the kernel drops the connection with RST instead of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
    transport.abort()


def _count(entry: Entry, data: Data) -> None:
    entry.bytes_sent += len(data.chunk)
    entry.events_sent += data.events
