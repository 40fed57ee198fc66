"""A server that speaks Redis's protocol and answers what a test says, wrong things too."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import hiredis

Words = list[bytes]
FINE: Mapping[bytes, bytes] = {
    b"PING": b"+PONG\r\n",
    b"EVAL": b"+OK\r\n",
    b"CONFIG": b"*0\r\n",
    b"AUTH": b"+OK\r\n",
    b"SELECT": b"+OK\r\n",
}
"""What a Redis that is well answers while a link joins."""


@asynccontextmanager
async def scripted_redis(answer: Callable[[Words], bytes | None]) -> AsyncIterator[str]:
    """Answer each command by a function, which closes the connection with None; yield the URL."""
    open_ones: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_ones.add(task)
        parser = hiredis.Reader(notEnoughData=...)
        try:
            while received := await reader.read(65536):
                parser.feed(received)
                while (words := parser.gets()) is not ...:
                    assert isinstance(words, list)
                    if (reply := answer(words)) is None:
                        return
                    writer.write(reply)
        except ConnectionError:
            pass  # who was connected has had enough
        finally:
            writer.close()
            open_ones.discard(task)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        if open_ones:
            await asyncio.wait(open_ones)


def answering(**replies: Any) -> Callable[[Words], bytes | None]:
    """Answer by the command's name, and what is not named as a Redis that is well."""
    table = {**FINE, **{name.encode(): reply for name, reply in replies.items()}}
    return lambda words: table.get(words[0], b"-ERR unknown command\r\n")
