"""The endpoints that send a request to a provider: chat completions, completions, embeddings."""

from aiohttp import web

from proxy.domain.exchange import Operation
from proxy.pipeline.context import Runtime
from proxy.pipeline.handle import handle
from proxy.server.cors import build_cors_headers
from proxy.server.lean_head import PlainRoute, PlainRoutes
from proxy.server.registrar import Registrar
from proxy.server.reply import AiohttpReply, AiohttpRequest
from proxy.server.routes import Handler

PATHS: tuple[tuple[str, Operation], ...] = (
    ("/chat/completions", "chat"),
    ("/completions", "completions"),
    ("/embeddings", "embeddings"),
)


def add_chat_endpoints(registrar: Registrar, runtime: Runtime) -> None:
    """Add each path with and without `/v1`."""
    for path, operation in PATHS:
        handler = _build_handler(runtime, operation, path)
        for pattern in ("/v1" + path, path):
            registrar.add_pipeline(("POST",), pattern, handler)


def list_plain_routes() -> PlainRoutes:
    """Return the same paths for who reads plain heads, by their request lines."""
    return {
        f"POST {prefix}{path} HTTP/1.1".encode(): PlainRoute(operation, path)
        for path, operation in PATHS
        for prefix in ("/v1", "")
    }


def _build_handler(runtime: Runtime, operation: Operation, path: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        origins = runtime.snapshot.settings.cors_origins
        reply = AiohttpReply(request, build_cors_headers(request.headers.get("Origin"), origins))
        await handle(AiohttpRequest(request, operation, path), reply, runtime)
        # `handle` has answered by now, on every path that returns.
        return reply.response or web.Response(status=500)

    return handler
