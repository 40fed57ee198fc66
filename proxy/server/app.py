"""Puts the endpoints together into one application."""

from aiohttp import web

from proxy.server.chat_endpoints import add_chat_endpoints
from proxy.server.health_endpoints import add_health_endpoints
from proxy.server.model_endpoints import add_model_endpoints
from proxy.server.protocol import ServerRunner
from proxy.server.shape import answer_other_requests
from proxy.server.state import STATE, ServerState

IDLE_CONNECTION_S = 75.0


def build_app(state: ServerState) -> web.Application:
    """Return the application; the pipeline itself checks body sizes."""
    app = web.Application(client_max_size=0)
    app[STATE] = state
    add_chat_endpoints(app, state.runtime)
    add_model_endpoints(app)
    add_health_endpoints(app)
    app.router.add_route("*", "/{path:.*}", answer_other_requests)
    return app


def build_runner(app: web.Application, drain_s: float) -> ServerRunner:
    """
    Return what serves the application on sockets.

    A client that leaves cancels its request's task: that is how an upstream is let go of.
    Requests that are open when the runner is cleaned up may go on for `drain_s`.
    """
    return ServerRunner(
        app,
        drain_s,
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=IDLE_CONNECTION_S,
        handle_signals=False,
    )
