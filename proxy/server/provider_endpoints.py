"""`GET /providers`: how each provider stands."""

from aiohttp import web

from proxy.server.json_reply import json_reply
from proxy.server.provider_list import ProviderList
from proxy.server.registrar import Registrar
from proxy.server.shape import Visit
from proxy.server.state import ServerState


class ProviderEndpoints:
    """Tells of the providers that a key has to do with."""

    def __init__(self, state: ServerState) -> None:
        self._list = ProviderList(state)

    def add(self, registrar: Registrar) -> None:
        """Add the path."""
        registrar.add("key", ("GET",), "/providers", self.show)

    async def show(self, visit: Visit) -> web.Response:
        """Answer with the providers of the models that the key may ask for; an admin's with all."""
        return json_reply(
            {"providers": await self._list.describe(visit.snapshot, visit.known_caller)}
        )
