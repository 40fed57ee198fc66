"""The pipeline's request and reply (see `pipeline/base.py`) for what passes as it comes."""

from collections.abc import Mapping

from aiohttp import web

from proxy.domain.exchange import PassedOperation
from proxy.domain.settings import Settings
from proxy.server.client_upload import ClientUpload
from proxy.server.reply import AiohttpReply, AiohttpRequest
from proxy.server.written_answer import LAST


class PassedRequest(AiohttpRequest):
    """A PassingRequest; its errors are told as OpenAI's clients expect them."""

    __slots__ = ("method", "passed", "query", "rest")

    def __init__(
        self,
        request: web.Request,
        passed: PassedOperation,
        endpoint: str,
        rest: str = "",
        model: str | None = None,
    ) -> None:
        super().__init__(request, "chat", endpoint, model)
        self.method = request.method
        self.passed: PassedOperation = passed
        self.rest = rest
        self.query: Mapping[str, str] = request.query

    def open_upload(self, settings: Settings) -> ClientUpload:
        """Return the body as it comes in (see `pipeline/base.py`)."""
        return ClientUpload(self._request, settings)


class PassedReply(AiohttpReply):
    """A PassingReply."""

    __slots__ = ("_is_framed",)

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status line and headers of an answer whose length is not known."""
        await super().start(status, headers)
        self._is_framed = self._is_chunked

    async def start_sized(self, status: int, headers: Mapping[str, str], size_bytes: int) -> None:
        """Send status line and headers of an answer of known length."""
        self._is_chunked, self._is_framed = False, True
        self._write(self._begin(status, headers, f"Content-Length: {size_bytes}\r\n"))
        self.is_open = True

    def break_off(self) -> None:
        """End an answer so that its client cannot take it for whole: the connection closes."""
        self._forget_flow()
        self.is_open = False
        self.response = LAST
        if not self._is_framed and self._transport is not None:
            # To a client of HTTP/1.0 a proper close would be the proper end.
            self._transport.abort()
