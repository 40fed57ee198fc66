"""
Answers that are written to the connection as bytes, past aiohttp's response objects.

`reply.py` writes those of the pipeline, `refusal.py` those that close a connection; what both
say about themselves stands here.
"""

from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time

SERVER_NAME = "llm-proxy-api"
"""All that an answer tells about the software behind it."""
REASONS = {status.value: status.phrase for status in HTTPStatus}


def build_head(status: int, fields: str) -> bytes:
    """Return the head of an answer; each of `fields` ends its line."""
    return (
        f"HTTP/1.1 {status} {REASONS.get(status, '')}\r\nServer: {SERVER_NAME}\r\n"
        f"Date: {rfc822_formatted_time()}\r\n{fields}\r\n"
    ).encode()


class WrittenResponse(web.StreamResponse):
    """Tells aiohttp that an answer has been written, and whether its connection may go on."""

    def __init__(self, keeps_alive: bool) -> None:
        super().__init__()
        self._keep_alive = keeps_alive

    @property
    def prepared(self) -> bool:
        """The head is out."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Do nothing: the head is out."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the body is out."""


KEPT, LAST = WrittenResponse(keeps_alive=True), WrittenResponse(keeps_alive=False)
"""For all answers: nothing about one of them is kept here."""
