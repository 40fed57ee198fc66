"""`GET /providers`: how each provider stands, by what is seen of it in passing."""

import asyncio
from collections.abc import Collection

from aiohttp import web
from msgspec import Struct

from proxy.domain.breaker import BreakerReport, BreakerState
from proxy.domain.catalog import Provider, Snapshot
from proxy.domain.identity import Caller
from proxy.server.json_reply import json_reply
from proxy.server.registrar import Registrar
from proxy.server.shape import Visit
from proxy.server.state import ServerState

NAMES_PER_TURN = 500
PROVIDERS_PER_TURN = 50
_BADNESS: dict[BreakerState, int] = {
    "closed": 0,
    "disabled": 0,
    "half_open": 1,
    "open": 2,
    "forced_open": 3,
}


class Worst(Struct):
    """The breaker of a provider that is worst off."""

    id: str
    badness: tuple[int, int] = (-1, -1)


class ProviderEndpoints:
    """Tells of the providers that a key has to do with."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    def add(self, registrar: Registrar) -> None:
        """Add the path."""
        registrar.add("key", ("GET",), "/providers", self.show)

    async def show(self, visit: Visit) -> web.Response:
        """Answer with the providers of the models that the key may ask for; an admin's with all."""
        snapshot = visit.snapshot
        models = await list_models(snapshot, visit.known_caller)
        shown = [provider for provider in snapshot.providers.values() if provider.name in models]
        worst = []
        for index, provider in enumerate(shown):
            if index % PROVIDERS_PER_TURN == PROVIDERS_PER_TURN - 1:
                await asyncio.sleep(0)
            worst.append(await self._find_worst(snapshot, provider))
        reports = await self._state.breakers.read([each.id for each in worst])
        return json_reply(
            {
                "providers": [
                    self._describe(provider, models[provider.name], report)
                    for provider, report in zip(shown, reports, strict=True)
                ]
            }
        )

    async def _find_worst(self, snapshot: Snapshot, provider: Provider) -> Worst:
        look = self._state.runtime.board.breakers.look
        worst = Worst("")
        async for breaker_id in self._state.breakers.list_ids(snapshot, provider.name):
            view = look(breaker_id)
            badness = (_BADNESS[view.state], view.failures)
            if badness > worst.badness:
                worst.id, worst.badness = breaker_id, badness
        return worst

    def _describe(
        self, provider: Provider, models: Collection[str], report: BreakerReport
    ) -> dict[str, object]:
        seen = self._state.runtime.board.last_seen(provider.name)
        return {
            "name": provider.name,
            "status": self._state.watch.judge(provider),
            "last_check": None if seen is None else seen.at,
            "response_time": None if seen is None else seen.response_time_s,
            "models": models,
            "circuit_breaker": {
                "state": report.state,
                "failure_count": report.failure_count,
                "last_failure_time": report.last_failure_time,
            },
            "enabled": provider.enabled,
            "reason": provider.disabled_reason,
        }


async def list_models(snapshot: Snapshot, caller: Caller) -> dict[str, Collection[str]]:
    """Return for each provider that a key has to do with the models it may be asked for there."""
    if caller.models is None or caller.role == "admin":
        return {provider.name: provider.models for provider in snapshot.providers.values()}
    found: dict[str, dict[str, None]] = {}
    for index, name in enumerate(sorted(caller.models)):
        if index % NAMES_PER_TURN == NAMES_PER_TURN - 1:
            await asyncio.sleep(0)
        group = snapshot.find_group(name)
        for deployment in () if group is None else group.deployments:
            found.setdefault(deployment.provider.name, {})[deployment.model] = None
    return {name: list(models) for name, models in found.items()}
