"""Scripts for a raw upstream that answers every request alike, and a client to ask with."""

from typing import Any

import aiohttp
import msgspec

from tests.fakes.proxy_server import (
    AUTH,
)
from tests.fakes.raw_upstream import UpstreamConnection


class Recorder:
    """A script that answers with fixed bytes and keeps the requests."""

    def __init__(
        self, *chunks: bytes, content_type: str = "text/event-stream", status: int = 200
    ) -> None:
        self.chunks = chunks
        self.content_type = content_type
        self.status = status
        self.extra = ""
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    async def __call__(self, connection: UpstreamConnection) -> None:
        while True:
            self.requests.append(await connection.read_request())
            if self.content_type == "text/event-stream" and self.status == 200:
                await connection.start_chunked()
                for chunk in self.chunks:
                    await connection.chunk(chunk)
                await connection.chunk(b"")
            else:
                await connection.answer(
                    b"".join(self.chunks), self.status, self.content_type, self.extra
                )

    def body(self, position: int = 0) -> Any:
        """The decoded body of one request that came up."""
        return msgspec.json.decode(self.requests[position][2])


def answering(value: Any, status: int = 200) -> Recorder:
    """A script that answers with JSON."""
    return Recorder(msgspec.json.encode(value), content_type="application/json", status=status)


async def post(url: str, body: Any, **headers: str) -> tuple[int, Any, bytes]:
    """Return (status, headers, body) of a chat request."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    async with (
        aiohttp.ClientSession() as session,
        session.post(url + "/chat/completions", data=data, headers={**AUTH, **headers}) as answer,
    ):
        return answer.status, answer.headers, await answer.read()
