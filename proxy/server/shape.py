"""
What holds for every endpoint that the pipeline does not answer.

Access is checked on the route that was found, errors have one shape, every answer an id and
every request a record. `registrar.py` wraps each endpoint as it is registered. As a middleware
this would also stand around those of the pipeline, which do all of it themselves.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from math import ceil, isfinite

from aiohttp import web
from msgspec import Struct

from proxy.domain.catalog import Snapshot
from proxy.domain.errors import InternalError, InvalidApiKey, ProxyError
from proxy.domain.exchange import RequestRecord
from proxy.domain.identity import Caller
from proxy.pipeline.context import Runtime, build_request_id
from proxy.policy.access import Access, check_access
from proxy.policy.credentials import find_caller
from proxy.server.client_dialect import find_client_dialect
from proxy.server.cors import build_cors_headers
from proxy.server.json_reply import admin_error_reply, error_reply
from proxy.server.request_body import check_expectation, is_body_coming
from proxy.server.request_rules import read_path
from proxy.server.routes import Handler, read_parameter

UNRECORDED = frozenset(
    ("/health", "/health/liveness", "/health/liveliness", "/health/readiness", "/metrics")
)
"""Asked every few seconds. What they refuse is recorded: keys can be tried at `/metrics` too."""

_log = logging.getLogger("llm_proxy.server")


class Visit(Struct, frozen=True):
    """One request that may be answered: what an endpoint gets."""

    request: web.Request
    snapshot: Snapshot
    """The one that access was checked with; the endpoint answers from it."""
    caller: Caller | None
    """Who asks; None where nobody had to say."""
    request_id: str
    """What its record is found by."""
    parameter: str
    """What the path has for the `{name}` of its route's pattern, decoded."""

    @property
    def known_caller(self) -> Caller:
        """Who asks, at a route that is not open."""
        if self.caller is None:
            raise InvalidApiKey()
        return self.caller


Endpoint = Callable[[Visit], Awaitable[web.StreamResponse]]
Opening = Callable[[web.Request, Snapshot], bool]
"""Whether this request needs no key although its route asks for one."""


class Shape(Struct, frozen=True):
    """How the requests of one route are treated around its endpoint."""

    access: Access
    pattern: str
    label: str
    """The endpoint in records: the pattern without its `/v1`, "other" where there is no path."""
    opening: Opening | None = None
    error_headers: Mapping[str, str] = {}
    """What answers with an error carry besides, such as `Allow`."""
    is_recorded: bool = True


def shaped(endpoint: Endpoint, shape: Shape, runtime: Runtime) -> Handler:
    """Return the endpoint behind its access check, with an id and a record of its answers."""

    async def handler(request: web.Request) -> web.StreamResponse:
        started_at, started_monotonic_s = time.time(), time.monotonic()
        # Admission and answer are of one snapshot, whatever is published meanwhile.
        snapshot = runtime.snapshot
        request_id = build_request_id()
        caller: Caller | None = None
        error: ProxyError | None = None
        try:
            check_expectation(request)
            access = _find_access(request, shape, snapshot)
            if access != "open":
                caller = find_caller(request.headers, snapshot, runtime.hasher)
                check_access(access, caller, snapshot)
            parameter = read_parameter(shape.pattern, read_path(request.raw_path))
            response = await endpoint(Visit(request, snapshot, caller, request_id, parameter))
        except ProxyError as refusal:
            error = refusal
        except Exception:  # noqa: BLE001
            # A fault of ours costs this one client a JSON error; the log says where it happened.
            _log.exception("endpoint failed")
            error = InternalError()
        dialect = find_client_dialect(read_path(request.raw_path), request.headers)
        if error is not None and shape.access == "admin":
            response = admin_error_reply(error, shape.error_headers)
        elif error is not None:
            response = error_reply(error, dialect, request_id, shape.error_headers)
        if error is not None and error.retry_after_s is not None and isfinite(error.retry_after_s):
            # Whole seconds, rounded up: earlier would be refused again.
            response.headers["Retry-After"] = str(max(1, ceil(error.retry_after_s)))
        for name in ("x-request-id", *dialect.id_headers):
            response.headers[name] = request_id
        if shape.access == "admin":
            response.headers["Cache-Control"] = "no-store"
        else:
            origins = snapshot.settings.cors_origins
            response.headers.update(build_cors_headers(request.headers.get("Origin"), origins))
        if not request.content.is_eof() and not is_body_coming(request):
            response.force_close()
        if shape.is_recorded and (error is not None or shape.label not in UNRECORDED):
            runtime.observer.request_ended(
                RequestRecord(
                    request_id=request_id,
                    started_at=started_at,
                    duration_s=time.monotonic() - started_monotonic_s,
                    endpoint=shape.label,
                    status=response.status,
                    ending="completed" if response.status < 400 else "failed",
                    key_id=None if caller is None else caller.key_id,
                    organization_id=None if caller is None else caller.organization_id,
                    error_code=None if error is None else error.code or error.type,
                )
            )
        return response

    return handler


def _find_access(request: web.Request, shape: Shape, snapshot: Snapshot) -> Access:
    """Return what this request needs: its route's level, or nothing where that is opened."""
    is_opened = shape.opening is not None and shape.opening(request, snapshot)
    return "open" if is_opened else shape.access
