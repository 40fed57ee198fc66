"""
The socket of the health worker's own API: small requests, small answers, and a clock for each.

What is answered is in `api.py`. Bodies of requests say nothing and are not read.
"""

import asyncio
import os
from typing import Any, cast

import msgspec
import structlog
from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestHandler

from health_worker.api import HealthApi, Path, Reply
from health_worker.api_metrics import ProbeMetrics
from proxy.domain.errors import InternalError, InvalidRequest, MethodNotAllowed, ProxyError
from proxy.wire.openai_error import build_error_body

MAX_CONNECTIONS = 64
FIRST_HEAD_S = 10.0
"""From a connection's opening to the end of the first request's head."""
IDLE_S = 15.0
FAREWELL_S = 2.0
"""How long what is left of a request is still read after its answer."""
WRITE_S = 15.0
"""For an answer, however slowly its client reads."""
END_WITHIN_S = 1.0
SAFE_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_log = structlog.get_logger("llm_proxy.health_worker")


class ApiServer:
    """Serves a HealthApi on one address."""

    def __init__(self, api: HealthApi, metrics: ProbeMetrics) -> None:
        self._api = api
        self._metrics = metrics
        self._runner: web.ServerRunner | None = None

    async def open(self, listen: tuple[str, int]) -> None:
        """
        Begin to serve.

        Raises:
            OSError: the address cannot be listened on; the text says how to mend that.
        """
        server = _Server(
            self._answer,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=IDLE_S,
            lingering_time=FAREWELL_S,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=END_WITHIN_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, *listen).start()
        except OSError as error:
            await self.close()
            # asyncio's own words name the address once more.
            is_system = error.errno is not None and error.errno > 0
            reason = os.strerror(error.errno or 0) if is_system else error.strerror
            raise OSError(
                error.errno,
                f"health_worker.listen: {listen[0]}:{listen[1]} cannot be listened on: "
                f"{reason}; set another address there, or null",
            ) from error

    @property
    def port(self) -> int | None:
        """Where it listens; None: nowhere."""
        if self._runner is None or not self._runner.addresses:
            return None
        port: int = self._runner.addresses[0][1]
        return port

    async def close(self) -> None:
        """Cancel what is asked, and listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        cast(_Connection, request.protocol).has_asked = True
        path: Path | None = None
        error: ProxyError | None = None
        try:
            raw_path = request.raw_path.partition("?")[0]
            path, name = self._api.find_path(raw_path)
            response = _build_response(
                await self._api.answer(request.method, path, name, request.headers)
            )
        except ProxyError as refusal:
            error = refusal
        except TimeoutError:
            error = InternalError("What was asked has taken too long; the log may say why.")
        except Exception:  # noqa: BLE001
            # A fault of ours costs this one client a JSON error, and the probes nothing.
            _log.exception("a request to the health worker failed")
            error = InternalError()
        if error is not None:
            response = _build_error(error, path)
        if request.body_exists and not request.content.is_eof():
            response.force_close()
        self._metrics.count_answer("other" if path is None else path.pattern, response.status)
        return await _send(request, response)


class _Response(web.Response):
    """An answer that tells nothing of the software behind it."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self._headers.pop(hdrs.SERVER, None)


class _Server(web.Server):
    """Makes connections that are few, and do not wait for ever."""

    def __call__(self) -> RequestHandler:
        """Return the protocol of one new connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """One client."""

    __slots__ = ("_first_head", "has_asked")

    def __init__(self, manager: _Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self.has_asked = False
        self._first_head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop; one connection too many is reset."""
        super().connection_made(transport)
        if self._manager is not None and len(self._manager.connections) > MAX_CONNECTIONS:
            cast(asyncio.Transport, transport).abort()
            return
        self._first_head = self._loop.call_later(FIRST_HEAD_S, self._end_if_silent)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the loop."""
        if self._first_head is not None:
            self._first_head.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return what is answered to what is no HTTP; nothing of it is repeated or logged."""
        response = _build_error(InvalidRequest("This is no HTTP request that can be read."), None)
        response.force_close()
        return response

    def _end_if_silent(self) -> None:
        if not self.has_asked:
            self.force_close()


def _build_response(reply: Reply) -> web.Response:
    body = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
    return _Response(body=body, headers={"Content-Type": reply.content_type, **SAFE_HEADERS})


def _build_error(error: ProxyError, path: Path | None) -> web.Response:
    body = build_error_body(error)
    if path is not None and path.access == "admin":
        body = b'{"detail":%b,' % msgspec.json.encode(error.message) + body[1:]
    headers = {"Content-Type": "application/json", **SAFE_HEADERS}
    if isinstance(error, MethodNotAllowed) and path is not None:
        headers["Allow"] = ", ".join(path.methods)
    return _Response(body=body, status=error.status, headers=headers)


async def _send(request: web.BaseRequest, response: web.Response) -> web.StreamResponse:
    """Write an answer; a client that does not take it in time is cut off."""
    try:
        async with asyncio.timeout(WRITE_S):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return response
