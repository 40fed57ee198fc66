"""What holds for every endpoint: one error shape, and cross-origin answers."""

import logging
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
from proxy.server.cors import build_cors_headers, build_preflight_headers
from proxy.server.json_reply import error_reply
from proxy.server.reply import SERVER_NAME
from proxy.server.state import STATE

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger("llm_proxy.server")


@web.middleware
async def shape_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what an endpoint raises into JSON, answer preflights, mark answers for browsers."""
    origins = request.app[STATE].runtime.snapshot.settings.cors_origins
    origin = request.headers.get("Origin")
    if request.method == "OPTIONS":
        asked = request.headers.get("Access-Control-Request-Headers")
        headers = build_preflight_headers(origin, asked, origins)
        return web.Response(status=204, headers={"Server": SERVER_NAME, **headers})
    try:
        response = await handler(request)
    except ProxyError as error:
        response = error_reply(error)
    except web.HTTPException as refusal:
        response = error_reply(_translate(refusal), _allow_header(refusal))
    except Exception:  # noqa: BLE001
        # A fault of ours costs this one client a JSON error; the log says where it happened.
        _log.exception("endpoint failed")
        response = error_reply(InternalError())
    if origin is not None and not response.prepared:
        response.headers.update(build_cors_headers(origin, origins))
    return response


def _translate(refusal: web.HTTPException) -> ProxyError:
    if refusal.status == 404:
        return RouteNotFound()
    if refusal.status == 405:
        return MethodNotAllowed()
    if refusal.status == 413:
        return BodyTooLarge()
    return InvalidRequest()


def _allow_header(refusal: web.HTTPException) -> dict[str, str]:
    allow = refusal.headers.get("Allow")
    return {} if allow is None else {"Allow": allow}
