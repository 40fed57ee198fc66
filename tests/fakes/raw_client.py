"""A client on a raw socket: it sends exactly the bytes of a test and shows what came back."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from tests.fakes.proxy_server import KEY, build_chat

CHAT: bytes = msgspec.json.encode(build_chat())
LINE = "POST /v1/chat/completions HTTP/1.1"


def build_head(
    *fields: str, content_type: str | None = "application/json", line: str = LINE
) -> bytes:
    """Return the head of a request with a key, and with these fields besides."""
    lines = [line, "Host: proxy.test", f"Authorization: Bearer {KEY}"]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    return "\r\n".join([*lines, *fields, "", ""]).encode("latin-1")


def build_request(
    body: bytes = CHAT,
    *fields: str,
    content_type: str | None = "application/json",
    line: str = LINE,
) -> bytes:
    """Return a whole request with a Content-Length."""
    length = f"Content-Length: {len(body)}"
    return build_head(length, *fields, content_type=content_type, line=line) + body


class RawAnswer:
    """One answer as it came."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        """By their names in lower case."""
        self.body = body

    @property
    def json(self) -> Any:
        """The decoded body."""
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error that it tells."""
        error: dict[str, Any] = self.json["error"]
        return error


class RawClient:
    """One connection to a server on loopback."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes as they are; a server that has closed gets none."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            return

    async def read_head(self) -> tuple[int, dict[str, str]]:
        """Return status and headers of the next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1")
        line, *fields = head.split("\r\n")
        version, status, *_ = line.split(" ")
        assert version in ("HTTP/1.1", "HTTP/1.0"), line
        pairs = [field.partition(": ") for field in fields]
        return int(status), {name.lower(): value for name, _, value in pairs}

    async def read_answer(self, *, is_to_head: bool = False) -> RawAnswer:
        """
        Return the next answer; its body has a Content-Length, or there is none.

        An answer to HEAD has none, whatever length it tells.
        """
        status, headers = await self.read_head()
        size_bytes = 0 if is_to_head else int(headers.get("content-length", "0"))
        return RawAnswer(status, headers, await self.reader.readexactly(size_bytes))

    async def read_answers(self) -> list[RawAnswer]:
        """Return all answers up to the end of the connection, which must be a clean one."""
        answers = []
        while not self.reader.at_eof():
            try:
                answers.append(await self.read_answer())
            except asyncio.IncompleteReadError as error:
                assert error.partial == b"", error.partial
                break
        return answers

    async def read_end(self) -> bytes:
        """Return what still comes until the server ends the connection."""
        return await self.reader.read()


@asynccontextmanager
async def connecting(port: int, data: bytes = b"") -> AsyncIterator[RawClient]:
    """Open a connection, send bytes, and close it in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        yield RawClient(reader, writer)
    finally:
        writer.close()


async def exchange(port: int, data: bytes) -> list[RawAnswer]:
    """Send bytes on a new connection and return the answers until the server ends it."""
    async with connecting(port, data) as client:
        return await client.read_answers()
