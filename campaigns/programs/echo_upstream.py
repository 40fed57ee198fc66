"""
A provider that answers each request with its tag, whole or in pieces, at once or a little later.

The tag says how: its number decides the framing and the pauses, so that a cancelled request can
be in any state when it is left. Run by campaigns as a process of its own; prints its ports, and
ends with its standard input.
"""

import asyncio
import socket
import sys

import uvloop

from campaigns.programs.flood_upstream import CRLF2, HEAD, build_chunk
from tests.faults.oracle import read_tag

PORTS = 4
"""A port has so many connections in a minute; those that were left count on."""
PIECES = 4
PAUSES_S = (0.0, 0.0, 0.001, 0.003)
"""Before the head, and between two pieces, by the tag's number."""


def build_body(tag: bytes) -> bytes:
    """Return what the whole answer to a tag holds."""
    return b" ".join([tag] * PIECES * 4)


def choose_pause_s(tag: bytes) -> float:
    """Return how long to wait before each part of the answer to a tag."""
    return PAUSES_S[int(tag[-8:]) // 2 % len(PAUSES_S)]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(CRLF2)).lower()
            size = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            tag = read_tag(await reader.readexactly(int(size)))
            body, pause_s = build_body(tag), choose_pause_s(tag)
            await asyncio.sleep(pause_s)
            if int(tag[-8:]) % 2:
                _write(writer, b"HTTP/1.1 200 OK\r\nContent-Length: %d" % len(body) + CRLF2 + body)
                continue
            _write(writer, HEAD)
            step = len(body) // PIECES
            for start in range(0, len(body), step):
                _write(writer, build_chunk(body[start : start + step]))
                await asyncio.sleep(pause_s)
            _write(writer, b"0" + CRLF2)
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.close()


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send, unless whoever asked has left meanwhile."""
    if writer.is_closing():
        raise ConnectionResetError
    writer.write(data)


async def main() -> None:
    servers = []
    for _ in range(PORTS):
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        servers.append(await asyncio.start_server(serve, sock=listener))
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
