"""
Answers that are written to the connection as bytes, past aiohttp's response objects.

`reply.py` and `lean_reply.py` write those of the pipeline, `refusal.py` those that close a
connection; what all of them say about themselves stands here.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time

from proxy.domain.errors import BodyTooLarge, RequestTimeout

SERVER_NAME = "llm-proxy-api"
"""All that an answer tells about the software behind it."""
JOINED_BODY_BYTES = 64 * 1024
"""Up to here copying a body behind its head costs less than a second write."""
UNWANTED_BODY = frozenset((RequestTimeout.status, BodyTooLarge.status))
"""After these the rest of a request's body is not waited for, however short it is."""
REASONS = {status.value: status.phrase for status in HTTPStatus}

_log = logging.getLogger("llm_proxy.server")


def build_head(status: int, fields: str) -> bytes:
    """Return the head of an answer; each of `fields` ends its line."""
    return (
        f"HTTP/1.1 {status} {REASONS.get(status, '')}\r\nServer: {SERVER_NAME}\r\n"
        f"Date: {rfc822_formatted_time()}\r\n{fields}\r\n"
    ).encode()


def build_reply_head(
    status: int, extra_headers: Mapping[str, str], headers: Mapping[str, str], framing: str
) -> bytes:
    """
    Return the head of an answer of the pipeline; `framing` is fields that end their lines.

    Raises:
        ValueError: a header cannot be sent. An error goes without it instead.
    """
    try:
        text = _build_fields(headers)
        if extra_headers:
            text = _build_fields(extra_headers) + text
    except ValueError:
        if status < 400:  # the client gets an error instead, which comes through here
            raise
        _log.error("an answer's header could not be sent", extra={"status_code": status})
        text = _build_sendable_fields(extra_headers, headers)
    return build_head(status, text + framing)


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


def _build_fields(headers: Mapping[str, str]) -> str:
    fields = [f"{name}: {value}\r\n" for name, value in headers.items()]
    text = "".join(fields)
    if not text.isascii():
        text.encode()  # a lone surrogate raises
    if text.count("\n") != len(fields) or text.count("\r") != len(fields) or "\0" in text:
        raise ValueError("a header of an answer holds a line break or a NUL")
    return text


def _build_sendable_fields(*groups: Mapping[str, str]) -> str:
    """Return the fields of those headers that can be sent."""
    text = ""
    for name, value in [item for headers in groups for item in headers.items()]:
        try:
            text += _build_fields({name: value})
        except ValueError:
            continue
    return text
