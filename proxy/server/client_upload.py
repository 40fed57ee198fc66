"""The body of a client's request as it comes in, read as fast as somebody takes it."""

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from proxy.domain.errors import (
    BodyTooLarge,
    InvalidRequest,
    RequestTimeout,
    UnsupportedMediaType,
)
from proxy.domain.settings import Settings
from proxy.server.refusal import INVALID_HTTP
from proxy.server.request_body import (
    CONTINUE,
    FREE_CHUNKS,
    LEAST_CHUNK_BYTES,
    check_expectation,
)
from proxy.upstream.deadline import Deadline


class ClientUpload:
    """An Upload (see `domain/exchange.py`) over aiohttp's server."""

    def __init__(self, request: web.Request, settings: Settings) -> None:
        """
        Look at what the head tells of a body; nothing is asked for yet.

        Raises:
            UnsupportedMediaType, BodyTooLarge, ExpectationFailed: see `PassingRequest.open_upload`.
        """
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType(
                "Send the form without a Content-Encoding.", code="unsupported_encoding"
            )
        self.size_bytes = request.content_length
        self._most_bytes = settings.max_upload_bytes
        self._check_size(self.size_bytes or 0)
        self._content = request.content
        self._transport = request.transport if check_expectation(request) else None
        self._silence_s = settings.client_clocks.body_s
        self._bytes_per_s = settings.min_body_bytes_per_s
        self._came_bytes = self._chunks = 0
        self._waited_s = 0.0

    async def read(self) -> bytes:
        """
        Return its next bytes, or b"" once it is over.

        Only the time in which somebody waits for them counts: who is held up is not slow.

        Raises:
            RequestTimeout: it was silent for `client_clocks.body_s`, or after that time slower than
                `min_body_bytes_per_s`.
            BodyTooLarge: it is above `max_upload_bytes`, or comes in crumbs.
            InvalidRequest: its framing broke off.
        """
        if self._transport is not None and not self._content.is_eof():
            self._transport.write(CONTINUE)
        self._transport = None
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        earned_s = max(self._silence_s, self._came_bytes / self._bytes_per_s) - self._waited_s
        try:
            with Deadline(min(self._silence_s, earned_s)):
                return await self._read()
        except TimeoutError:
            raise RequestTimeout() from None
        except (HttpProcessingError, RequestPayloadError):
            raise InvalidRequest(
                "The request's body is not valid HTTP: its chunks are malformed.",
                code=INVALID_HTTP,
            ) from None
        finally:
            self._waited_s += loop.time() - began_s

    async def _read(self) -> bytes:
        # Of a request without a body aiohttp's reader tells of empty chunks for ever.
        while not self._content.at_eof():
            data, ends_chunk = await self._content.readchunk()
            if ends_chunk:
                self._chunks += 1
                if self._chunks > max(FREE_CHUNKS, self._came_bytes // LEAST_CHUNK_BYTES):
                    raise BodyTooLarge(
                        "The request body comes in too many small chunks; "
                        "send it with a Content-Length."
                    )
            self._came_bytes += len(data)
            self._check_size(self._came_bytes)
            if data or not ends_chunk:
                return data
        return b""

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._most_bytes:
            raise BodyTooLarge(
                f"The request body is larger than the {self._most_bytes} bytes that are taken here."
            )
