"""Puts the endpoints together into one application."""

from msgspec import Struct

from proxy.pipeline.context import Runtime
from proxy.server.admin_endpoints import AdminEndpoints
from proxy.server.breaker_endpoints import BreakerEndpoints
from proxy.server.chat_endpoints import add_chat_endpoints, list_plain_routes
from proxy.server.dispatch import Dispatcher
from proxy.server.event_stream import EventEndpoint
from proxy.server.health_endpoints import HealthEndpoints
from proxy.server.model_endpoints import add_model_endpoints
from proxy.server.ollama_endpoints import add_ollama_endpoints
from proxy.server.pass_through_endpoints import add_pass_through_endpoints
from proxy.server.provider_endpoints import ProviderEndpoints
from proxy.server.registrar import Registrar
from proxy.server.response_endpoints import ResponseEndpoints
from proxy.server.routes import Routes
from proxy.server.runner import ServerRunner
from proxy.server.state import ServerState
from proxy.server.status_endpoints import StatusEndpoints


class App(Struct, frozen=True):
    """Everything that answers requests, without a socket yet."""

    runtime: Runtime
    routes: Routes
    dispatcher: Dispatcher


def build_app(state: ServerState) -> App:
    """Return the application."""
    registrar = Registrar(state.runtime)
    add_chat_endpoints(registrar, state.runtime)
    add_pass_through_endpoints(registrar, state.runtime)
    add_model_endpoints(registrar)
    ResponseEndpoints(state.runtime).add(registrar)
    add_ollama_endpoints(registrar)
    HealthEndpoints(state).add(registrar)
    ProviderEndpoints(state).add(registrar)
    StatusEndpoints(state).add(registrar)
    BreakerEndpoints(state).add(registrar)
    EventEndpoint(state).add(registrar)
    AdminEndpoints(state.desk).add(registrar)
    dispatcher = Dispatcher(registrar.routes, registrar.build_nowhere())
    return App(state.runtime, registrar.routes, dispatcher)


def build_runner(app: App) -> ServerRunner:
    """Return what serves the application on sockets."""
    return ServerRunner(app.dispatcher.answer, app.runtime, list_plain_routes())
