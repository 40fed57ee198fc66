"""
A provider that answers `small` with a short stream and `flood` with one that never ends.

Run by campaigns as a process of its own; prints its port, and ends with its standard input.
"""

import asyncio
import json
import socket
import sys

CRLF2 = b"\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked" + CRLF2
EVENT_BYTES = 16_384
HELD_BYTES = 65_536


def build_event(content: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "up"}
    return b"data: " + json.dumps({**event, "choices": [choice]}).encode() + b"\n\n"


def build_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


EVENTS = [build_event("word "), build_event("word "), build_event("", "stop"), b"data: [DONE]\n\n"]
SMALL = HEAD + b"".join(build_chunk(event) for event in EVENTS) + b"0" + CRLF2
FLOOD = build_chunk(build_event("x" * EVENT_BYTES))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(CRLF2)).lower()
            size = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            body = await reader.readexactly(int(size))
            if b'"flood"' not in body:
                writer.write(SMALL)
                continue
            writer.write(HEAD)
            while True:
                writer.write(FLOOD)
                await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.close()


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    # Else each stream fills megabytes of the kernel's before it feels that it is paused.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, HELD_BYTES)
    server = await asyncio.start_server(serve, sock=listener)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
