"""
What holds for every endpoint that the pipeline does not answer: one error shape, an id, a record.

Endpoints are wrapped one by one. As a middleware this would also stand around the endpoints
of the pipeline, which do all of it themselves, and cost each of their requests 12 us.
"""

import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from proxy.domain.errors import (
    BodyTooLarge,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    ProxyError,
    RouteNotFound,
)
from proxy.domain.exchange import RequestRecord
from proxy.pipeline.context import build_request_id
from proxy.server.cors import build_cors_headers, build_preflight_headers
from proxy.server.json_reply import error_reply
from proxy.server.reply import SERVER_NAME
from proxy.server.state import STATE

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]

EVERY_PATH = "/{path}"
"""The canonical form of the route that takes what no other takes."""
UNRECORDED = frozenset(
    ("/health", "/health/liveness", "/health/liveliness", "/health/readiness", "/metrics")
)

_log = logging.getLogger("llm_proxy.server")


def shaped(endpoint: Endpoint) -> Endpoint:
    """
    Return the endpoint with whatever it raises turned into JSON, and an id on its answers.

    Every request gets a record, but for health and metrics, which machines ask for ever.
    """

    async def shaped_endpoint(request: web.Request) -> web.StreamResponse:
        return await _answer(request, endpoint)

    return shaped_endpoint


@shaped
async def answer_other_requests(request: web.Request) -> web.StreamResponse:
    """Answer what no endpoint takes: browsers' preflights, wrong methods, unknown paths."""
    if request.method == "OPTIONS":
        origins = request.app[STATE].runtime.snapshot.settings.cors_origins
        origin = request.headers.get("Origin")
        asked = request.headers.get("Access-Control-Request-Headers")
        return web.Response(
            status=204,
            headers={"Server": SERVER_NAME, **build_preflight_headers(origin, asked, origins)},
        )
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if resource is not request.match_info.route.resource:
            allowed |= (await resource.resolve(request))[1]
    if allowed:
        raise web.HTTPMethodNotAllowed(request.method, allowed)
    raise RouteNotFound()


async def _answer(request: web.Request, endpoint: Endpoint) -> web.StreamResponse:
    started_at, started_monotonic_s = time.time(), time.monotonic()
    error: ProxyError | None = None
    allowed: dict[str, str] = {}
    response: web.StreamResponse | None = None
    try:
        response = await endpoint(request)
    except ProxyError as refusal:
        error = refusal
    except web.HTTPException as refusal:
        error, allowed = _translate(refusal), _read_allowed(refusal)
    except Exception:  # noqa: BLE001
        # A fault of ours costs this one client a JSON error; the log says where it happened.
        _log.exception("endpoint failed")
        error = InternalError()
    if response is None:
        response = error_reply(error or InternalError(), allowed)
    request_id = build_request_id()
    origins = request.app[STATE].runtime.snapshot.settings.cors_origins
    response.headers["x-request-id"] = request_id
    response.headers.update(build_cors_headers(request.headers.get("Origin"), origins))
    path = _read_path(request)
    if path not in UNRECORDED and request.method != "OPTIONS":
        request.app[STATE].runtime.observer.request_ended(
            RequestRecord(
                request_id=request_id,
                started_at=started_at,
                duration_s=time.monotonic() - started_monotonic_s,
                endpoint=path,
                status=response.status,
                ending="completed" if response.status < 400 else "failed",
                error_code=None if error is None else error.code or error.type,
            )
        )
    return response


def _read_path(request: web.Request) -> str:
    """Return the pattern of the route without its `/v1`, "other" where there is none."""
    resource = request.match_info.route.resource
    if resource is None or resource.canonical == EVERY_PATH:
        return "other"
    return resource.canonical.removeprefix("/v1")


def _translate(refusal: web.HTTPException) -> ProxyError:
    if refusal.status == 404:
        return RouteNotFound()
    if refusal.status == 405:
        return MethodNotAllowed()
    if refusal.status == 413:
        return BodyTooLarge()
    return InvalidRequest()


def _read_allowed(refusal: web.HTTPException) -> dict[str, str]:
    allow = refusal.headers.get("Allow")
    return {} if allow is None else {"Allow": allow}
