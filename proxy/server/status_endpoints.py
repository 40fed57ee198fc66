"""
`/status`, and what the health worker can be told: `/check`, `/discover`, `/cache/clear`.

The health worker's own API (`health_worker/api.py`) has the same paths, bodies and rules.
"""

import time
from collections.abc import Sequence

from aiohttp import web

from proxy.domain.catalog import Provider
from proxy.domain.errors import RouteNotFound
from proxy.domain.health import HealthOrder
from proxy.policy.visible_models import sees_all
from proxy.server.json_reply import json_reply
from proxy.server.provider_list import ProviderList, list_models
from proxy.server.registrar import Registrar
from proxy.server.shape import Visit
from proxy.server.state import ServerState
from proxy.telemetry.order_words import build_order_body


class StatusEndpoints:
    """Tells how providers stand, and passes orders on to the health worker."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._list = ProviderList(state)

    def add(self, registrar: Registrar) -> None:
        """Add the paths; what makes the health worker do something is for administrators."""
        registrar.add("key", ("GET",), "/status", self.show_all)
        registrar.add("key", ("GET",), "/status/{name}", self.show_one)
        registrar.add("admin", ("POST",), "/check", self.check_all)
        registrar.add("admin", ("POST",), "/check/{name}", self.check_one)
        registrar.add("admin", ("POST",), "/discover", self.discover)
        registrar.add("admin", ("POST",), "/cache/clear", self.clear)

    async def show_all(self, visit: Visit) -> web.Response:
        """Answer with the providers of the models that the key may ask for; an admin's with all."""
        shown = await self._list.describe(visit.snapshot, visit.known_caller)
        return json_reply({"providers": shown})

    async def show_one(self, visit: Visit) -> web.Response:
        """Answer with one of them, and with the models that it lists itself."""
        provider = _find_provider(visit)
        shown = await self._list.describe(visit.snapshot, visit.known_caller, (provider.name,))
        if not shown:
            # Of what a key has nothing to do with it does not learn that it exists.
            raise _build_unknown()
        verdict = self._state.runtime.board.health.find_verdict(provider)
        seen = () if verdict is None else verdict.models
        if not sees_all(visit.known_caller):
            known = await list_models(visit.snapshot, visit.known_caller)
            seen = tuple(model for model in seen if model in known[provider.name])
        return json_reply({**shown[0], "models_seen": seen})

    async def check_all(self, visit: Visit) -> web.Response:
        """Have every provider checked now, and answer with what has come of it."""
        return await self._order(visit, "check", ())

    async def check_one(self, visit: Visit) -> web.Response:
        """Have one provider checked now."""
        return await self._order(visit, "check", (_find_provider(visit).name,))

    async def discover(self, visit: Visit) -> web.Response:
        """Have providers searched for now."""
        return await self._order(visit, "discover", ())

    async def clear(self, visit: Visit) -> web.Response:
        """Have everything forgotten that was believed of providers."""
        return await self._order(visit, "clear", ())

    async def _order(self, visit: Visit, order: HealthOrder, names: Sequence[str]) -> web.Response:
        request = visit.request
        by = f"{request.method} {request.path} by {visit.known_caller.key_id}"
        ordered_at = time.time()
        summary = await self._state.health_orders.give(order, names, by)
        # By the configuration of now: what was found may be in force already.
        snapshot = self._state.runtime.snapshot
        shown = await self._list.describe(snapshot, visit.known_caller, names or None)
        health = self._state.runtime.board.health
        listings = [snapshot.providers[str(each["name"])] for each in shown]
        return json_reply(
            build_order_body(
                order,
                names,
                shown,
                [v for each in listings if (v := health.find_verdict(each)) is not None],
                ordered_at=ordered_at,
                now_at=time.time(),
                is_suspect=health.verdicts is not None and health.verdicts.is_suspect,
                summary=summary,
            )
        )


def _find_provider(visit: Visit) -> Provider:
    provider = visit.snapshot.providers.get(visit.parameter)
    if provider is None:
        raise _build_unknown()
    return provider


def _build_unknown() -> RouteNotFound:
    return RouteNotFound("There is no provider by that name; GET /status lists them.")
