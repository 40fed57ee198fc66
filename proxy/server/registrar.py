"""
The one way to a route: every path is added here, with who may ask it.

The modules of the endpoints call it; `app.py` makes it. A path without an access level cannot
be added, and what no level lets through is not answered: denied is the default.
"""

from collections.abc import Sequence

from aiohttp import web

from proxy.domain.errors import MethodNotAllowed, RouteNotFound
from proxy.pipeline.context import Runtime
from proxy.policy.access import Access
from proxy.server.cors import build_preflight_headers
from proxy.server.routes import Handler, Route, Routes
from proxy.server.shape import Endpoint, Opening, Shape, Visit, shaped
from proxy.server.written_answer import SERVER_NAME

_TWICE = {
    "/v1/v1/": "/v1",
    "/openai/openai/": "/openai",
    "/v1/openai/": "/v1",
    "/openai/v1/openai/": "/openai/v1",
}
"""How paths begin if a client adds to its address what the address has already, and the end that
the address has to lose."""


class Registrar:
    """Adds endpoints to routes, and makes what answers where there is none."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.routes = Routes()

    def add(
        self,
        access: Access,
        methods: Sequence[str],
        pattern: str,
        endpoint: Endpoint,
        opening: Opening | None = None,
        label: str | None = None,
    ) -> None:
        """
        Add an endpoint under a path; who may ask GET may ask HEAD as well.

        `label` is what records call it, if that is not its path without its `/v1`.
        """
        shape = Shape(access, pattern, label or pattern.removeprefix("/v1"), opening)
        self._add(access, methods, pattern, shaped(endpoint, shape, self._runtime))

    def add_pipeline(self, methods: Sequence[str], pattern: str, handler: Handler) -> None:
        """Add a path of the pipeline, which asks for a key, answers and records by itself."""
        # It writes its answers itself, and none without their body.
        self._add("key", methods, pattern, handler, answers_head=False)

    def build_nowhere(self, access: Access = "open") -> Handler:
        """Return what answers requests to no path; below one, who asks is looked at first."""

        async def refuse(visit: Visit) -> web.StreamResponse:
            raise RouteNotFound(_find_slip(visit.request.path))

        return shaped(refuse, Shape(access, "", "other"), self._runtime)

    def _add(
        self,
        access: Access,
        methods: Sequence[str],
        pattern: str,
        handler: Handler,
        *,
        answers_head: bool = True,
    ) -> None:
        handlers = dict.fromkeys(methods, handler)
        if answers_head and "GET" in methods:
            handlers["HEAD"] = handler
        # Of what only administrators may do nobody else is told a word, nor any page.
        is_admin = access == "admin"
        if "OPTIONS" not in handlers and not is_admin:
            # Browsers ask before they send, and without a key. It is not recorded.
            shape = Shape("open", pattern, "other", is_recorded=False)
            handlers["OPTIONS"] = shaped(_answer_preflight, shape, self._runtime)
        allowed = {"Allow": ", ".join(handlers)}
        others = Shape("admin" if is_admin else "open", pattern, "other", error_headers=allowed)
        self.routes.add(
            Route(pattern, access, handlers, shaped(_refuse_method, others, self._runtime))
        )


async def _answer_preflight(visit: Visit) -> web.StreamResponse:
    headers = visit.request.headers
    allowed = build_preflight_headers(
        headers.get("Origin"),
        headers.get("Access-Control-Request-Headers"),
        visit.snapshot.settings.cors_origins,
    )
    return web.Response(status=204, headers={"Server": SERVER_NAME, **allowed})


async def _refuse_method(visit: Visit) -> web.StreamResponse:
    raise MethodNotAllowed()


def _find_slip(path: str) -> str | None:
    for start, end in _TWICE.items():
        if path.startswith(start):
            return (
                "There is no such path here. The client adds to its base_url (or endpoint) what it "
                f"needs: leave out the '{end}' at its end."
            )
    return None
