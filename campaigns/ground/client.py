"""A client on a bare connection, which tells exactly how a request has failed."""

import asyncio
import select

from msgspec import Struct

from tests.end_to_end.served import KEY

CRLF = b"\r\n"
CRLF2 = b"\r\n\r\n"
CONNECT_WITHIN_S = 10.0


class Broken(Exception):
    """A request without a whole answer; `port` is the client's own end of the connection."""

    def __init__(self, what: str, port: int) -> None:
        super().__init__(what)
        self.what = what
        self.port = port


class Answer(Struct, frozen=True):
    """A whole answer; `port` is the client's own end of the connection it came by."""

    status: int
    body: bytes
    port: int


class Client:
    """One client with one connection at a time; a new one is made where there is none."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._poll = select.poll()
        self.port = 0

    def close(self) -> None:
        """Leave."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def ask(self, request: bytes, within_s: float = 60.0) -> Answer:
        """
        Send a request and return its answer.

        A connection that the server has closed by now is not used: that is no failure.

        Raises:
            Broken: there is no whole answer.
        """
        if self._has_ended():
            self.close()
        reader, writer = await self._connect()
        writer.write(request)
        received = bytearray()
        try:
            async with asyncio.timeout(within_s):
                answer = await self._read(reader, received)
        except TimeoutError:
            self.close()
            raise self._broken("no whole answer in time", received) from None
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            how = "reset" if isinstance(error, ConnectionError) else "closed"
            raise self._broken(how, received) from error
        if b"\r\nconnection: close" in bytes(received[:2000]).lower():
            self.close()
        return answer

    def _broken(self, how: str, received: bytearray) -> Broken:
        where = f"within an answer ({len(received)} bytes)" if received else "before an answer"
        return Broken(f"{how} {where}", self.port)

    def _has_ended(self) -> bool:
        """Say what the kernel knows by now, which the event loop may not have read yet."""
        if self._streams is None:
            return False
        number = self._streams[1].get_extra_info("socket").fileno()
        self._poll.register(number, select.POLLIN | select.POLLRDHUP)
        try:
            return bool(self._poll.poll(0)) or self._streams[0].at_eof()
        finally:
            self._poll.unregister(number)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            try:
                async with asyncio.timeout(CONNECT_WITHIN_S):
                    self._streams = await asyncio.open_connection("127.0.0.1", self._server_port)
            except OSError as error:
                raise Broken(f"no connection: {type(error).__name__}", 0) from error
            self.port = self._streams[1].get_extra_info("sockname")[1]
        return self._streams

    async def _read(self, reader: asyncio.StreamReader, received: bytearray) -> Answer:
        """Read one answer; what has come of it so far is in `received`."""
        head = await reader.readuntil(CRLF2)
        received += head
        status = int(head[9:12])
        fields = head.lower()
        if b"\r\ntransfer-encoding: chunked" in fields:
            return Answer(status, await _read_chunks(reader, received), self.port)
        size = fields.partition(b"\r\ncontent-length:")[2].partition(CRLF)[0]
        return Answer(status, await reader.readexactly(int(size or 0)), self.port)


async def _read_chunks(reader: asyncio.StreamReader, received: bytearray) -> bytes:
    body = bytearray()
    while size := int(await reader.readuntil(CRLF), 16):
        body += (await reader.readexactly(size + 2))[:-2]
        received += b"."
    await reader.readuntil(CRLF)
    return bytes(body)


def build_chat_request(model: str, *, is_stream: bool = True) -> bytes:
    """Return a chat request as bytes."""
    streams = "true" if is_stream else "false"
    message = '{"role":"user","content":"go on"}'
    body = f'{{"model":"{model}","stream":{streams},"messages":[{message}]}}'.encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: campaign\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def build_get_request(path: str) -> bytes:
    """Return a request that only reads, as bytes."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: campaign\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    ).encode()
