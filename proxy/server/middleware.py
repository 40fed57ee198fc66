"""What holds for every endpoint: one error shape, an id, a record, and cross-origin answers."""

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

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

UNRECORDED = frozenset(
    ("/health", "/health/liveness", "/health/liveliness", "/health/readiness", "/metrics")
)

_log = logging.getLogger("llm_proxy.server")


@web.middleware
async def shape_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """
    Turn what an endpoint raises into JSON, give answers an id, and answer browsers' preflights.

    A request that went through the pipeline has its id and its record already; of the
    others every one gets both, but for health and metrics, which machines ask for ever.
    """
    started_at, started_monotonic_s = time.time(), time.monotonic()
    origins = request.app[STATE].runtime.snapshot.settings.cors_origins
    origin = request.headers.get("Origin")
    if request.method == "OPTIONS":
        asked = request.headers.get("Access-Control-Request-Headers")
        headers = build_preflight_headers(origin, asked, origins)
        return web.Response(status=204, headers={"Server": SERVER_NAME, **headers})
    error: ProxyError | None = None
    allowed: dict[str, str] = {}
    response: web.StreamResponse | None = None
    try:
        response = await handler(request)
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
    if response.prepared:
        return response
    request_id = build_request_id()
    response.headers["x-request-id"] = request_id
    response.headers.update(build_cors_headers(origin, origins))
    endpoint = _read_endpoint(request)
    if endpoint not in UNRECORDED:
        request.app[STATE].runtime.observer.request_ended(
            RequestRecord(
                request_id=request_id,
                started_at=started_at,
                duration_s=time.monotonic() - started_monotonic_s,
                endpoint=endpoint,
                status=response.status,
                ending="completed" if response.status < 400 else "failed",
                error_code=None if error is None else error.code or error.type,
            )
        )
    return response


def _read_endpoint(request: web.Request) -> str:
    """Return the pattern of the route without its `/v1`, "other" where there is none."""
    resource = request.match_info.route.resource
    return "other" if resource is None else resource.canonical.removeprefix("/v1")


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
