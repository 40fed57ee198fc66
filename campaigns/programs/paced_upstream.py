"""
A provider that takes its time where it is asked to: the model's name says how it answers.

`paced-20-200` is a stream of 20 events, 200 ms apart; any other model is answered at once, with
its own name as the text. Run by campaigns as a process of its own; prints its port, and ends
with its standard input.
"""

import asyncio
import json
import socket
import sys
from collections.abc import Mapping
from typing import Any

from campaigns.programs.flood_upstream import CRLF2, HEAD, build_chunk, build_event

PACED = "paced"
WORD = build_chunk(build_event("word "))
END = build_chunk(build_event("", "stop")) + build_chunk(b"data: [DONE]\n\n") + b"0" + CRLF2


def read_pace(model: str) -> tuple[int, float] | None:
    """Return how many events a model streams and the seconds between two; None if it is quick."""
    kind, _, rest = model.partition("-")
    count, _, pause_ms = rest.partition("-")
    return (int(count), int(pause_ms) / 1000) if kind == PACED else None


def build_answer(ask: Mapping[str, Any]) -> bytes:
    """Return the whole answer of a quick model: its own name."""
    model = str(ask["model"])
    if ask.get("stream"):
        return HEAD + build_chunk(build_event(model)) + END
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": model},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model}
    body = json.dumps({**answer, "choices": [choice], "usage": usage}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + CRLF2 + body


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(CRLF2)).lower()
            size = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            ask = json.loads(await reader.readexactly(int(size)))
            pace = read_pace(str(ask["model"]))
            if pace is None:
                writer.write(build_answer(ask))
                continue
            writer.write(HEAD)
            for _ in range(pace[0]):
                writer.write(WORD)
                await asyncio.sleep(pace[1])
                await writer.drain()
            writer.write(END)
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.close()


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    server = await asyncio.start_server(serve, sock=listener)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
