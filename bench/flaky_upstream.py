"""
A provider that fails at even intervals: the model's name says how and how often.

`cut-10` breaks every tenth connection within the head of its answer, `limited-20` answers every
twentieth request with 429 and `Retry-After: 1`. What follows a second dash keeps counts apart.

    python -m bench.flaky_upstream PORT
"""

import asyncio
import json
import sys
from collections import Counter

CRLF2 = b"\r\n\r\n"
MESSAGE = {"role": "assistant", "content": "a short benchmark answer"}
CHOICE = {"index": 0, "message": MESSAGE, "finish_reason": "stop"}
ANSWER = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "flaky"}
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
ERROR = {"message": "slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}


def build_reply(status: str, value: object, *headers: str) -> bytes:
    """Return the bytes of a JSON answer."""
    body = json.dumps(value).encode()
    fields = ["Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([f"HTTP/1.1 {status}", *fields]).encode() + CRLF2 + body


GOOD = build_reply("200 OK", {**ANSWER, "choices": [CHOICE], "usage": USAGE})
LIMITED = build_reply("429 Too Many Requests", {"error": ERROR}, "Retry-After: 1")


class Flaky:
    """Counts the requests for each model."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def answer(self, model: str) -> tuple[bytes, bool]:
        """Return what is sent for a request, and whether the connection breaks behind it."""
        kind, each, *_ = model.split("-")
        self._counts[model] += 1
        if self._counts[model] % int(each):
            return GOOD, False
        # Something must have come: a kept connection that ends without a word is no fault.
        return (LIMITED, False) if kind == "limited" else (GOOD[:20], True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = (await reader.readuntil(CRLF2)).lower()
                size = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
                ask = json.loads(await reader.readexactly(int(size)))
                data, breaks = self.answer(str(ask["model"]))
                writer.write(data)
                await writer.drain()
                if breaks:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side has left
        writer.close()


async def main() -> None:
    """Serve on the loopback port of the command line until a signal ends it."""
    server = await asyncio.start_server(Flaky().serve, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
