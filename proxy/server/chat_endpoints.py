"""The endpoints that send a request to a provider: chat completions, completions, embeddings."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from proxy.domain.exchange import Operation
from proxy.pipeline.context import Runtime
from proxy.pipeline.handle import handle
from proxy.server.cors import build_cors_headers
from proxy.server.reply import AiohttpReply, AiohttpRequest

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]

PATHS: tuple[tuple[str, Operation], ...] = (
    ("/chat/completions", "chat"),
    ("/completions", "completions"),
    ("/embeddings", "embeddings"),
)


def add_chat_endpoints(app: web.Application, runtime: Runtime) -> None:
    """Add each path with and without `/v1`."""
    for path, operation in PATHS:
        endpoint = _build_endpoint(runtime, operation, path)
        app.router.add_post("/v1" + path, endpoint)
        app.router.add_post(path, endpoint)


def _build_endpoint(runtime: Runtime, operation: Operation, path: str) -> Endpoint:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        origins = runtime.snapshot.settings.cors_origins
        reply = AiohttpReply(request, build_cors_headers(request.headers.get("Origin"), origins))
        await handle(AiohttpRequest(request, operation, path), reply, runtime)
        # `handle` has answered by now, on every path that returns.
        return reply.response or web.Response(status=500)

    return endpoint
