"""`/admin`: nothing is there yet, and nobody but the holder of an admin key is told so."""

from aiohttp import web

from proxy.domain.errors import RouteNotFound
from proxy.server.registrar import Registrar
from proxy.server.shape import Visit

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def add_admin_endpoints(registrar: Registrar) -> None:
    """Deny everything below `/admin` for which no route of its own is added."""
    for pattern in ("/admin", "/admin/{path}"):
        registrar.add("admin", METHODS, pattern, answer_nothing)


async def answer_nothing(visit: Visit) -> web.StreamResponse:
    """Answer who may administrate that this path does not exist."""
    raise RouteNotFound()
