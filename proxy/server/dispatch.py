"""
From a request to what answers it: its head is checked, its route found, its method looked up.

`runner.py` is given `Dispatcher.answer` for every request that aiohttp has read.
"""

from collections.abc import Awaitable
from typing import cast

from aiohttp import web

from proxy.domain.errors import MethodNotAllowed
from proxy.server.connection import ClientConnection
from proxy.server.request_rules import find_fault, read_path
from proxy.server.routes import Handler, Routes

_ALLOWED_HERE = {"Allow": "GET, HEAD, POST, OPTIONS"}
"""What a request without a path of ours is told that this server takes."""


class Dispatcher:
    """Leads requests to their handlers; `nowhere` answers those that have none."""

    def __init__(self, routes: Routes, nowhere: Handler) -> None:
        self._routes = routes
        self._nowhere = nowhere

    def answer(self, request: web.Request) -> Awaitable[web.StreamResponse]:
        """Return what answers one request once it is awaited."""
        fault = find_fault(request)
        if fault is not None:
            connection = cast(ClientConnection, request.protocol)
            allowed = _ALLOWED_HERE if isinstance(fault, MethodNotAllowed) else None
            return connection.refuse(request, fault, allowed)
        route = self._routes.find(read_path(request.raw_path))
        if route is None:
            return self._nowhere(request)
        return route.handlers.get(request.method, route.other_methods)(request)
