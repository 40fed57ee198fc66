"""
The endpoints whose requests pass to one provider as they come: audio, images, moderations, rerank,
files and batches.

They have paths under the prefixes of `chat_endpoints.py`, and those with a model also below
`/openai/deployments/`.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from aiohttp import web

from proxy.domain.exchange import PassedOperation
from proxy.pipeline.context import Runtime
from proxy.pipeline.pass_through import pass_through
from proxy.server.cors import build_cors_headers
from proxy.server.passed_reply import PassedReply, PassedRequest
from proxy.server.registrar import Registrar
from proxy.server.request_rules import read_path
from proxy.server.routes import Handler

OF_MODELS: Final[tuple[PassedOperation, ...]] = (
    *("audio/speech", "audio/transcriptions", "audio/translations"),
    *("images/generations", "images/edits", "images/variations"),
    *("moderations", "rerank"),
)
"""They ask for a model, with POST."""
OF_DEPLOYMENTS: Final = tuple(each for each in OF_MODELS if each.startswith(("audio/", "images/")))
"""Those that Azure's clients ask a deployment for."""
PREFIXES: Final = ("/v1", "", "/openai/v1")
ACCOUNT_PREFIXES: Final = (*PREFIXES, "/openai")
"""Clients of Azure's older surface ask for files and batches there."""
RERANK: Final = "/v2/rerank"
"""Where Cohere's clients ask for it."""
PASSED_ENDPOINTS: Final = (
    *(f"/{each}" for each in OF_MODELS),
    *("/files", "/files/{id}", "/files/{id}/content"),
    *("/batches", "/batches/{id}", "/batches/{id}/cancel"),
)
"""What records and metrics call them."""

_METHODS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "/files/{id}": ("GET", "DELETE"),
        "/files/{id}/content": ("GET",),
        "/batches/{id}": ("GET",),
        "/batches/{id}/cancel": ("POST",),
    }
)
_ONE: Final = re.compile(r"/(?!\.+(?:/|$))[A-Za-z0-9_.-]{1,128}(?P<behind>/[a-z]+)?")
"""An id, a plain segment of a path that goes to a provider as it is, and what is asked of it."""


def add_pass_through_endpoints(registrar: Registrar, runtime: Runtime) -> None:
    """Add each path under each prefix."""
    for passed in OF_MODELS:
        handler = _build_handler(runtime, passed)
        for prefix in PREFIXES:
            registrar.add_pipeline(("POST",), f"{prefix}/{passed}", handler)
    registrar.add_pipeline(("POST",), RERANK, _build_handler(runtime, "rerank"))
    nowhere = registrar.build_nowhere("key")
    lists: tuple[PassedOperation, ...] = ("files", "batches")
    for passed in lists:
        handler = _build_handler(runtime, passed)
        one_handler = _build_one_handler(runtime, passed, nowhere)
        methods = ("GET", "DELETE") if passed == "files" else ("GET", "POST")
        for prefix in ACCOUNT_PREFIXES:
            registrar.add_pipeline(("GET", "POST"), f"{prefix}/{passed}", handler)
            registrar.add_pipeline(methods, f"{prefix}/{passed}/{{id}}", one_handler)


def build_deployment_passer(runtime: Runtime, deployments: str, nowhere: Handler) -> Handler:
    """
    Return what answers below Azure's path of deployments; other operations are left to `nowhere`.

    `deployments` is where they begin.
    """

    async def handler(request: web.Request) -> web.StreamResponse:
        rest = read_path(request.raw_path).removeprefix(deployments)
        for passed in OF_DEPLOYMENTS:
            name = rest.removesuffix(f"/{passed}")
            if name and name != rest:
                asked = PassedRequest(request, passed, f"/{passed}", model=unquote(name))
                return await _answer(runtime, request, asked)
        return await nowhere(request)

    return handler


def _build_handler(runtime: Runtime, passed: PassedOperation) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await _answer(runtime, request, PassedRequest(request, passed, f"/{passed}"))

    return handler


def _build_one_handler(runtime: Runtime, passed: PassedOperation, nowhere: Handler) -> Handler:
    """Return what answers for one file or batch, by its id; what is none is left to `nowhere`."""

    async def handler(request: web.Request) -> web.StreamResponse:
        path = read_path(request.raw_path)
        rest = path[path.index(f"/{passed}/") + len(passed) + 1 :]
        match = _ONE.fullmatch(rest)
        endpoint = "" if match is None else f"/{passed}/{{id}}{match['behind'] or ''}"
        if request.method not in _METHODS.get(endpoint, ()):
            return await nowhere(request)
        return await _answer(runtime, request, PassedRequest(request, passed, endpoint, rest))

    return handler


async def _answer(
    runtime: Runtime, request: web.Request, asked: PassedRequest
) -> web.StreamResponse:
    origins = runtime.snapshot.settings.cors_origins
    reply = PassedReply(request, build_cors_headers(request.headers.get("Origin"), origins))
    await pass_through(asked, reply, runtime)
    # `pass_through` has answered by now, on every path that returns.
    return reply.response or web.Response(status=500)
