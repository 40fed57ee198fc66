"""
The body of a client's request: whether it may come, how long it may take, and its bytes.

`reply.py` reads through this for the pipeline, `lean_request.py` goes by its rules. What a body
says is decided elsewhere.
"""

import asyncio

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestPayloadError
from multidict import MultiMapping

from proxy.domain.errors import (
    BodyTooLarge,
    ExpectationFailed,
    InvalidRequest,
    RequestTimeout,
    UnsupportedMediaType,
)
from proxy.domain.settings import Settings
from proxy.server.refusal import INVALID_HTTP

JSON = "application/json"
FREE_CHUNKS = 65_536
"""HTTP chunks that a body may have whatever their size; each costs us as much as 1 KiB does."""
LEAST_CHUNK_BYTES = 64
"""What the chunks of a body with more of them must hold on average."""
SHORT_BODY_BYTES = 64 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def check_expectation(request: web.Request) -> bool:
    """
    Return whether the client waits for `100 Continue` before it sends its body.

    Raises:
        ExpectationFailed: it expects something else.
    """
    expected = request.headers.get("Expect")
    if expected is None:
        return False
    if expected.strip().lower() != "100-continue":
        raise ExpectationFailed()
    # A client of HTTP/1.0 does not know this answer; it sends without it.
    return request.version >= HttpVersion11


def is_body_coming(request: web.Request) -> bool:
    """
    Return whether what is left of the body is little and certain to come.

    If not, the connection cannot carry another request: where that would begin is a guess
    when the client may or may not send what it has announced.
    """
    if request.content.is_eof():
        return True
    size_bytes = request.content_length
    return (
        size_bytes is not None
        and size_bytes <= SHORT_BODY_BYTES
        and "Expect" not in request.headers
        and request.content.exception() is None
    )


def check_kind(headers: MultiMapping[str]) -> None:
    """
    Look that a body is said to be JSON as it comes.

    Raises:
        UnsupportedMediaType: it is something else, or compressed.
    """
    kind = headers.get("Content-Type", "")
    if kind != JSON and not _is_json(kind):
        raise UnsupportedMediaType(_build_kind_message(kind))
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType(code="unsupported_encoding")


def check_size(size_bytes: int, settings: Settings) -> None:
    """
    Look that a body is not too long.

    Raises:
        BodyTooLarge: it is.
    """
    limit_bytes = settings.max_body_bytes
    if size_bytes > limit_bytes:
        raise BodyTooLarge(
            f"The request body is larger than the {limit_bytes} bytes that are taken here."
        )


async def read_body(request: web.Request, settings: Settings) -> bytes:
    """
    Return the whole body (see `InboundRequest.read_body` for what it raises).

    Everything that the head tells is checked before a byte is read or asked for.
    """
    check_kind(request.headers)
    check_size(request.content_length or 0, settings)
    # aiohttp keeps a payload that it has not inflated in a plain StreamReader.
    content = request.content
    is_waiting = check_expectation(request)
    if content.is_eof():
        # Nearly every body has come with its head: no clock, no loop, no copy.
        body = _take_whole(content)
        check_size(len(body), settings)
        return body
    if is_waiting and request.transport is not None:
        request.transport.write(CONTINUE)
    try:
        return await _read_rest(content, settings)
    except (HttpProcessingError, RequestPayloadError):
        raise InvalidRequest(
            "The request's body is not valid HTTP: its chunks are malformed.",
            code=INVALID_HTTP,
        ) from None


def _take_whole(content: StreamReader) -> bytes:
    """Return a body that is here to its end."""
    if content is EMPTY_PAYLOAD:
        return b""
    pieces = content._buffer
    if len(pieces) == 1 and content._size <= content._low_water and content.exception() is None:
        # What aiohttp does besides (it has reading and parsing go on) has no purpose where so
        # little never stopped them, and costs 2 us.
        piece = pieces.popleft()
        content._size -= len(piece)
        return piece
    return content.read_nowait(-1)


async def _read_rest(content: StreamReader, settings: Settings) -> bytes:
    """Read to the end, under the cap and the clocks."""
    loop = asyncio.get_running_loop()
    clock = BodyClock(settings, loop.time())
    parts: list[bytes] = []
    size_bytes = chunk_count = 0
    while True:
        try:
            # The timer is set again only when it has run out: data moves nothing but numbers.
            async with asyncio.timeout_at(clock.find_end(size_bytes)):
                while True:
                    part, ends_chunk = await content.readchunk()
                    if not part and not ends_chunk:
                        return b"".join(parts)
                    clock.last_part_s = loop.time()
                    size_bytes += len(part)
                    check_size(size_bytes, settings)
                    parts.append(part)
                    if ends_chunk:
                        chunk_count += 1
                        if chunk_count > max(FREE_CHUNKS, size_bytes // LEAST_CHUNK_BYTES):
                            raise BodyTooLarge(
                                "The request body comes in too many small chunks; "
                                "send it with a Content-Length."
                            )
        except TimeoutError:
            if clock.find_end(size_bytes) <= loop.time():
                raise RequestTimeout() from None


class BodyClock:
    """When a body is too late: by its silence, by its speed, and at the latest."""

    def __init__(self, settings: Settings, now_s: float) -> None:
        self._silence_s = settings.client_clocks.body_s
        self._bytes_per_s = settings.min_body_bytes_per_s
        self._started_s = now_s
        self._end_s = now_s + settings.request_timeout_s
        self.last_part_s = now_s

    def find_end(self, size_bytes: int) -> float:
        """Return when it will be too late if nothing follows these bytes."""
        earned_s = max(self._silence_s, size_bytes / self._bytes_per_s)
        return min(self.last_part_s + self._silence_s, self._started_s + earned_s, self._end_s)


def _is_json(kind: str) -> bool:
    media = kind.partition(";")[0].strip().lower()
    return media == JSON or (media.startswith("application/") and media.endswith("+json"))


def _build_kind_message(kind: str) -> str:
    was = "the request has none" if not kind else "this one is something else"
    if kind.lower().startswith("application/x-www-form-urlencoded"):
        was = "this one is 'application/x-www-form-urlencoded', which curl -d sends by itself"
    return f"Send JSON with the header 'Content-Type: application/json'; {was}."
