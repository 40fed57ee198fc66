"""
The endpoints that send a request to a provider: what OpenAI's, Anthropic's and Azure's clients ask.

Azure's have the model in the path, all others in the body.
"""

from collections.abc import Iterator
from urllib.parse import unquote

from aiohttp import web

from proxy.domain.exchange import Operation
from proxy.pipeline.context import Runtime
from proxy.pipeline.handle import handle
from proxy.server.cors import build_cors_headers
from proxy.server.lean_head import PlainRoute, PlainRoutes
from proxy.server.pass_through_endpoints import build_deployment_passer
from proxy.server.registrar import Registrar
from proxy.server.reply import AiohttpReply, AiohttpRequest
from proxy.server.request_rules import read_path
from proxy.server.routes import Handler

PATHS: tuple[tuple[str, Operation], ...] = (
    ("/chat/completions", "chat"),
    ("/completions", "completions"),
    ("/embeddings", "embeddings"),
    ("/messages", "messages"),
    ("/messages/count_tokens", "count_tokens"),
    ("/generate", "generate"),
    ("/responses", "responses"),
    ("/responses/input_tokens", "input_tokens"),
    ("/api/chat", "ollama_chat"),
    ("/api/generate", "ollama_generate"),
    ("/api/embed", "ollama_embed"),
    ("/api/embeddings", "ollama_embed"),
)
PREFIXES = ("/v1", "", "/openai/v1")
"""Clients of Azure's newer surface are given `/openai` as a part of the address."""
RESPONSE_PREFIXES = (*PREFIXES, "/openai")
"""Those of its older one ask for responses without a deployment, and name the model in the body."""
OLLAMA_PREFIX = "/api/"
"""Ollama's clients are given nothing but a host."""
DEPLOYMENTS = "/openai/deployments/"
_OF_DEPLOYMENTS: tuple[Operation, ...] = ("chat", "completions", "embeddings")
_OF_RESPONSES: tuple[Operation, ...] = ("responses", "input_tokens")
_QUERIES = ("", "?beta=true")
"""Anthropic's SDK sends the second for its beta features; no query changes anything here."""


def add_chat_endpoints(registrar: Registrar, runtime: Runtime) -> None:
    """Add each path under each prefix, and those of deployments."""
    for path, operation, prefixes in _list_paths():
        handler = _build_handler(runtime, operation, path)
        for prefix in prefixes:
            registrar.add_pipeline(("POST",), prefix + path, handler)
    others = build_deployment_passer(runtime, DEPLOYMENTS, registrar.build_nowhere())
    handler = _build_deployment_handler(runtime, others)
    registrar.add_pipeline(("POST",), DEPLOYMENTS + "{rest}", handler)


def list_plain_routes() -> PlainRoutes:
    """Return the same paths for who reads plain heads, by their request lines."""
    return {
        f"POST {prefix}{path}{query} HTTP/1.1".encode(): PlainRoute(operation, path)
        for path, operation, prefixes in _list_paths()
        for prefix in prefixes
        for query in _QUERIES
        if not query or "/messages" in path
    }


def _list_paths() -> Iterator[tuple[str, Operation, tuple[str, ...]]]:
    for path, operation in PATHS:
        if operation in _OF_RESPONSES:
            yield path, operation, RESPONSE_PREFIXES
        elif path.startswith(OLLAMA_PREFIX):
            yield path, operation, ("",)
        else:
            yield path, operation, PREFIXES if operation in _OF_DEPLOYMENTS else PREFIXES[:2]


def _build_handler(runtime: Runtime, operation: Operation, path: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await _answer(runtime, request, AiohttpRequest(request, operation, path))

    return handler


def _build_deployment_handler(runtime: Runtime, others: Handler) -> Handler:
    """Return what answers below `/openai/deployments/`; other operations are left to `others`."""

    async def handler(request: web.Request) -> web.StreamResponse:
        rest = read_path(request.raw_path).removeprefix(DEPLOYMENTS)
        for path, operation in PATHS:
            # Names may hold slashes: of two paths with the same end the longer comes first.
            name = rest.removesuffix(path)
            if operation in _OF_DEPLOYMENTS and name and name != rest:
                asked = AiohttpRequest(request, operation, path, unquote(name))
                return await _answer(runtime, request, asked)
        return await others(request)

    return handler


async def _answer(
    runtime: Runtime, request: web.Request, asked: AiohttpRequest
) -> web.StreamResponse:
    origins = runtime.snapshot.settings.cors_origins
    reply = AiohttpReply(request, build_cors_headers(request.headers.get("Origin"), origins))
    await handle(asked, reply, runtime)
    # `handle` has answered by now, on every path that returns.
    return reply.response or web.Response(status=500)
